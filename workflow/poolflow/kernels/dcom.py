"""DCoM: coverage by balls whose radius follows from how right the network is in them (Mishal & Weinshall 2024)."""

import numpy as np

from poolflow.kernels import _check
from poolflow.kernels.coverage import _graph
from poolflow.kernels.errors import InputError

SLOPE, CENTRE = 50.0, 0.8  # of the competence, k and a in the authors' code
LARGEST, RESOLUTION = 1.1, 0.05  # of the radii that are looked at


def competence(coverage, slope=SLOPE, centre=CENTRE):
    """Return (1 + e^(-k (1 - a))) / (1 + e^(-k (c - a))), to three decimals as the authors' code has it."""
    return round((1 + np.exp(-slope * (1 - centre))) / (1 + np.exp(-slope * (coverage - centre))), 3)


def dcom(features, uncertainty, predicted, labeled, labels, budget, delta=0.6):
    """Return `budget` rows by S u + (1 - S) d: uncertain ones where much is covered, and else ones that cover much.

    A labelled row l covers what is nearer than its radius, which is the largest, found by halving 0 to 1.1 down to
    steps of 0.05, in whose ball 0.2 c + 0.4 of the rows or more are predicted to be of l's class; c is the share of the
    rows that balls of radius `delta` around the labelled ones cover. With the share that the balls of these radii cover
    S is the `competence`. u is the uncertainty, d the number of uncovered rows in the ball of the mean radius, both
    scaled to 0 to 1; u is 0 for labelled rows and picks. What a pick covers is counted no more.

    Parameters
    ----------
    features : (N, D) float, of length 1
    uncertainty : (N,) float
    predicted : (N,) int64
        The class that the network predicts for each row.
    labeled, labels : (L,) int64
    budget : int
    delta : float
        The mean radius as well where nothing is labelled.

    Returns
    -------
    rows : (budget,) int64, in the order picked; of equal values the lowest row
    scores : (budget,) float64

    Notes
    -----
    O(L N D) time for the radii, and that of the graph of ProbCover.
    """
    features, labeled = _check.selection(features, labeled, budget)
    _check.positive("delta", delta)
    count = len(features)
    if len(uncertainty) != count or len(predicted) != count:
        found = f"{len(uncertainty)} and {len(predicted)}"
        raise InputError(f"uncertainty and predicted: found {found}, expected {count} of each")
    covered = np.zeros(count, bool)
    for row in labeled:
        covered |= distances_to(features, row) < delta
    purity, radii = 0.2 * covered.mean() + 0.4, []
    covered[:] = False
    for row, label in zip(labeled, labels, strict=True):
        distances = distances_to(features, row)
        radii.append(radius(distances, predicted == label, purity))
        covered |= distances < radii[-1]
    share = competence(covered.mean())
    starts, others = _graph(features, float(np.mean(radii)) if radii else delta)
    degrees = np.add.reduceat(np.r_[~covered[others], False].astype(np.int64), starts[:-1]) * (np.diff(starts) > 0)
    degrees += ~covered  # a row is in its own ball
    uncertain, free = scaled(np.asarray(uncertainty, dtype=np.float64)), np.ones(count, bool)
    uncertain[labeled], free[labeled] = 0, False
    rows, scores = np.empty(budget, np.int64), np.empty(budget)
    for turn in range(budget):
        values = np.where(free, share * uncertain + (1 - share) * scaled(degrees), -np.inf)
        rows[turn] = row = values.argmax()
        scores[turn], free[row], uncertain[row] = values[row], False, 0
        ball = np.r_[row, others[starts[row] : starts[row + 1]]]
        for new in ball[~covered[ball]]:
            degrees[np.r_[new, others[starts[new] : starts[new + 1]]]] -= 1
        covered[ball] = True
    return rows, scores


def distances_to(features, row):
    """Return the distance of each row to one of them, (N,) float64."""
    return np.linalg.norm(features - features[row], axis=1).astype(np.float64)


def radius(distances, right, purity):
    """Return the radius of a ball, to two decimals: the largest in which a share `purity` of the rows are right."""
    low, high = 0.0, LARGEST
    while high - low > RESOLUTION:
        middle = (low + high) / 2
        inside = distances < middle
        low, high = (middle, high) if right[inside].mean() >= purity else (low, middle)
    return round((low + high) / 2, 2)


def scaled(values):
    """Return values scaled to 0 to 1; 0 where all are equal."""
    least, most = values.min(), values.max()
    return (values - least) / (most - least) if most > least else np.zeros(len(values))
