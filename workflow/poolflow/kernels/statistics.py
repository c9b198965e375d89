"""What paired differences say: intervals, exact tests, and how many repetitions a question needs.

A difference is one number for each repetition (seed): that of two chains which had the same images to choose from and
whose networks started from the same weights. The order of the seeds does not matter.
"""

import warnings

import numpy as np
from scipy import stats

from poolflow.kernels.errors import InputError
from poolflow.repetitions import repetitions_for

RESAMPLES = 9999
BLOCK = 10**6  # resampled values at once
EXACT = 16  # repetitions up to which all 2^n signs are tried; beyond, as many random ones as SIGNS
SIGNS = 99_999
POWER = 0.8
MOST = 1000  # repetitions that are looked for at most


def _by_count(differences):
    """Yield (rows, values (r, n)) of the rows of differences (m, S) that have the same number n of numbers."""
    differences = np.asarray(differences, np.float64)
    if differences.ndim != 2:
        raise InputError(f"differences: found shape {differences.shape}, expected (comparisons, repetitions)")
    if np.isinf(differences).any():
        place = tuple(np.argwhere(np.isinf(differences))[0].tolist())
        raise InputError(f"differences{list(place)}: found {differences[place]}, expected finite numbers, NaN for none")
    there = np.isfinite(differences)
    for count in np.unique(there.sum(axis=1)):
        rows = np.flatnonzero(there.sum(axis=1) == count)
        yield rows, differences[rows][there[rows]].reshape(len(rows), count)


def intervals(differences, level=0.95):
    """Return the bootstrap intervals (m, 2) of the means of differences (m, S); NaN are missing repetitions.

    Bias-corrected and accelerated (Efron 1987), 9,999 resamples, always the same ones. Fewer than three repetitions
    have none, NaN; equal ones have that value. With few repetitions they are too narrow: of 95 % intervals of 3, 6
    and 10 normal differences about 72, 87 and 90 % hold the true mean. What is decided is decided by a test.
    """
    found = np.full((len(differences), 2), np.nan)
    for rows, values in _by_count(differences):
        if values.shape[1] < 3:
            continue
        equal = np.ptp(values, axis=1) == 0
        found[rows[equal]] = values[equal, :1]
        rows, values = rows[~equal], values[~equal]
        step = max(1, BLOCK // (RESAMPLES * values.shape[1]))
        for part in range(0, len(rows), step):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", stats.DegenerateDataWarning)
                low, high = stats.bootstrap(
                    (values[part : part + step],),
                    np.mean,
                    n_resamples=RESAMPLES,
                    confidence_level=level,
                    method="BCa",
                    axis=-1,
                    vectorized=True,
                    rng=0,
                ).confidence_interval
            found[rows[part : part + step]] = np.stack([low, high], axis=-1)
    return found


def sign_flip(differences):
    """Return the p values (m,) of the two-sided sign-flip test of differences (m, S); NaN are missing repetitions.

    The share of all 2^n ways to choose signs whose mean is as far from zero: exact if differences are symmetric about
    zero, and never under 2 / 2^n. From 17 repetitions on 99,999 random ways. NaN without any.
    """
    found = np.full(len(differences), np.nan)
    for rows, values in _by_count(differences):
        if values.shape[1] == 0:
            continue
        if values.shape[1] == 1:  # either sign is as far
            found[rows] = 1.0
            continue
        signs = np.inf if values.shape[1] <= EXACT else SIGNS
        found[rows] = stats.permutation_test(
            (values,), _mean, vectorized=True, permutation_type="samples", n_resamples=signs, axis=-1, rng=0
        ).pvalue
    return found


def _mean(values, axis):
    return np.mean(values, axis=axis)


def equivalence(differences, margin):
    """Return the p values (m,) of two one-sided paired t tests: that a mean lies within ± margin (Schuirmann 1987)."""
    found = np.full(len(differences), np.nan)
    for rows, values in _by_count(differences):
        count = values.shape[1]
        if count < 2:
            continue
        mean, error = values.mean(axis=1), values.std(axis=1, ddof=1) / np.sqrt(count)
        with np.errstate(divide="ignore", invalid="ignore"):
            lower, upper = (mean + margin) / error, (margin - mean) / error
        p = stats.t.sf(np.minimum(lower, upper), count - 1)
        found[rows] = np.where(error > 0, p, np.where(np.abs(mean) < margin, 0.0, 1.0))
    return found


def holm(p):
    """Return p values (m,) adjusted for so many comparisons (Holm 1979); NaN are none and stay."""
    p = np.asarray(p, np.float64)
    order = np.argsort(p)  # NaN last
    count = np.isfinite(p).sum()
    factors = np.concatenate([np.arange(count, 0, -1), np.full(len(p) - count, np.nan)])
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1)
    return adjusted


def repetitions_to_decide(spread, difference, comparisons=1, alpha=0.05):
    """Return the repetitions that find a mean `difference` of differences of that standard deviation.

    With a power of 80 %, by a t test at alpha / comparisons (Holm's first step), and no fewer than `repetitions_for`;
    NaN for more than 1,000, or a spread that is none.
    """
    if not np.isfinite(spread) or not difference > 0:
        return np.nan
    least = max(2, repetitions_for(comparisons, alpha))
    if spread == 0:
        return least
    for first in range(least, MOST + 1, 50):
        counts = np.arange(first, min(first + 50, MOST + 1))
        shift, critical = difference / spread * np.sqrt(counts), stats.t.isf(alpha / comparisons / 2, counts - 1)
        enough = np.flatnonzero(stats.nct.sf(critical, counts - 1, shift) >= POWER)
        if len(enough):
            return int(counts[enough[0]])
    return np.nan


