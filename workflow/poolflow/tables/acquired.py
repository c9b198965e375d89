"""What each cycle acquired: how many images, of how many classes, and how evenly, beside equally many random ones.

`entropy` is that of the class histogram of the cycle's images, divided by that of all classes in equal shares, and
`largest_share` the share of the most frequent class; `random_entropy` is the mean entropy of as many random images of
those that were unlabelled and have a label (200 draws, the same ones every time). Cycle 0 is the initial pool. A
strategy that asks for few classes only has a low entropy: mode collapse.
"""

import itertools

import numpy as np
import pandas as pd

from poolflow.tables.pools import balance

NEEDS = ("pools", "labeled")
AT_LEAST = {"cycles": 1}
DRAWS = 200
COLUMNS = ["acquired", "without_label", "classes", "largest_share", "entropy", "random_entropy"]


def table(results):
    """Return a row for each data set, learner, initial pool, strategy, seed and cycle."""
    rows = []
    for dataset, seed in itertools.product(results.datasets, results.seeds):
        pool = results.pool(dataset, seed)
        everywhere, expected = pool.counts(np.arange(len(pool))), {}
        for learner, name, strategy in itertools.product(results.learners, results.initial_pools, results.strategies):
            picked, since, _ = results.labeled(dataset, learner, name, strategy, seed, pool)
            left = everywhere.copy()
            for cycle in range(results.cycles + 1):
                chosen = picked[since == cycle]
                counts = pool.counts(chosen)
                classes, largest, _, entropy = balance(counts)
                key = (tuple(left), int(counts.sum()))
                if key not in expected:
                    expected[key] = random_entropy(left, key[1])
                facts = len(chosen), len(chosen) - counts.sum(), classes, largest, entropy, expected[key]
                rows.append([dataset, learner, name, strategy, seed, cycle, *facts])
                left = left - counts
    return pd.DataFrame(rows, columns=["dataset", "learner", "initial_pool", "strategy", "seed", "cycle", *COLUMNS])


def random_entropy(counts, size):
    """Return the mean normalised entropy of the classes of `size` images drawn from a class histogram, (C,) int64."""
    if not size:
        return np.nan
    draws = np.random.default_rng(0).multivariate_hypergeometric(counts, size, DRAWS, method="marginals") / size
    logs = np.log(draws, out=np.zeros_like(draws), where=draws > 0)
    return -(draws * logs).sum(axis=1).mean() / np.log(len(counts)) + 0.0
