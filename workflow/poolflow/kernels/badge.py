"""BADGE: k-means++ seeding on gradient embeddings, without the embeddings.

The embedding of row i is the outer product of a = p - onehot(argmax p) and its features h, so that
<g_i, g_j> = <a_i, a_j> <h_i, h_j>. A pick changes only the rows that come nearer to it than to the earlier ones;
bounds on the two factors, in float32, leave few rows for the product of features, which is then taken in float64.
"""

import operator

import numpy as np

from poolflow.kernels import _check, _rows, _threads
from poolflow.kernels.errors import InputError

GROUP = 256  # rows that share a partial sum of the draw
DIRECTIONS = 32  # of the features, for the second bound
PART = 1024  # rows whose features are multiplied at a time


def badge(probs, features, budget, rng):
    """Pick `budget` rows by k-means++ seeding on gradient embeddings.

    Ash et al. (2020), "Deep Batch Active Learning by Diverse, Uncertain Gradient Lower Bounds", Algorithm 1. The
    first pick is the row with the largest embedding, as in the authors' code (k-means++ itself draws it uniformly,
    which here mostly gives a row the network is sure of). Each next pick takes one number u = rng.random() and is the
    first row, in ascending order, at which the running sum of squared distances to the nearest pick exceeds u times
    their sum. Distances and sums are float64: equal rows are at distance 0, others whose squared distance is less than
    1e-15 of their squared norms may be. Where all distances are 0 the lowest row left is picked, without a draw.

    Parameters
    ----------
    probs : (N, C) float32
        Predicted class probabilities of the candidates.
    features : (N, D) float32
        Their penultimate features; with a constant 1 appended where the last layer's bias is to count. Other types
        are rounded to float32.
    budget : int
    rng : numpy.random.Generator

    Returns
    -------
    (budget,) int64, in the order picked

    Raises
    ------
    ValueError
        When a row of `probs` is not a distribution, a feature is not finite, the lengths differ, or `budget` is not
        in 1..N.

    Notes
    -----
    Time O(N D) and, for a pick, O(N C) and D for each row that it may change. Memory O(N (C + 40)) beside the input.
    """
    probs, features = _validated(probs, features, budget)
    with _threads.single():
        seeding = _Seeding(probs, features)
        picks = [int(seeding.squares.argmax())]
        while len(picks) < budget:
            seeding.add(picks[-1])
            if not seeding.nearest.any():
                break
            picks.append(seeding.draw(rng))
    rest = np.setdiff1d(np.arange(len(probs)), picks)
    return np.array([*picks, *rest[: budget - len(picks)]], np.int64)


