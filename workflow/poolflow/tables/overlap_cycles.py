"""Overlap over the cycles: what the labelled sets that started from different initial pools have in common.

As a share of a set, for each pair of pools, among them each one against `random` (Chandra et al. 2021, section 4), and,
with `initial_pool` and `other_pool` empty, for the average over all pairs: mean and standard deviation (of a sample,
n - 1) over the seeds. `random_share` is what two random sets of that size have in common on average.
"""

import itertools

import numpy as np
import pandas as pd

from poolflow.data.known_pool import shared

NEEDS = ("pools", "labeled")
AT_LEAST = {"initial_pools": 2, "cycles": 1}
KEY = ["dataset", "learner", "strategy", "initial_pool", "other_pool", "cycle"]


def table(results):
    """Return a row for each data set, learner, strategy, pair of initial pools or their average, and cycle."""
    rows = []
    for dataset, seed in itertools.product(results.datasets, results.seeds):
        pool = results.pool(dataset, seed)
        for learner, strategy in itertools.product(results.learners, results.strategies):
            sets, count = {}, None
            for name in results.initial_pools:
                sets[name] = results.labeled(dataset, learner, name, strategy, seed, pool, count)[:2]
                count = len(sets[name][0])
            labeled = np.bincount(sets[name][1], minlength=results.cycles + 1).cumsum()
            for pair in itertools.combinations(sets, 2):
                common = shared(*map(sets.get, pair), len(pool), results.cycles)
                for cycle, size in enumerate(labeled):
                    shares = common[cycle] / size, size / len(pool)
                    rows.append([dataset, learner, strategy, *pair, cycle, seed, size, *shares])
    pairs = pd.DataFrame(rows, columns=[*KEY, "seed", "labeled", "share", "random_share"])
    together = pairs.assign(initial_pool="", other_pool="").groupby([*KEY, "seed"], sort=False).mean().reset_index()
    statistics = (
        pd.concat([together, pairs])
        .groupby(KEY, sort=False)
        .agg(
            seeds=("seed", "size"),
            labeled=("labeled", "mean"),
            share_mean=("share", "mean"),
            share_std=("share", "std"),
            random_share=("random_share", "mean"),
        )
    )
    return statistics.reset_index()
