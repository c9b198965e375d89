"""Initial pools: how many classes each has, and how evenly.

`size` is the number of images, `without_label` how many of them have no label, `classes` the number of classes present;
of the class histogram `largest_share` and `smallest_share` (0 where a class is missing), and `entropy`, divided by that
of all classes in equal shares.
"""

import numpy as np
import pandas as pd

from poolflow.tables._chosen import chosen_sets

NEEDS = ("pools", "initial_pools")
COLUMNS = ["size", "without_label", "classes", "largest_share", "smallest_share", "entropy"]


def table(results):
    """Return a row for each data set, initial pool and seed."""
    rows = []
    for dataset, seed, pool, chosen in chosen_sets(results):
        for name, picked in chosen.items():
            counts = pool.counts(picked)
            rows.append([dataset, name, seed, len(picked), len(picked) - counts.sum(), *balance(counts)])
    return pd.DataFrame(rows, columns=["dataset", "initial_pool", "seed", *COLUMNS])


def balance(counts):
    """Return of a class histogram, (C,) int64: classes present, largest share, smallest share, normalised entropy."""
    if not counts.sum():
        return 0, np.nan, np.nan, np.nan
    shares = counts / counts.sum()
    present = shares[shares > 0]
    # + 0.0: a pool of one class has an entropy of 0, not -0.
    return len(present), shares.max(), shares.min(), -(present * np.log(present)).sum() / np.log(len(counts)) + 0.0
