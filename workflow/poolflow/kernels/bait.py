"""BAIT: a batch that makes the expected loss of the last layer small, by its Fisher information."""

import numpy as np

from poolflow.kernels import _check
from poolflow.kernels.errors import InputError

LARGEST = 6000  # C x D: a matrix of that many rows and columns takes 288 MB
BLOCK = 2**22  # float64 values of a block of rows


def bait(probs, features, labeled, budget, regularisation=1.0):
    """Pick rows so that the trace of the inverse Fisher information of the picks times that of the pool is small.

    Ash, Goel, Krishnamurthy & Kakade (2021), Algorithm 1, as in their code: with the Fisher information of a row,
    I(x) = (diag(p) - p p') (x) h h', and b = `budget`, minimise tr(M^-1 F) over sets S of b rows, where F is the mean
    of I over all rows, and M = `regularisation` I + (sum of I over the labelled rows + b sum of I over S) / (L + b).
    Forward, 2b rows are added one by one, each the one that lowers the trace most; backward, b of them are removed,
    each the one that raises it least. Where fewer than 2b rows are left, all are added.

    Parameters
    ----------
    probs : (N, C) float32
    features : (N, D) float32
        A constant feature is not added: the biases of the last layer are left out.
    labeled : (L,) int64
    budget : int
    regularisation : float

    Returns
    -------
    (budget,) int64, in the order picked, and by how much each lowered the trace when it was, (budget,) float64

    Raises
    ------
    ValueError
        When C D is larger than 6000, a feature or probability is not finite, `labeled` is out of range or repeats a
        row, or `budget` is not in 1..N - L.

    Notes
    -----
    The rows' C x C blocks h' M^-1 h and h' M^-1 F M^-1 h are kept in float64 and follow each pick by an update of rank
    C (Woodbury). Time O(N C^2 D^2 + C^3 D^3) to begin with, then O(N C^2 (C + D) + C^3 D^2) for each of 3b steps;
    memory O(C^2 D^2 + N C^2).
    """
    probs = _check.probabilities(probs).astype(np.float64)
    features = _check.finite(features).astype(np.float64)
    if len(probs) != len(features):
        raise InputError(f"features: found {len(features)} rows, expected {len(probs)}, those of probs")
    if probs.shape[1] * features.shape[1] > LARGEST:
        found = f"{probs.shape[1]} classes x {features.shape[1]} features"
        raise InputError(f"features: found {found} = {probs.shape[1] * features.shape[1]}, expected at most {LARGEST}")
    labeled = _check.rows(labeled, len(features))
    _check.within(budget, len(features) - len(labeled))
    _check.positive("regularisation", regularisation)
    classes, size = probs.shape[1], probs.shape[1] * features.shape[1]
    rows = np.setdiff1d(np.arange(len(features)), labeled)
    total = len(labeled) + budget
    fisher = _information(probs, features) / len(features)
    inverse = regularisation * np.eye(size) + _information(probs[labeled], features[labeled]) / total
    inverse = np.linalg.inv(inverse)
    probs, features = probs[rows], features[rows] * np.sqrt(budget / total)
    reach = _quadratic(features, inverse, classes)
    gain = _quadratic(features, inverse @ fisher @ inverse, classes)

    def commit(row, sign):
        """Add (sign 1) or remove (sign -1) the information of a row."""
        nonlocal inverse
        root = _root(probs[row])
        spread = (inverse.reshape(size, classes, -1) @ features[row]) @ root.T
        small = np.eye(classes) + sign * root @ reach[row] @ root.T
        left = np.linalg.solve(small, spread.T).T  # inverse loses sign * left @ spread.T
        after = inverse @ (fisher @ spread)
        middle = spread.T @ fisher @ spread
        for start, stop in _blocks(len(features), classes * max(classes, features.shape[1])):
            a, b, c = (
                np.einsum("nd,cdk->nck", features[start:stop], matrix.reshape(classes, -1, classes), optimize=True)
                for matrix in (spread, left, after)
            )
            b = b.transpose(0, 2, 1)
            reach[start:stop] -= sign * a @ b
            gain[start:stop] -= sign * (c @ b + (c @ b).transpose(0, 2, 1))
            gain[start:stop] += b.transpose(0, 2, 1) @ middle @ b
        inverse -= sign * left @ spread.T

    picked, gains = [], []
    for _ in range(min(2 * budget, len(rows))):
        lowered = _change(probs, reach, gain, 1)
        lowered[picked] = -np.inf
        picked.append(int(np.argmax(lowered)))
        gains.append(lowered[picked[-1]])
        commit(picked[-1], 1)
    while len(picked) > budget:
        position = int(np.argmin(_change(probs[picked], reach[picked], gain[picked], -1)))
        commit(picked.pop(position), -1)
        gains.pop(position)
    return rows[picked], np.array(gains)


def _root(probs):
    """Return A with A' A = diag(p) - p p', (..., C, C): row c is sqrt(p_c) (e_c - p)."""
    return np.sqrt(probs)[..., None] * (np.eye(probs.shape[-1]) - probs[..., None, :])


def _information(probs, features):
    """Return the sum over the rows of (diag(p) - p p') (x) h h', (C D, C D)."""
    classes, width = probs.shape[1], features.shape[1]
    out = np.empty((classes, width, classes, width))
    for one in range(classes):
        for other in range(one + 1):
            weights = probs[:, one] * ((one == other) - probs[:, other])
            out[one, :, other] = out[other, :, one] = (features * weights[:, None]).T @ features
    return out.reshape(classes * width, -1)


def _quadratic(features, matrix, classes):
    """Return h' M_cd h for each row h and each pair of classes, (N, C, C)."""
    matrix = matrix.reshape(classes, features.shape[1], classes, -1)
    out = np.empty((len(features), classes, classes))
    for one in range(classes):
        for other in range(one + 1):
            out[:, one, other] = out[:, other, one] = ((features @ matrix[one, :, other]) * features).sum(axis=1)
    return out


def _change(probs, reach, gain, sign):
    """Return by how much the trace falls when a row is added (sign 1), or rises when it is removed (sign -1), (N,)."""
    classes = probs.shape[1]
    out = np.empty(len(probs))
    for start, stop in _blocks(len(probs), classes**2):
        root = _root(probs[start:stop])
        transposed = root.transpose(0, 2, 1)
        small = np.eye(classes) + sign * root @ reach[start:stop] @ transposed
        product = np.linalg.solve(small, root @ gain[start:stop] @ transposed)
        out[start:stop] = np.trace(product, axis1=1, axis2=2)
    return out


def _blocks(count, values):
    step = max(1, BLOCK // values)
    return [(start, min(start + step, count)) for start in range(0, count, step)]
