"""Greedy coverage of the pool: ProbCover (balls of one radius) and MaxHerding (a Gaussian kernel)."""

import numpy as np

from poolflow.kernels import _check
from poolflow.kernels.errors import InputError
from poolflow.kernels.typicality import kmeans

MAX_PAIRS = 2**27  # pairs of rows nearer than delta that are held, 14 bytes each while the graph is built
TILE = (512, 4096)  # rows x columns of a float32 product that stays in the processor's cache
PAIRS = 512  # pairs compared at a time
SAMPLE = 1024  # rows that the cost of the filter is estimated from
ROUNDING = 2.0**-24  # relative, of one float32 operation
TOP = 64  # rows whose gains are brought up to date together
RENEWAL = 4  # new bounds for all cost as much as those of a fourth or half of the rows
TIE = 1e-12  # of the sum of the weights; gains nearer than this are equal


def prob_cover(features, labeled, budget, delta):
    """Pick, `budget` times, the row whose ball of radius `delta` covers most rows that no ball covers yet.

    Yehuda et al. (2022). The balls of the labelled rows and of the picks cover the rows at a Euclidean distance
    below `delta`, evaluated in float64. Where everything is covered, the cover starts anew, as if nothing were.

    Parameters
    ----------
    features : (N, D) float
    labeled : (L,) int64
    budget : int
    delta : float

    Returns
    -------
    rows : (budget,) int64, in the order picked; the lowest row wins a tie
    gains : (budget,) float64
        How many rows each pick covered, itself included, that were not covered before it.

    Raises
    ------
    ValueError
        When a feature is not finite, `labeled` is out of range or repeats a row, `budget` is not in 1..N - L,
        `delta` is not above 0, or more than 2**27 pairs of rows are nearer than `delta`.

    Notes
    -----
    Time O(N^2 P), P <= D the directions of the filter; memory O(N P) and 14 bytes a pair. The filter is a lower bound
    of the distance in float32: that in the space of the P directions of largest variance, and the difference of the
    distances to that space. Pairs it cannot exclude, with a margin of 4 (P + 8) 2^-24 of the largest squared norm of
    the centred features, are compared in full in float32, and in float64 where that is within a relative margin of
    4 (D + 2) 2^-24 of delta^2.
    """
    features, labeled = _check.selection(features, labeled, budget)
    _check.positive("delta", delta)
    starts, neighbours = _graph(features, delta)
    degrees = np.diff(starts) + 1
    gains, covered = degrees.astype(np.int64), np.zeros(len(features), bool)

    def balls(rows):
        return np.concatenate([rows, *(neighbours[starts[row] : starts[row + 1]] for row in rows)])

    def cover(rows):
        new = np.unique(balls(rows))
        new = new[~covered[new]]
        covered[new] = True
        gains[:] -= np.bincount(balls(new), minlength=len(gains))

    if len(labeled):
        cover(labeled)
    taken = np.zeros(len(features), bool)
    taken[labeled] = True
    picks, scores = np.empty(budget, np.int64), np.empty(budget)
    for step in range(budget):
        if covered.all():
            gains[:] = degrees
            covered[:] = False
        picks[step] = np.argmax(np.where(taken, -1, gains))
        scores[step] = gains[picks[step]]
        taken[picks[step]] = True
        cover(picks[step : step + 1])
    return picks, scores


