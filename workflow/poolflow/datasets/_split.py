"""A test set for data that come without one."""

import numpy as np

from poolflow.job import StageError


def split(labels, fraction, seed):
    """Return (training rows, test rows), int64 ascending: of each class the `fraction`, drawn by `seed`, for the test.

    Of a class with two rows or more at least one goes to each side; a single row, and rows without a label (-1), are
    for training. What a class gives depends on its own rows only.
    """
    chosen = np.zeros(len(labels), bool)
    for label in np.unique(labels[labels >= 0]):
        rows = np.flatnonzero(labels == label)
        count = min(max(1, round(fraction * len(rows))), len(rows) - 1)
        chosen[np.random.default_rng([seed, label]).permutation(rows)[:count]] = True
    if not chosen.any():
        raise StageError("no class has two labelled images, so none can be kept for the test; label more")
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)
