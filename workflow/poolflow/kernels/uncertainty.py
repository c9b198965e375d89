"""Scores of predicted class probabilities, and the choice of the highest."""

import numpy as np

from poolflow.kernels import _check
from poolflow.kernels.errors import InputError


def entropy(probs):
    """Return the Shannon entropy of each row in nats: (N, C) -> (N,) float64, higher means "ask first".

    Raises
    ------
    ValueError
        When a row is not a probability distribution: a value is negative or not finite, or the sum is not 1 within
        0.001.
    """
    probs = _check.probabilities(probs).astype(np.float64)
    logs = np.log(probs, out=np.zeros_like(probs), where=probs > 0)
    return -(probs * logs).sum(axis=1)


def least_confidence(probs):
    """Return 1 - max_c p_c: (N, C) -> (N,) float64, higher means "ask first". Raises as `entropy` does."""
    return 1 - _check.probabilities(probs).max(axis=1).astype(np.float64)


def margin(probs):
    """Return 1 - (p_1st - p_2nd): (N, C) -> (N,) float64, higher means "ask first". Raises as `entropy` does."""
    return 1 - _lead(_check.probabilities(probs).astype(np.float64, copy=False))


def mean_probs(mc_probs):
    """Return the mean over passes or committee members: (N, T, C) -> (N, C) float64. Raises as `entropy` does."""
    return _check.probabilities(mc_probs, ndim=3, name="mc_probs").mean(axis=1, dtype=np.float64)


def mc_entropy(mc_probs):
    """Return the entropy of the mean over T passes in nats: (N, T, C) -> (N,) float64, higher means "ask first".

    The DBAL of Chandra et al. (2021); "predictive entropy" in Gal, Islam & Ghahramani (2017). Raises as `entropy`
    does.
    """
    return entropy(mean_probs(mc_probs))


def variation_ratio(mc_probs):
    """Return 1 - the share of the most frequent vote: (N, T, C) -> (N,) float64, higher means "ask first".

    Freeman (1965); the ENS-varR of Beluch et al. (2018). A member votes for its most probable class, of equally
    probable ones for the lowest. Raises as `entropy` does.
    """
    return 1 - _votes(mc_probs).max(axis=1)


def vote_entropy(mc_probs):
    """Return the entropy of the votes in nats: (N, T, C) -> (N,) float64, higher means "ask first".

    Dagan & Engelson (1995), not divided by ln T. Votes and errors as in `variation_ratio`.
    """
    return entropy(_votes(mc_probs))


def vote_margin(mc_probs):
    """Return 1 - (share of the 1st - share of the 2nd class by votes): (N, T, C) -> (N,) float64.

    Higher means "ask first". Votes and errors as in `variation_ratio`.
    """
    return 1 - _lead(_votes(mc_probs))


def certainty(probs):
    """Return minus the probability of all classes but the predicted one, (N,) float64, for `probs` (N, C).

    The order of max_c p_c, also among images where that is 1 to the precision of float32.
    """
    probs = _check.probabilities(probs)
    return -np.sort(probs, axis=1)[:, :-1].sum(axis=1, dtype=np.float64)


def _votes(mc_probs):
    """Return each class's share of the votes, (N, C) float64."""
    mc_probs = _check.probabilities(mc_probs, ndim=3, name="mc_probs")
    count, passes, classes = mc_probs.shape
    cells = np.arange(count)[:, None] * classes + mc_probs.argmax(axis=2)
    return np.bincount(cells.ravel(), minlength=count * classes).reshape(count, classes) / passes


def _lead(shares):
    """Return by how much the highest value of each row exceeds the second highest."""
    if shares.shape[1] == 1:
        return np.ones(len(shares))
    second, first = np.partition(shares, -2, axis=1)[:, -2:].T
    return first - second


def top_k(scores, k, rows):
    """Return the `k` of `rows` with the highest scores, best first, and their scores.

    Parameters
    ----------
    scores : (N,) float
    k : int
    rows : (n,) int64, ascending
        The candidates. Of equal scores the lower row comes first.

    Raises
    ------
    ValueError
        When a candidate's score is NaN or `k` exceeds the number of candidates.
    """
    candidates = np.asarray(scores)[rows]
    if np.isnan(candidates).any():
        raise InputError(f"scores[{rows[np.argmax(np.isnan(candidates))]}] is NaN")
    if not 0 < k <= len(rows):
        raise InputError(f"k: found {k}, expected 1..{len(rows)}")
    best = np.argsort(-candidates, kind="stable")[:k]
    return rows[best], candidates[best]
