"""Classes of the initial pools: the class histogram of each, beside the mean of a random pool of that size."""

import numpy as np
import pandas as pd

from poolflow.tables._chosen import chosen_sets

NEEDS = ("pools", "initial_pools")


def table(results):
    """Return a row for each data set, initial pool, seed and class."""
    rows = []
    for dataset, seed, pool, chosen in chosen_sets(results):
        everywhere = pool.counts(np.arange(len(pool)))
        for name, picked in chosen.items():
            expected = everywhere * len(picked) / len(pool)
            rows += [
                [dataset, name, seed, *values] for values in zip(pool.names, pool.counts(picked), expected, strict=True)
            ]
    return pd.DataFrame(rows, columns=["dataset", "initial_pool", "seed", "class", "count", "random_count"])
