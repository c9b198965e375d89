"""Overlap over the cycles: what the labelled sets that started from different initial pools have in common.

As a share of a set, averaged over the pairs of pools; mean and standard deviation (of a sample, n - 1) over the seeds,
and the share that two random sets of that size have in common on average (Chandra et al. 2021, section 4).
"""

import itertools

import numpy as np
import pandas as pd

from poolflow.data.known_pool import shared

NEEDS = ("pools", "labeled")
AT_LEAST = {"initial_pools": 2, "cycles": 1}
KEY = ["dataset", "learner", "strategy", "cycle"]


def table(results):
    """Return a row for each data set, learner, strategy and cycle."""
    rows = []
    for dataset, seed in itertools.product(results.datasets, results.seeds):
        pool = results.pool(dataset, seed)
        for learner, strategy in itertools.product(results.learners, results.strategies):
            sets, count = {}, None
            for name in results.initial_pools:
                sets[name] = results.labeled(dataset, learner, name, strategy, seed, pool, count)[:2]
                count = len(sets[name][0])
            labeled = np.bincount(sets[name][1], minlength=results.cycles + 1).cumsum()
            for first, second in itertools.combinations(sets.values(), 2):
                common = shared(first, second, len(pool), results.cycles)
                for cycle, size in enumerate(labeled):
                    shares = common[cycle] / size, size / len(pool)
                    rows.append([dataset, learner, strategy, cycle, seed, size, *shares])
    pairs = pd.DataFrame(rows, columns=[*KEY, "seed", "labeled", "share", "random_share"])
    by_seed = pairs.groupby([*KEY, "seed"], sort=False).mean().reset_index()
    statistics = by_seed.groupby(KEY, sort=False).agg(
        seeds=("seed", "size"),
        labeled=("labeled", "mean"),
        share_mean=("share", "mean"),
        share_std=("share", "std"),
        random_share=("random_share", "mean"),
    )
    return statistics.reset_index()
