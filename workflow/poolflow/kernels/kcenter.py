"""Greedy k-center (farthest-first traversal).

A row's distance to its nearest centre only falls as centres are added, so an old value is an upper bound. The rows
with the highest bounds, a block, are brought up to date, and the greedy runs inside the block while its maximum
exceeds every bound outside; the other rows are left alone. A matrix product in float32 says which pairs of a row and
a centre can matter, and only those are evaluated in float64, so that no decision rests on float32.
"""

from math import isqrt

import numpy as np

from poolflow.data.rows import take
from poolflow.kernels import _check, _rows, _threads

BLOCK = 512  # rows brought up to date together
STREAMED = 8192  # the rows of a block where each costs a pass over a file
CHUNK = 1024  # centres they are compared with at a time
CROWDED = 16  # more undecided centres a row than this: the product is repeated in float64


def k_center_greedy(features, labeled, budget, return_distances=False):
    """Pick, `budget` times, the row farthest from the labelled and the picked ones.

    Gonzalez (1985); Sener & Savarese (2018), Algorithm 1. Distances are Euclidean and compared in float64; of equally
    far rows the lowest wins, and a duplicate of a centre is at distance 0. Where nothing is labelled the first pick
    is the row farthest from the mean, which is not a centre.

    Parameters
    ----------
    features : (N, D) float32
        An array, or an HDF5 data set, which is read by blocks where it is larger than 2 GiB. Other types are
        rounded to float32.
    labeled : (L,) int64
    budget : int
    return_distances : bool
        Return also each pick's distance to the nearest centre before it, (budget,) float64, not increasing (but
        for the first where nothing is labelled: its distance to the mean).

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
    Memory O((L + budget) D + N) beside the features. Time: two products N x sqrt(L) x D, then (L + budget) D for
    each row that comes near the maximum; O((L + budget) N D) where all do.
    """
    features, largest = _rows.load(features)
    labeled = _check.rows(labeled, len(features))
    _check.within(budget, len(features) - len(labeled))
    picks, distances = [], []
    if not len(labeled):
        first, distance = _farthest_from_mean(features)
        picks, distances, labeled = [first], [distance], np.array([first])
    with _threads.single():
        search = _Search(features, largest, labeled, budget - len(picks))
        while len(picks) < budget:
            search.extend(picks, distances, budget)
    picks, distances = np.array(picks, np.int64), np.sqrt(distances)
    return (picks, distances) if return_distances else picks