def pure_delta(features, count, rng, purity=0.95):
    """Return the largest delta at which a share of at least `purity` of the balls of all rows are pure.

    The rule of Yehuda et al. (2022), with the `count` clusters of k-means in place of classes: a ball is pure where all
    rows at a distance below delta from its centre are of one cluster. So delta is the distance to the nearest row of
    another cluster that this share of the rows has at least, and no delta has to be tried. Where clusters lie so far
    apart that `prob_cover` could not hold the pairs, delta is lower: that which 2**26 pairs of rows are nearer than.

    Parameters
    ----------
    features : (N, D) float
    count : int
        The number of classes.
    rng : numpy.random.Generator
        Starts k-means, and draws the million pairs that the number of pairs is estimated from.
    purity : float

    Returns
    -------
    float
        Where there is one cluster only, twice the largest distance of a row to the mean: no two are farther apart.

    Raises
    ------
    ValueError
        When a feature is not finite, or rows of different clusters coincide so often that no delta is pure enough.

    Notes
    -----
    Time O(N^2 D), a product in float32 that says which row of another cluster is nearest; its distance is float64. It
    may be too large where another one is nearer by no more than rounding: 8 (D + 8) 2^-24 of the largest squared norm
    of the centred features, in the squared distance. Memory O(N D).
    """
    features = _check.finite(features)
    mean = features.mean(axis=0, dtype=np.float64)
    clusters = kmeans(features, min(count, len(features)), rng)
    apart = _other_cluster(features, mean, clusters)
    delta = float(np.sort(apart)[::-1][int(np.ceil(purity * len(apart))) - 1])
    if not delta:
        raise InputError(f"delta: found none at which {purity} of the balls are pure; write a number")
    delta = delta if np.isfinite(delta) else 2 * _radius(features, mean) or 1.0
    share = MAX_PAIRS / (len(features) * (len(features) - 1) or 1)  # MAX_PAIRS / 2 of all pairs
    if share < 1:
        first = rng.integers(len(features), size=SAMPLE**2)
        other = (first + rng.integers(1, len(features), size=len(first))) % len(features)
        squared = np.empty(len(first))
        for some in _check.blocks(len(first), features.shape[1]):
            wide = features[first[some]].astype(np.float64) - features[other[some]]
            squared[some] = np.einsum("nd,nd->n", wide, wide)
        held = float(np.sqrt(np.quantile(squared, share)))
        delta = min(delta, held) if held else delta
    return delta


def _other_cluster(features, mean, clusters):
    """Return each row's distance to the nearest row of another cluster, (N,) float64, infinite where there is none."""
    scale = _radius(features, mean) or 1.0
    order = np.argsort(clusters, kind="stable")
    ends = np.cumsum(np.bincount(clusters))
    centred = np.empty(features.shape, np.float32)
    for block in _check.blocks(len(order), features.shape[1]):
        centred[block] = (features[order[block]] - mean) / scale
    halves = np.einsum("nd,nd->n", centred, centred) / 2
    apart = np.full(len(order), np.inf)
    for start, stop in zip([0, *ends[:-1]], ends, strict=True):
        for first in range(start, stop, TILE[0]):
            rows = slice(first, min(first + TILE[0], stop))
            best, nearest = np.full(rows.stop - first, -np.inf), np.full(rows.stop - first, -1)
            others = [*range(0, start, TILE[1]), *range(stop, len(order), TILE[1])]
            for column in others:
                columns = slice(column, min(column + TILE[1], start if column < start else len(order)))
                values = centred[rows] @ centred[columns].T - halves[columns]
                places = values.argmax(axis=1)
                values = values[np.arange(len(values)), places]
                nearest = np.where(values > best, places + column, nearest)
                best = np.maximum(best, values)
            if others:
                wide = features[order[rows]].astype(np.float64) - features[order[nearest]]
                apart[order[rows]] = np.sqrt(np.einsum("nd,nd->n", wide, wide))
    return apart


