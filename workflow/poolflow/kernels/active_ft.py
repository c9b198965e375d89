"""ActiveFT: points that stand for all features and lie apart (Xie et al. 2023)."""

import numpy as np

from poolflow.kernels import _check
from poolflow.kernels.errors import InputError

BETAS, EPSILON = (0.9, 0.999), 1e-8  # torch's defaults of Adam


def active_ft(features, size, rng, iterations=300, learning_rate=1e-3, temperature=0.07):
    """Return `size` rows that stand for all of them.

    Minimises by Adam over `size` points c, as unit vectors, eq. 7 of the paper as its code has it,

        - mean_i log [ exp(s_i) / (exp(s_i) + sum_j exp(c_j c_k(i) / t)) ],  s_i = max_k f_i c_k / t

    where k(i) is the point nearest to the row i, t the temperature, and c_j, which counts j = k(i) too, is held. Then
    each point in turn takes the nearest row that none before it has taken.

    Parameters
    ----------
    features : (N, D) float, of length 1
    size : int
    rng : numpy.random.Generator
        Draws the rows at which the points start.

    Returns
    -------
    rows : (size,) int64, in the order of the points
    scores : (size,) float64, minus the distance to the point
    """
    features = _check.finite(features)
    if not 1 <= size <= len(features):
        raise InputError(f"size: found {size}, expected 1 to {len(features)}, the number of rows")
    points = features[rng.choice(len(features), size, replace=False)].astype(np.float64)
    first, second = np.zeros_like(points), np.zeros_like(points)
    for step in range(1, iterations + 1):
        gradient = loss_and_gradient(features, points, temperature)[1]
        first += (1 - BETAS[0]) * (gradient - first)
        second += (1 - BETAS[1]) * (gradient**2 - second)
        scale = np.sqrt(second / (1 - BETAS[1] ** step)) + EPSILON
        points -= learning_rate * first / (1 - BETAS[0] ** step) / scale
    points /= lengths_of(points)
    rows, scores, free = np.empty(size, np.int64), np.empty(size), np.ones(len(features), bool)
    for turn, point in enumerate(points):
        cosines = np.where(free, features @ point.astype(features.dtype), -np.inf)
        rows[turn] = row = cosines.argmax()
        free[row], scores[turn] = False, -np.linalg.norm(features[row] - point)
    return rows, scores


def lengths_of(points):
    """Return the length of each point, (B, 1); 1 for a point of zeros, which stays one."""
    lengths = np.linalg.norm(points, axis=1, keepdims=True)
    return np.where(lengths > 0, lengths, 1)


def loss_and_gradient(features, points, temperature):
    """Return the loss, and its gradient with respect to points that are scaled to length 1, (B, D) float64."""
    lengths = lengths_of(points)
    unit = points / lengths
    apart = np.exp(unit @ unit.T / temperature)
    sums = apart.sum(axis=0)
    pulled, pushed, loss = np.zeros_like(points), np.zeros(len(points)), 0.0
    narrow = unit.astype(features.dtype)
    for block in _check.blocks(len(features), max(features.shape[1], len(points))):
        cosines = features[block] @ narrow.T
        nearest = cosines.argmax(axis=1)
        near = np.exp(cosines[np.arange(len(nearest)), nearest].astype(np.float64) / temperature)
        total = near + sums[nearest]
        loss -= np.log(near / total).sum()
        # Of each row: what pulls its point to it, and what pushes the point from the others.
        weights = sums[nearest] / total
        order = np.argsort(nearest, kind="stable")
        found, starts = np.unique(nearest[order], return_index=True)
        pulled[found] += np.add.reduceat(weights[order, None] * features[block][order], starts, axis=0)
        pushed += np.bincount(nearest, 1 / total, len(points))
    gradient = (pushed[:, None] * (apart.T @ unit) - pulled) / (temperature * len(features))
    gradient -= unit * (gradient * unit).sum(axis=1, keepdims=True)
    return loss / len(features), gradient / lengths