class _Search:
    """The state of the traversal.

    Attributes
    ----------
    bounds : (N,) float64
        At least the squared distance to the nearest centre; -1 for a centre.
    seen : (N,) int64
        To how many of the centres, in their order, `bounds` is exact in float64.
    centres : (L + budget, D) float32
        Those in use come first, `used` of them.
    """

    def __init__(self, features, largest, labeled, budget):
        self.features = features
        # In between float32 holds every square that counts; elsewhere the products are float64.
        self.dtype = np.float32 if 2.0**-40 < largest < 2.0**40 else np.float64
        self.block = BLOCK if isinstance(features, np.ndarray) else STREAMED
        sample = take(features, np.linspace(0, len(features) - 1, 64).astype(int)).astype(np.float32)
        self.origin = np.median(sample.astype(self.dtype), axis=0)
        self.used = len(labeled)
        self.centres = np.empty((self.used + budget, features.shape[1]), np.float32)
        self.centres[: self.used] = take(features, labeled)
        self.bounds = self._first_bounds()
        self.bounds[labeled] = -1
        self.seen = np.zeros(len(features), np.int64)

    def extend(self, picks, distances, budget):
        """Bring the rows with the highest bounds up to date and pick from them while no other can be farther."""
        block, outside, tie = _highest(self.bounds, self.block)
        rows = take(self.features, block).astype(np.float32, copy=False)
        bounds, seen = self.bounds[block], self.seen[block]
        for start in range(0, self.used, CHUNK):
            stop = min(start + CHUNK, self.used)
            behind = np.flatnonzero((seen < stop) & (bounds >= max(outside, 0)))
            if len(behind):
                bounds[behind] = self._lowered(bounds[behind], rows[behind], self.centres[start:stop])
                seen[behind] = stop
        self.bounds[block], self.seen[block] = bounds, seen
        current = seen == self.used
        block, rows, bounds = block[current], rows[current], bounds[current]
        if not len(block):
            return
        moved, norms = self._moved(rows, self.dtype)
        slack, tiny = _rounding(rows.shape[1], self.dtype)
        # Only where x_i . x_p > limits_i + (1 - slack) |x_p|^2 / 2 can the pick p be nearer to row i than its centre.
        norms *= (1 - slack) / 2
        limits = np.where(bounds > 0, norms - (tiny + bounds) / 2, np.inf)
        while len(picks) < budget:
            pick = bounds.argmax()
            if bounds[pick] < outside or (bounds[pick] == outside and block[pick] > tie):
                break
            picks.append(block[pick])
            distances.append(bounds[pick])
            self.centres[self.used] = rows[pick]
            self.used += 1
            near = (moved @ moved[pick] > limits + norms[pick]).nonzero()[0]
            nearer = np.minimum(bounds[near], _rows.squared_distances(rows[near], rows[pick]))
            bounds[near] = nearer
            limits[near] = np.where(nearer > 0, norms[near] - (tiny + nearer) / 2, np.inf)
            bounds[pick], limits[pick] = -1, np.inf
        self.bounds[block], self.seen[block] = bounds, self.used

    def _lowered(self, bounds, rows, centres):
        """Return the smaller of `bounds` and the squared distance to the nearest of `centres`, (n,) float64."""
        for dtype in (self.dtype, np.float64):
            moved, norms = self._moved(rows, dtype)
            others, their_norms = self._moved(centres, dtype)
            slack, tiny = _rounding(rows.shape[1], dtype)
            products = moved @ others.T
            products -= ((1 - slack) / 2 * their_norms).astype(dtype)
            limits = (1 - slack) * norms - tiny
            best = products.argmax(axis=1)
            closer = np.flatnonzero(products[np.arange(len(rows)), best] > (limits - bounds) / 2)
            exact = _rows.squared_distances(rows[closer], centres[best[closer]])
            bounds[closer] = np.minimum(bounds[closer], exact)
            products[closer, best[closer]] = -np.inf
            thresholds = ((limits - bounds) / 2).astype(dtype)
            closer = closer[(bounds[closer] > 0) & (products.max(axis=1) > thresholds)[closer]]
            row, centre = np.nonzero(products[closer] > thresholds[closer, None])
            if len(row) <= CROWDED * len(rows):
                break
        row = closer[row]
        step = max(1, _rows.BLOCK // rows.shape[1])
        for start in range(0, len(row), step):
            i, j = row[start : start + step], centre[start : start + step]
            np.minimum.at(bounds, i, _rows.squared_distances(rows[i], centres[j]))
        return bounds

    def _first_bounds(self):
        """Return an upper bound of each row: its distance to the nearest centre of the cluster nearest to it."""
        centres, norms = self._moved(self.centres[: self.used], self.dtype)
        slack, tiny = _rounding(centres.shape[1], self.dtype)
        means, cluster = _clusters(centres, isqrt(self.used))
        members = [np.flatnonzero(cluster == c) for c in range(len(means))]
        offsets = ((1 + slack) / 2 * norms).astype(self.dtype)
        halves = _rows.dots(means, means) / 2
        bounds = np.empty(len(self.features))
        for start, block in _rows.blocks(self.features):
            rows, row_norms = self._moved(block, self.dtype)
            cluster = (rows @ means.T - halves).argmax(axis=1)
            for c, member in enumerate(members):
                mine = np.flatnonzero(cluster == c)
                if len(mine):
                    best = (rows[mine] @ centres[member].T - offsets[member]).max(axis=1)
                    bounds[start + mine] = (1 + slack) * row_norms[mine] + tiny - 2 * best.astype(np.float64)
        return bounds

    def _moved(self, rows, dtype):
        """Return the rows relative to the origin, (n, D) dtype, and their squared norms, (n,) float64."""
        rows = np.subtract(rows, self.origin, dtype=dtype)
        return rows, _rows.dots(rows, rows).astype(np.float64)


def _rounding(width, dtype):
    """Return `slack` and `tiny`: |x|^2 + |c|^2 - 2 x.c as computed is off by at most slack (|x|^2 + |c|^2) + tiny.

    With the unit roundoff u and x, c the rows relative to the origin: moving the rows is off by u |x| and u |c|,
    which the squared distance sees as 4u (|x|^2 + |c|^2); the two norms and the product are sums of D terms, D u each
    in whatever order they are added (Higham 2002, section 3.1), 2 D u together; the sums of the three terms, the
    threshold and the float64 distance itself take up less than 12u. `tiny` is what underflow can lose.
    """
    u = float(np.finfo(dtype).eps) / 2
    n = 2 * width + 16
    return n * u / (1 - n * u), 4 * width * float(np.finfo(dtype).tiny)


def _clusters(points, number, steps=3):
    """Return the means of at most `number` clusters, none empty, and the cluster of each point: a short k-means."""
    means = points[np.linspace(0, len(points) - 1, number).astype(int)]
    for _ in range(steps):
        cluster = (points @ means.T - _rows.dots(means, means) / 2).argmax(axis=1)
        used, cluster = np.unique(cluster, return_inverse=True)
        means = np.array([points[cluster == c].mean(axis=0) for c in range(len(used))])
    return means, cluster


def _highest(values, count):
    """Return the rows of the `count` highest values, of equal ones the lower rows, ascending.

    And a value that the others do not exceed, with the lowest of the others that equals it (else N).
    """
    if len(values) <= count:
        return np.arange(len(values)), -np.inf, len(values)
    smallest = np.partition(values, -count)[-count]
    above, equal = np.flatnonzero(values > smallest), np.flatnonzero(values == smallest)
    rows = np.sort(np.concatenate([above, equal[: count - len(above)]]))
    return rows, smallest, np.append(equal, len(values))[count - len(above)]


def _farthest_from_mean(features):
    """Return the row farthest from the mean of all rows, and its squared distance."""
    mean = sum(block.sum(axis=0, dtype=np.float64) for _, block in _rows.blocks(features)) / len(features)
    squared = np.concatenate([_rows.squared_distances(block, mean) for _, block in _rows.blocks(features)])
    return np.argmax(squared), squared.max()