def max_herding(features, labeled, budget, sigma=1.0, weights=None):
    """Pick, `budget` times, the row that raises the generalised coverage sum_n w_n max_s k(x_n, x_s) most.

    Bae et al. (2024), with k(x, y) = exp(-|x - y|^2 / sigma^2) and s over the labelled rows and the picks; with the
    uncertainties of the rows as weights the UHerding of Bae et al. (2025).

    Parameters
    ----------
    features : (N, D) float
    labeled : (L,) int64
    budget : int
    sigma : float
    weights : (N,) float, optional
        At least 0, 1 / N if not given.

    Returns
    -------
    rows : (budget,) int64, in the order picked
        Of gains within 1e-12 of the sum of the weights the lowest row's.
    gains : (budget,) float64
        By how much each pick raised the coverage.

    Raises
    ------
    ValueError
        When a feature is not finite, `labeled` is out of range or repeats a row, `budget` is not in 1..N - L,
        `sigma` is not above 0, or `weights` are not N finite numbers of at least 0, one of them above.

    Notes
    -----
    A row's gain only falls, so the gain it had is a bound. The first bounds come from a pass over all pairs in
    float32, O(N^2 D), raised by what rounding can have taken, and so do new ones when the gains have fallen so much
    that a fourth of the rows had to be looked at for one pick. The gains that decide are evaluated in float64,
    those of the 64 rows of the highest bounds together. Memory O(N D) and some 200 N float64.
    """
    features, labeled = _check.selection(features, labeled, budget)
    _check.positive("sigma", sigma)
    weights = _checked_weights(weights, len(features))
    mean = features.mean(axis=0, dtype=np.float64)
    nearest = np.zeros(len(features))  # the highest kernel value to a labelled row or a pick
    for start in range(0, len(labeled), TOP):
        values = _kernel_rows(features, mean, labeled[start : start + TOP], sigma)
        np.maximum(nearest, values.max(axis=0), out=nearest)
    rough = _Rough(features, mean, sigma, weights)
    bounds = rough.bounds_of_all(nearest)
    bounds[labeled] = -np.inf
    tie = TIE * weights.sum()
    picks, gains = np.empty(budget, np.int64), np.empty(budget)
    top, values = np.empty(0, np.int64), np.empty((0, len(features)))
    for step in range(budget):
        fresh, exact = (np.zeros(len(features), bool) for _ in range(2))  # since the last pick, and in float64
        while True:
            bounds[top] = np.maximum(values - nearest, 0) @ weights
            bounds[picks[:step]] = -np.inf
            fresh[top] = exact[top] = True
            best = bounds[exact].max(initial=-np.inf)
            stale = np.flatnonzero(~exact & (bounds >= best - tie) & (bounds > -np.inf))
            if not len(stale):
                break
            if fresh.sum() > len(features) / RENEWAL and not fresh.all():
                bounds[~exact] = np.minimum(bounds, rough.bounds_of_all(nearest))[~exact]
                fresh[:] = True
                continue
            stale = stale[np.argsort(-bounds[stale], kind="stable")]
            if not fresh[stale[:TOP]].all():
                some = stale[~fresh[stale]][: TILE[0]]
                bounds[some] = np.minimum(bounds[some], rough.bounds(some, nearest))
                fresh[some] = True
                continue
            top = stale[:TOP]
            values = _kernel_rows(features, mean, top, sigma)
        picks[step] = np.argmax(fresh & (bounds >= best - tie))
        gains[step] = bounds[picks[step]]
        np.maximum(nearest, _kernel_rows(features, mean, picks[step : step + 1], sigma)[0], out=nearest)
    return picks, gains


def _graph(features, delta):
    """Return the others nearer than `delta` to each row: where each row's begin, (N + 1,), and the rows, int32."""
    count, mean = len(features), features.mean(axis=0, dtype=np.float64)
    scale = _radius(features, mean) or 1.0
    if not 1e-15 < scale < 1e15:  # float32 does not hold the squares
        features = features.astype(np.float64)
    left, right, threshold = _filter(features, mean, scale, min(delta / scale, 4.0))  # none is farther than 2
    degrees, indices, total = np.zeros(count, np.int64), [], 0
    tile, reached = np.empty(np.prod(TILE), np.float32), np.empty(np.prod(TILE), bool)
    for start in range(0, count, TILE[0]):
        found = []
        for column in range(start, count, TILE[1]):
            some, others = left[start : start + TILE[0]], right[column : column + TILE[1]]
            size = len(some) * len(others)
            np.matmul(some, others.T, out=tile[:size].reshape(len(some), -1))
            np.greater_equal(tile[:size], threshold, out=reached[:size])
            rows, columns = np.divmod(np.flatnonzero(reached[:size]), len(others))
            rows, columns = rows + start, columns + column
            after = columns > rows
            rows, columns = rows[after], columns[after]
            near = _nearer(features, rows, columns, delta)
            found.append((rows[near], columns[near].astype(np.int32)))
        rows, columns = map(np.concatenate, zip(*found, strict=True))
        total += len(rows)
        if total > MAX_PAIRS:
            raise InputError(
                f"delta: found {delta}, which joins more than {MAX_PAIRS} pairs of rows, the most that is held"
            )
        degrees += np.bincount(rows, minlength=count)
        indices.append(columns[np.argsort(rows, kind="stable")])
    from scipy.sparse import csr_array  # here: the other kernels start without SciPy

    indices = np.concatenate(indices)
    starts = np.concatenate([[0], np.cumsum(degrees)]).astype(np.int32)
    upper = csr_array((np.ones(len(indices), np.int8), indices, starts), shape=(count, count))
    both = upper + upper.T
    return both.indptr, both.indices


