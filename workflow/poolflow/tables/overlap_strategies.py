"""Overlap of the strategies: what they acquired in common, of all that they acquired after the same initial pool.

As a share of it, for each pair and cycle: mean and standard deviation (of a sample, n - 1) over the seeds.
`random_share` is what two random sets of that size have in common on average, among the images that the initial pool
left.
"""

import itertools

import numpy as np
import pandas as pd

from poolflow.data.known_pool import shared

NEEDS = ("pools", "labeled")
AT_LEAST = {"strategies": 2, "cycles": 1}
KEY = ["dataset", "learner", "initial_pool", "strategy", "other_strategy", "cycle"]


def table(results):
    """Return a row for each data set, learner, initial pool, pair of strategies, and cycle from the first on."""
    rows = []
    for dataset, seed in itertools.product(results.datasets, results.seeds):
        pool = results.pool(dataset, seed)
        for learner, name in itertools.product(results.learners, results.initial_pools):
            sets = {s: results.labeled(dataset, learner, name, s, seed, pool)[:2] for s in results.strategies}
            for first, second in itertools.combinations(sets, 2):
                common = shared(sets[first], sets[second], len(pool), results.cycles)
                sizes = [np.bincount(sets[s][1], minlength=results.cycles + 1).cumsum() for s in (first, second)]
                for cycle in range(1, results.cycles + 1):
                    start = sizes[0][0]
                    mine, its = (size[cycle] - start for size in sizes)
                    smaller = min(mine, its)
                    share = (common[cycle] - start) / smaller if smaller else np.nan
                    chance = max(mine, its) / (len(pool) - start) if smaller else np.nan
                    rows.append([dataset, learner, name, first, second, cycle, seed, mine, share, chance])
    pairs = pd.DataFrame(rows, columns=[*KEY, "seed", "acquired", "share", "random_share"])
    statistics = pairs.groupby(KEY, sort=False).agg(
        seeds=("seed", "size"),
        acquired=("acquired", "mean"),
        share_mean=("share", "mean"),
        share_std=("share", "std"),
        random_share=("random_share", "mean"),
    )
    return statistics.reset_index()
