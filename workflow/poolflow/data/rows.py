"""Rows of an array that lies in a file, read by blocks."""

import numpy as np

from poolflow.job import Damaged

BLOCK = 4096  # rows read at a time


def take(dataset, rows):
    """Return the given rows of an array, in the given order, reading one that lies in a file in contiguous blocks.

    Parameters
    ----------
    dataset : h5py.Dataset or ndarray, shape (N, ...)
    rows : (n,) int64, in any order, repeats allowed

    Raises
    ------
    Damaged
        When a row is none of the array's.
    """
    rows = np.asarray(rows)
    if len(rows) and not 0 <= rows.min() <= rows.max() < len(dataset):
        name = f"{dataset.file.filename}: {dataset.name}" if hasattr(dataset, "file") else "an array"
        raise Damaged(f"{name} has {len(dataset)} rows; another file asks for rows {rows.min()}..{rows.max()} of it")
    if isinstance(dataset, np.ndarray):
        return dataset[rows]
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
