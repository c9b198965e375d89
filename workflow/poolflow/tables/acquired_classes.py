"""Classes acquired: how many images of each class each cycle acquired, beside what random would have on average.

Mean over the seeds. Cycle 0 is the initial pool; the random number is that of as many images drawn from those that were
unlabelled and have a label.
"""

import itertools

import numpy as np
import pandas as pd

NEEDS = ("pools", "labeled")
AT_LEAST = {"cycles": 1}
KEY = ["dataset", "learner", "initial_pool", "strategy", "cycle", "class"]


def table(results):
    """Return a row for each data set, learner, initial pool, strategy, cycle and class."""
    tables = []
    for dataset, seed in itertools.product(results.datasets, results.seeds):
        pool = results.pool(dataset, seed)
        everywhere = pool.counts(np.arange(len(pool)))
        for learner, name, strategy in itertools.product(results.learners, results.initial_pools, results.strategies):
            picked, since, _ = results.labeled(dataset, learner, name, strategy, seed, pool)
            left = everywhere.copy()
            for cycle in range(results.cycles + 1):
                counts = pool.counts(picked[since == cycle])
                expected = left * (counts.sum() / max(1, left.sum()))
                part = pd.DataFrame({"class": pool.names, "count": counts, "random_count": expected})
                for place, value in enumerate([dataset, learner, name, strategy, cycle]):
                    part.insert(place, KEY[place], value)
                tables.append(part)
                left = left - counts
    return pd.concat(tables).groupby(KEY, sort=False).mean().reset_index()