class _Seeding:
    """The state of the seeding.

    Attributes
    ----------
    squares : (N,) float64
        The squared norms |a|^2 |h|^2 of the embeddings.
    nearest : (N,) float64
        The squared distances to the nearest pick; a view of `groups`, which is filled up with zeros.
    scaled : (C, N) float32
        a |h|: the products of these bound those of the embeddings.
    excess : (N,) float32
        `nearest` - `squares`, rounded up: a pick c can only change row i where
        2 |<a_i, a_c>| |h_i| |h_c| + excess_i > |g_c|^2.
    """

    def __init__(self, probs, features):
        size = len(probs)
        self.probs, self.features, self.top = probs, features, probs.argmax(axis=1)
        self.squares, norms = np.empty(size), np.empty(size)
        self.nonnegative = True
        for start, rows in _rows.blocks(features):
            stop = start + len(rows)
            self.nonnegative &= bool(rows.min() >= 0)
            wide, errors = rows.astype(np.float64), self._errors(np.arange(start, stop))
            norms[start:stop] = _rows.dots(wide, wide)
            self.squares[start:stop] = _rows.dots(errors, errors) * norms[start:stop]
        self.groups = np.zeros((-(-size // GROUP), GROUP))
        self.nearest = self.groups.reshape(-1)[:size]
        self.nearest.fill(np.inf)

        positive = norms[norms > 0]
        # In between float32 holds every square that counts; elsewhere the bounds are float64.
        narrow = len(positive) and positive.min() > 2.0**-80 and positive.max() < 2.0**80
        dtype = np.float32 if narrow else np.float64
        lengths = np.sqrt(norms)
        self.scaled = probs.T.astype(dtype, order="C")
        self.scaled[self.top, np.arange(size)] -= 1
        self.scaled *= lengths.astype(dtype)
        self.excess = np.full(size, np.inf, dtype)
        # A bound is a sum of C or D terms and a few more operations. With the unit roundoff u it is off by less than
        # `slack` of |g_i|^2 + |g_c|^2, in whatever order the terms are added (Higham 2002, section 3.1), and by
        # `tiny`, what underflow can lose.
        n, u = 2 * (probs.shape[1] + features.shape[1]) + 32, float(np.finfo(dtype).eps) / 2
        self.slack, self.tiny = n * u / (1 - n * u), n * float(np.finfo(dtype).tiny)

        self._project(lengths, dtype, u)

    def _project(self, lengths, dtype, u):
        """Set `projected` and `remainders`.

        For a matrix V with no singular value above 1, I - V V' is positive semidefinite, and so
        |cos(h_i, h_j) - z_i z_j| <= r_i r_j with z = V' h / |h|, r^2 = 1 - |z|^2. V spans
        what a step of subspace iteration finds.
        """
        size, width = self.features.shape
        inverse = np.divide(1, lengths, out=np.zeros(size), where=lengths > 0).astype(dtype)
        sample = np.unique(np.linspace(0, size - 1, 2048).astype(int))
        sample = self.features[sample] * inverse[sample, None]
        start = sample[:: max(1, len(sample) // DIRECTIONS)][:DIRECTIONS]
        basis = np.linalg.qr((sample.T @ (sample @ start.T)).astype(np.float64))[0]
        basis = (basis * (1 - 2.0**-20)).astype(dtype)
        self.projected = np.empty((size, basis.shape[1] + 1), dtype)
        for first, rows in _rows.blocks(self.features):
            part = slice(first, first + len(rows))
            self.projected[part, :-1] = (rows * inverse[part, None]) @ basis
        n = width + 8
        error = basis.shape[1] ** 0.5 * n * u / (1 - n * u)  # of z, for |h| = 1
        squares = _rows.dots(self.projected[:, :-1], self.projected[:, :-1])
        self.projected[:, -1] = np.sqrt(np.maximum(1 - squares, 0) + 4 * error)
        self.margin = 4 * error

    def add(self, pick):
        """Lower `nearest` by the distances to the row `pick`, whose own becomes 0."""
        near = self._near(pick)
        error, feature = self._errors([pick])[0], self.features[pick].astype(np.float64)
        for start in range(0, len(near), PART):
            rows = near[start : start + PART]
            products = _rows.dots(self._errors(rows), error)
            products *= _rows.dots(self.features[rows].astype(np.float64), feature)
            squared = np.maximum(self.squares[rows] + self.squares[pick] - 2 * products, 0)
            self._set(rows, np.minimum(self.nearest[rows], squared))
        self._set([pick], 0)

    def draw(self, rng):
        """Return the first row at which the running sum of `nearest` exceeds rng.random() times its total."""
        running = self.groups.sum(axis=1).cumsum()
        left = rng.random() * running[-1]
        group = _first_above(running, left)
        if group:
            left -= running[group - 1]
        return group * GROUP + _first_above(self.groups[group].cumsum(), left)

    def _near(self, pick):
        """Return the rows that may be nearer to `pick` than to the picks before."""
        square = (1 - self.slack) * float(self.squares[pick])  # no NumPy float64: the comparison stays in float32
        products = self.scaled[:, pick] @ self.scaled
        bounds = np.maximum(products, 0) if self.nonnegative else np.abs(products)
        bounds *= 2
        bounds += self.excess
        near = np.flatnonzero(bounds > square)
        products, projected = products[near], self.projected[near]
        remainders = projected[:, -1] * self.projected[pick, -1]
        cosines = projected @ self.projected[pick] - remainders
        bounds = 2 * (products * cosines + np.abs(products) * (remainders + self.margin))
        return near[bounds + self.excess[near] > square]

    def _set(self, rows, nearest):
        self.nearest[rows] = nearest
        self.excess[rows] = (1 + self.slack) * nearest - (1 - self.slack) * self.squares[rows] + self.tiny

    def _errors(self, rows):
        """Return a = p - onehot(argmax p) of the given rows, (n, C) float64."""
        errors = self.probs[rows].astype(np.float64)
        errors[np.arange(len(rows)), self.top[rows]] -= 1
        return errors


def _first_above(running, value):
    """Return the first place where a running sum exceeds `value`, or, should rounding leave none, where it ends."""
    place = running.searchsorted(value, side="right")
    return place if place < len(running) else running.searchsorted(running[-1])


def _validated(probs, features, budget):
    probs = np.asarray(_check.probabilities(probs), np.float32)
    features, _ = _rows.load(np.asarray(features))
    if len(probs) != len(features):
        raise InputError(f"features: found {len(features)} rows, expected {len(probs)} as in probs")
    if not 0 < operator.index(budget) <= len(probs):
        raise InputError(f"budget: found {budget}, expected 1..{len(probs)}")
    return probs, features