def signed_rank(differences, margin, draws=50_000):
    """Return the probabilities (3,) that a difference lies below -margin, within, and above margin.

    The Bayesian signed-rank test of Benavoli et al. (2017), section 4.2.2: weights of the differences (n,) from a
    Dirichlet distribution, with the prior's one pseudo-observation at zero; of each draw the most likely of the three.
    """
    values = np.asarray(differences, np.float64)
    values = np.concatenate([[0.0], values[np.isfinite(values)]])
    sums = values[:, None] + values[None, :]
    right, left = sums > 2 * margin, sums < -2 * margin
    weights = np.random.default_rng(0).dirichlet(np.ones(len(values)), draws)
    above, below = (np.einsum("dij,dj->d", weights[:, :, None] * side, weights) for side in (right, left))
    winner = np.stack([below, 1 - above - below, above], axis=1).argmax(axis=1)
    return np.bincount(winner, minlength=3) / draws


def normalised_area(labels, values, start=None, end=None):
    """Return the area under a learning curve, divided by its width: the mean value over the budget.

    By the trapezoidal rule, from `start` to `end` labels (by default the whole curve), where the curve is
    interpolated along lines. A curve of one point, or of cycles that brought no label, is its last value.

    Parameters
    ----------
    labels : (T,) float
        Number of labels of each cycle; it does not fall.
    values : (T,) float

    Raises
    ------
    InputError
        When labels fall, lengths differ, or something is not finite.
    """
    labels, values = curve(labels, values)
    start, end = labels[0] if start is None else start, labels[-1] if end is None else end
    if not end > start:
        return float(values[-1])
    inside = (labels > start) & (labels < end)
    x = np.concatenate([[start], labels[inside], [end]])
    y = np.concatenate([[at(labels, values, start)], values[inside], [at(labels, values, end)]])
    return float(np.trapezoid(y, x) / (end - start))


def curve(labels, values):
    """Return a checked learning curve, both (T,) float64."""
    labels, values = np.asarray(labels, np.float64), np.asarray(values, np.float64)
    if labels.shape != values.shape or labels.ndim != 1 or not len(labels):
        raise InputError(f"labels, values: found shapes {labels.shape} and {values.shape}, expected one (T,), T > 0")
    for name, found in (("labels", labels), ("values", values)):
        if not np.isfinite(found).all():
            raise InputError(f"{name}: found {found[~np.isfinite(found)][0]}, expected finite numbers")
    if (np.diff(labels) < 0).any():
        raise InputError(f"labels: found {labels[1:][np.diff(labels) < 0][0]:g} after more, expected them in order")
    return labels, values


def at(labels, values, count):
    """Return the value of a curve at a number of labels, along lines; that of the later cycle of two with as many."""
    after = np.searchsorted(labels, count, side="right")
    if after == 0 or (after == len(labels) and labels[-1] < count):
        return np.nan
    if after == len(labels) or labels[after - 1] == count:
        return values[after - 1]
    share = (count - labels[after - 1]) / (labels[after] - labels[after - 1])
    return values[after - 1] + share * (values[after] - values[after - 1])


def labels_to_reach(labels, values, target):
    """Return how many labels a curve needs to reach a value for the first time, along lines; NaN if it never does.

    A curve that begins there needs its first number of labels, or fewer.
    """
    labels, values = curve(labels, values)
    reached = np.flatnonzero(values >= target)
    if not len(reached):
        return np.nan
    first = reached[0]
    if first == 0:
        return float(labels[0])
    share = (target - values[first - 1]) / (values[first] - values[first - 1])
    return float(labels[first - 1] + share * (labels[first] - labels[first - 1]))


def penalties(values, alpha=0.05):
    """Return the pairwise penalty matrix (A, A) of one setting, a data set with a network (Ash et al. 2020, section 5).

    Entry (i, j) is the share of the points of the curves at which i beats j: the t statistic of the paired differences
    is above the two-sided critical value of n - 1 degrees of freedom (2.776 for the paper's five repetitions). Summed
    over settings, a row says how often an algorithm wins, a column how often it loses. Equal differences that are not
    zero are a win. Points that an algorithm lacks in a repetition count without that repetition.

    Parameters
    ----------
    values : (A, T, S) float
        Of each algorithm, point of the curve and repetition, larger is better; NaN for what is missing.
    """
    values = np.asarray(values, np.float64)
    differences = values[:, None] - values[None, :]
    there = np.isfinite(differences)
    count = there.sum(axis=-1)
    total = np.where(there, differences, 0).sum(axis=-1)
    mean = total / np.maximum(count, 1)
    squares = (np.where(there, differences - mean[..., None], 0) ** 2).sum(axis=-1)
    error = np.sqrt(squares / np.maximum(count - 1, 1) / np.maximum(count, 1))
    critical = stats.t.isf(alpha / 2, np.maximum(count - 1, 1))
    wins = (count > 1) & (mean > 0) & (mean > critical * error)
    return wins.mean(axis=-1)
