"""Labels spread over a graph of nearest neighbours: label propagation (Iscen, Tolias, Avrithis & Chum 2019).

As section 3.2 of the paper, and with the values of its published code. The graph is sparse, (N, k) values, and nothing
here is N x N.
"""

import numpy as np
from scipy import sparse

from poolflow.kernels import _check
from poolflow.kernels.errors import InputError
from poolflow.kernels.scaling import unit

TOLERANCE, STEPS = 1e-6, 20  # of the conjugate gradients, as in the published code


def graph(features, neighbours=50, power=3.0, reciprocal=False, threads=1):
    """Return the normalised graph D^-1/2 W D^-1/2 of features, (N, N) in CSR, symmetric, with an empty diagonal.

    A[i, j] = max(0, cosine)^power for the `neighbours` nearest others j of each i; W = A + A^T, in which a pair that
    are neighbours of each other weigh twice, as in the published code; where `reciprocal`, W holds such pairs alone,
    once. A row without a neighbour of positive weight stays empty.

    Parameters
    ----------
    features : (N, D) float
    """
    import faiss

    points = unit(_check.finite(features)).astype(np.float32)
    count = len(points)
    if neighbours < 1:
        raise InputError(f"neighbours: found {neighbours}, expected 1 or more")
    number = min(neighbours, count - 1)
    if number < 1:
        return sparse.csr_matrix((count, count))
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(threads)
    try:
        index = faiss.IndexFlatIP(points.shape[1])
        index.add(points)
        cosines, places = index.search(points, number + 1)
    finally:
        faiss.omp_set_num_threads(before)
    # A point is not always its own nearest: another may be the same.
    own = places == np.arange(count)[:, None]
    own[~own.any(axis=1), -1] = True
    weights = np.maximum(cosines[~own].reshape(count, number).astype(np.float64), 0) ** power
    rows = np.repeat(np.arange(count), number)
    one_way = sparse.csr_matrix((weights.ravel(), (rows, places[~own])), (count, count))
    both = one_way.minimum(one_way.T) if reciprocal else one_way + one_way.T
    both.eliminate_zeros()
    degrees = np.asarray(both.sum(axis=1)).ravel()
    scale = sparse.diags(np.divide(1, np.sqrt(degrees), out=np.zeros(count), where=degrees > 0))
    return (scale @ both @ scale).tocsr()


def propagate(graph, labeled, labels, classes, alpha=0.99):
    """Return how much of each class reaches each row, (N, classes): solutions of (I - alpha W) f = y.

    y is 1 / n on the n labelled rows of a class. By conjugate gradients, as far as 20 steps go; a class without a
    labelled row reaches nothing.

    Parameters
    ----------
    graph : (N, N) sparse, from `graph`
    labeled : (L,) int64
    labels : (L,) int64 in 0..classes - 1
    """
    labels, size = np.asarray(labels), graph.shape[0]
    labeled = _check.rows(labeled, size)
    found, solve = np.zeros((size, classes)), solver(graph, alpha)
    for label in np.unique(labels):
        seeds = np.zeros(size)
        seeds[labeled[labels == label]] = 1 / np.count_nonzero(labels == label)
        found[:, label] = solve(seeds)
    return found


def solver(graph, alpha):
    """Return a function from y to the solution of (I - alpha W) f = y, as far as 20 steps of conjugate gradients go."""
    from scipy.sparse.linalg import LinearOperator, cg

    if not 0 <= alpha < 1:
        raise InputError(f"alpha: found {alpha}, expected 0 or more and less than 1")
    system = LinearOperator(graph.shape, lambda values: values - alpha * (graph @ values), dtype=np.float64)
    return lambda values: cg(system, values, rtol=TOLERANCE, atol=0.0, maxiter=STEPS)[0]


def least_reached(graph, labeled, budget, alpha=0.99):
    """Return, `budget` times, the row that the labelled rows and those returned before it reach least.

    Simeoni et al. (2021), `jlp` of their code: f solves (I - alpha W) f = y with y = 1 on these rows, whatever their
    classes; the row of the smallest f joins them. Of equal ones the lowest row.

    Parameters
    ----------
    graph : (N, N) sparse, from `graph`
    labeled : (L,) int64
    budget : int

    Returns
    -------
    rows : (budget,) int64
    scores : (budget,) float64, minus f
    """
    size, solve = graph.shape[0], solver(graph, alpha)
    labeled = _check.rows(labeled, size)
    if not 1 <= budget <= size - len(labeled):
        raise InputError(f"budget: found {budget}, expected 1 to {size - len(labeled)}, the number of unlabelled rows")
    seeds, rows, scores = np.zeros(size), np.empty(budget, np.int64), np.empty(budget)
    seeds[labeled] = 1
    for turn in range(budget):
        reached = np.where(seeds > 0, np.inf, solve(seeds))
        rows[turn] = row = reached.argmin()
        scores[turn], seeds[row] = -reached[row], 1
    return rows, scores


def pseudo_labels(spread):
    """Return the class (N,) that reaches each row most, and its weight (N,), 1 - entropy / log C, the largest one 1.

    The entropy is that of the row's shares; a row that nothing reaches has weight 0.

    Parameters
    ----------
    spread : (N, C) float, from `propagate`
    """
    spread = np.maximum(spread, 0)
    totals = spread.sum(axis=1)
    shares = spread / np.where(totals > 0, totals, 1)[:, None]
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    weights = np.where(totals > 0, np.clip(1 + (shares * logs).sum(axis=1) / np.log(shares.shape[1]), 0, 1), 0)
    return spread.argmax(axis=1), weights / (weights.max() or 1)


def class_weights(labels, classes):
    """Return the weight of each class (classes,), (N / classes) / its number among `labels` (N,); 0 without any."""
    counts = np.bincount(labels, minlength=classes)
    return np.divide(len(labels) / classes, counts, out=np.zeros(classes), where=counts > 0)
