"""Rows of an array that lies in a file, read by blocks."""

import numpy as np

BLOCK = 4096  # rows read at a time


def take(dataset, rows):
    """Return the given rows of an array, in the given order, reading one that lies in a file in contiguous blocks.

    Parameters
    ----------
    dataset : h5py.Dataset or ndarray, shape (N, ...)
    rows : (n,) int64, in any order, repeats allowed
    """
    if isinstance(dataset, np.ndarray):
        return dataset[rows]
    rows = np.asarray(rows)
    out = np.empty((len(rows), *dataset.shape[1:]), dataset.dtype)
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    start = 0
    while start < len(ordered):
        first = ordered[start]
        stop = np.searchsorted(ordered, first + BLOCK)
        block = dataset[first : ordered[stop - 1] + 1]
        out[order[start:stop]] = block[ordered[start:stop] - first]
        start = stop
    return out