def _filter(features, mean, scale, delta):
    """Return float32 (N, P + 3) left and right, and t: left_i . right_j < t only where |x_i - x_j| >= delta.

    The product is -d^2 / 2 of a lower bound d of the distance, both divided by `scale`.
    """
    directions = np.eye(features.shape[1])
    if len(features) > 4 * SAMPLE:
        sample = (features[np.linspace(0, len(features) - 1, SAMPLE).astype(np.int64)] - mean) / scale
        directions = np.linalg.eigh(sample.T @ sample)[1][:, ::-1]
        # The cheapest number of directions: a value of a pair compared in full costs some 30 times one of a product.
        costs = {}
        for number in {min(2**power - 3, features.shape[1]) for power in range(4, 16)}:
            left, right = _bounding(sample, directions[:, :number])
            costs[number] = number + 30 * features.shape[1] * (left @ right.T >= -(delta**2) / 2).mean()
        directions = directions[:, : min(costs, key=lambda number: (costs[number], number))]
    left, right = (np.empty((len(features), directions.shape[1] + 3), np.float32) for _ in range(2))
    for block in _check.blocks(len(features), features.shape[1]):
        left[block], right[block] = _bounding((features[block] - mean) / scale, directions)
    return left, right, np.float32(-(delta**2 + 4 * (left.shape[1] + 5) * ROUNDING) / 2)


def _radius(features, mean):
    """Return the largest distance of a row to `mean`."""
    blocks = _check.blocks(len(features), features.shape[1])
    return max(float(np.linalg.norm(features[block] - mean, axis=1).max()) for block in blocks)


def _bounding(centred, directions):
    """Return left and right, (n, P + 3): coordinates, distance to the space they span, and squared norms."""
    coordinates = centred @ directions
    norms = np.einsum("nd,nd->n", centred, centred)
    rest = np.sqrt(np.maximum(norms - np.einsum("np,np->n", coordinates, coordinates), 0))
    ones = np.ones(len(centred))
    return np.column_stack([coordinates, rest, -norms / 2, ones]), np.column_stack(
        [coordinates, rest, ones, -norms / 2]
    )


def _nearer(features, rows, columns, delta):
    """Return for which pairs |x_row - x_column| < delta, in float64 where float32 cannot say."""
    squared = np.empty(len(rows), features.dtype)
    for start in range(0, len(rows), PAIRS):
        pairs = slice(start, start + PAIRS)
        differences = features[rows[pairs]]
        differences -= features[columns[pairs]]
        squared[pairs] = np.einsum("pd,pd->p", differences, differences)
    relative = squared.astype(np.float64) / delta**2
    near = relative < 1
    unsure = np.flatnonzero(np.abs(relative - 1) <= 4 * (features.shape[1] + 2) * ROUNDING)
    wide = features[rows[unsure]].astype(np.float64) - features[columns[unsure]]
    near[unsure] = np.einsum("pd,pd->p", wide, wide) < delta**2
    return near


