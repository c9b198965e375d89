"""Rows of a feature matrix that lies in memory or in an HDF5 data set."""

import numpy as np

from poolflow.kernels.errors import InputError

BLOCK = 2**22  # values read, or evaluated, at a time
CACHE = 2**15  # float64 values that stay near the processor
MEMORY = 2**31  # bytes; a data set that is no larger is read whole


def load(features, name="features"):
    """Return the matrix as float32, in memory where it is there or fits `MEMORY`, and its largest absolute value.

    Raises
    ------
    ValueError
        When it is not (N, D) with D > 0, or a value is not finite in float32.
    """
    if not hasattr(features, "shape"):
        features = np.asarray(features)
    if len(features.shape) != 2 or not features.shape[1]:
        raise InputError(f"{name}: found shape {tuple(features.shape)}, expected (N, D)")
    if not isinstance(features, np.ndarray) and 4 * features.shape[0] * features.shape[1] <= MEMORY:
        features = features[:]
    if isinstance(features, np.ndarray):
        with np.errstate(over="ignore"):  # a value that float32 cannot hold is reported below
            features = features.astype(np.float32, copy=False)
    largest = 0.0
    for start, block in blocks(features):
        peak = max(block.max(), -block.min())
        if not np.isfinite(peak):
            row, column = np.argwhere(~np.isfinite(block))[0]
            raise InputError(f"{name}[{start + row}, {column}]: found {block[row, column]}, expected a finite float32")
        largest = max(largest, float(peak))
    return features, largest


def blocks(features):
    """Yield (first row, rows) of the whole matrix, in order."""
    step = max(1, BLOCK // features.shape[1])
    for start in range(0, features.shape[0], step):
        with np.errstate(over="ignore"):
            yield start, np.asarray(features[start : start + step], np.float32)


def squared_distances(rows, others):
    """Return the squared distances of rows to others, (n, D) and (n, D), or to one other, (D,): (n,) float64.

    Evaluated in float64, each row by itself: equal rows give equal values wherever they stand.
    """
    squared = np.empty(len(rows))
    step = max(1, CACHE // rows.shape[1])
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        difference = rows[part].astype(np.float64)
        difference -= others[part] if others.ndim == 2 else others
        squared[part] = dots(difference, difference)
    return squared


def dots(rows, others):
    """Return the products of rows with others, (n, D) and (n, D), or with one other, (D,): (n,) of their type.

    Equal rows give equal values wherever they stand, which einsum does not promise beyond its buffer of 8192.
    """
    parts = [slice(start, start + 4096) for start in range(0, rows.shape[1], 4096)]
    subscripts = "ij,ij->i" if others.ndim == 2 else "ij,j->i"
    return sum(np.einsum(subscripts, rows[:, part], others[..., part]) for part in parts)
