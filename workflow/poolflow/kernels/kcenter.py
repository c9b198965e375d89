"""Greedy k-center (farthest-first traversal)."""

import numpy as np

BLOCK = 2**22  # float64 values of a block of rows, or of its distances to all centres, whichever is larger


def k_center_greedy(features, labeled, budget, return_distances=False):
    """Pick, `budget` times, the row farthest from the labelled and the picked ones.

    Gonzalez (1985); Sener & Savarese (2018), Algorithm 1. Distances are Euclidean and evaluated in float64,
    the lowest row wins a tie. Where nothing is labelled the first pick is the row farthest from the mean.

    Parameters
    ----------
    features : (N, D) float32
    labeled : (L,) int64
    budget : int
    return_distances : bool
        Return also each pick's distance to the nearest centre before it, (budget,) float64.

    Returns
    -------
    (budget,) int64, in the order picked

    Raises
    ------
    ValueError
        When a feature is not finite, `labeled` is out of range or repeats a row, or `budget` is not in
        1..N - L.

    Notes
    -----
    Time O((L + budget) N D); memory O(N + L D) beside the features.
    """
    features, labeled = np.asarray(features), np.asarray(labeled, dtype=np.int64)
    _check(features, labeled, budget)
    centres = features[labeled] if len(labeled) else features.mean(axis=0, dtype=np.float64, keepdims=True)
    nearest = np.full(len(features), np.inf)
    _update(nearest, features, centres)
    nearest[labeled] = -1
    picks, distances = np.empty(budget, np.int64), np.empty(budget)
    for step in range(budget):
        if step == 1 and not len(labeled):
            nearest.fill(np.inf)  # the mean was no centre
            _update(nearest, features, features[picks[:1]])
        elif step:
            _update(nearest, features, features[picks[step - 1 : step]])
        nearest[picks[:step]] = -1
        picks[step] = np.argmax(nearest)
        distances[step] = np.sqrt(nearest[picks[step]])
    return (picks, distances) if return_distances else picks


def _update(nearest, features, centres):
    """Lower `nearest`, squared distances, by those to `centres`."""
    centres = centres.astype(np.float64)
    norms = np.einsum("ij,ij->i", centres, centres)
    step = max(1, BLOCK // max(centres.shape))
    for start in range(0, len(features), step):
        rows = features[start : start + step].astype(np.float64)
        squared = np.einsum("ij,ij->i", rows, rows) + (norms[:, None] - 2 * (centres @ rows.T)).min(axis=0)
        block = nearest[start : start + step]
        np.minimum(block, np.maximum(squared, 0), out=block)


def _check(features, labeled, budget):
    if features.ndim != 2:
        raise ValueError(f"features: found shape {features.shape}, expected (N, D)")
    finite = np.isfinite(features.sum(axis=1, dtype=np.float64))
    if not finite.all():
        raise ValueError(f"features[{int(np.argmin(finite))}]: found a value that is not finite")
    if len(labeled) and (labeled.min() < 0 or labeled.max() >= len(features)):
        raise ValueError(f"labeled: found {labeled.min()}..{labeled.max()}, expected 0..{len(features) - 1}")
    if len(np.unique(labeled)) < len(labeled):
        raise ValueError(f"labeled: found {len(labeled) - len(np.unique(labeled))} repeated rows")
    if not 0 < budget <= len(features) - len(labeled):
        raise ValueError(f"budget: found {budget}, expected 1..{len(features) - len(labeled)}")