class _Rough:
    """Upper bounds of gains, from kernel values in float32 raised by what rounding can have taken."""

    def __init__(self, features, mean, sigma, weights):
        count, width = features.shape
        self.left, self.right = (np.empty((count, width + 2), np.float32) for _ in range(2))
        self.largest, self.total = weights.max(), weights.sum()
        self.shares = (weights / self.largest).astype(np.float32)
        largest = _radius(features, mean) ** 2 * 2 / sigma**2
        self.error = 4 * (width + 8) * ROUNDING * largest + TILE[1] * ROUNDING  # relative, of a kernel value and a sum
        if self.error > 0.5:  # float32 says nothing
            return
        for block in _check.blocks(count, width):
            centred = (features[block] - mean) * (np.sqrt(2) / sigma)
            norms = np.einsum("nd,nd->n", centred, centred)
            self.left[block] = np.column_stack([centred, -norms / 2, np.ones(len(centred))])
            self.right[block] = np.column_stack([centred, np.ones(len(centred)), -norms / 2])

    def bounds(self, rows, nearest):
        """Return bounds of sum_n w_n max(k(x_n, x) - nearest_n, 0) for the `rows` x."""
        if self.error > 0.5:
            return np.full(len(rows), self.total)
        gains, reached, left = np.zeros(len(rows)), nearest.astype(np.float32), self.left[rows]
        for column in range(0, len(self.right), TILE[1]):
            columns = slice(column, column + TILE[1])
            values = self._kernel(left, columns)
            gains += np.maximum(values - reached[columns], 0) @ self.shares[columns]
        return self._raised(gains, nearest)

    def bounds_of_all(self, nearest):
        """Return `bounds` of all rows; a kernel value is evaluated once for both of its rows."""
        count = len(self.left)
        if self.error > 0.5:
            return np.full(count, self.total)
        gains, reached = np.zeros(count), nearest.astype(np.float32)
        for start in range(0, count, TILE[0]):
            rows = slice(start, start + TILE[0])
            for column in range(start, count, TILE[1]):
                columns = slice(column, column + TILE[1])
                values = self._kernel(self.left[rows], columns)
                gains[rows] += np.maximum(values - reached[columns], 0) @ self.shares[columns]
                later = slice(max(column, rows.stop), columns.stop)  # the square on the diagonal counts once
                values = values[:, later.start - column :]
                gains[later] += self.shares[rows] @ np.maximum(values - reached[rows, None], 0)
        return self._raised(gains, nearest)

    def _kernel(self, left, columns):
        values = left @ self.right[columns].T
        return np.exp(np.maximum(values, -80, out=values), out=values)  # no subnormal numbers: they are slow

    def _raised(self, gains, nearest):
        return (gains + 2 * self.error * (gains + self.shares @ nearest)) * self.largest


def _kernel_rows(features, mean, rows, sigma):
    """Return exp(-|x_r - x_n|^2 / sigma^2) for each r of `rows`, (n, N) float64."""
    chosen = (features[rows] - mean) / sigma
    norms = np.einsum("nd,nd->n", chosen, chosen)
    values = np.empty((len(rows), len(features)))
    for block in _check.blocks(len(features), features.shape[1]):
        centred = (features[block] - mean) / sigma
        sums = norms[:, None] + np.einsum("nd,nd->n", centred, centred)
        squared = sums - 2 * (chosen @ centred.T)
        first, second = np.nonzero(squared <= 1e-6 * sums)  # too near for the difference of the squares
        squared[first, second] = ((chosen[first] - centred[second]) ** 2).sum(axis=1)
        values[:, block] = np.exp(-squared)
    return values


def _checked_weights(weights, count):
    if weights is None:
        return np.full(count, 1 / count)
    weights = np.asarray(weights, dtype=np.float64)
    if weights.shape != (count,):
        raise InputError(f"weights: found shape {weights.shape}, expected ({count},)")
    bad = ~(np.isfinite(weights) & (weights >= 0))
    if bad.any():
        place = int(np.argmax(bad))
        raise InputError(f"weights[{place}]: found {weights[place]}, expected a finite number of at least 0")
    if not weights.any():
        raise InputError("weights: found 0 everywhere, expected one above")
    return weights
