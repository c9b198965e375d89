"""Scores of predicted class probabilities, and the choice of the highest.

A sure network's largest probability is 1 in float32 for thousands of images, but the others, down to 1e-45, still tell
them apart: 1 - max_c p_c is the sum of the others, and ln max_c p_c the log1p of minus that.
"""

import numpy as np

from poolflow.kernels import _check
from poolflow.kernels.errors import InputError

DIGITS = 12


def entropy(probs):
    """Return the Shannon entropy of each row in nats: (N, C) -> (N,) float64, higher means "ask first".

    The same for rows with the same probabilities in another order.

    Raises
    ------
    ValueError
        When a row is not a probability distribution: a value is negative or not finite, or the sum is not 1 within
        0.001.
    """
    probs = _ascending(probs)
    logs = np.log(probs, out=np.zeros_like(probs), where=probs > 0)
    rest = probs[:, :-1].sum(axis=1)
    np.log1p(-rest, out=logs[:, -1], where=rest < 0.5)
    return -(probs * logs).sum(axis=1)


def least_confidence(probs):
    """Return 1 - max_c p_c: (N, C) -> (N,) float64, higher means "ask first". Raises as `entropy` does."""
    return _ascending(probs)[:, :-1].sum(axis=1)


def margin(probs):
    """Return 1 - (p_1st - p_2nd): (N, C) -> (N,) float64, higher means "ask first". Raises as `entropy` does."""
    probs = _ascending(probs)
    return probs[:, :-1].sum(axis=1) + probs[:, -2:-1].sum(axis=1)


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
    return 1 - _votes(mc_probs).max(axis=1) / mc_probs.shape[1]


def vote_entropy(mc_probs):
    """Return the entropy of the votes in nats: (N, T, C) -> (N,) float64, higher means "ask first".

    Dagan & Engelson (1995), not divided by ln T; rounded, since 4 + 1 + 1 + 1 + 1 votes have the entropy of
    2 + 2 + 2 + 2, and are to tie with them. Votes and errors as in `variation_ratio`.
    """
    return entropy(_votes(mc_probs) / mc_probs.shape[1]).round(DIGITS)


def vote_margin(mc_probs):
    """Return 1 - (share of the 1st - share of the 2nd class by votes): (N, T, C) -> (N,) float64.

    Higher means "ask first". Votes and errors as in `variation_ratio`.
    """
    votes = np.sort(_votes(mc_probs), axis=1)
    return 1 - (votes[:, -1] - votes[:, -2:-1].sum(axis=1)) / mc_probs.shape[1]


def _ascending(probs):
    """Return the probabilities of each row from the smallest to the largest, (N, C) float64, of sum 1 in float64."""
    probs = np.sort(_check.probabilities(probs), axis=1).astype(np.float64, copy=False)
    return probs / probs.sum(axis=1, keepdims=True)


def _votes(mc_probs):
    """Return the number of votes of each class, (N, C) int64: of three members most rows have the same, and tie."""
    mc_probs = _check.probabilities(mc_probs, ndim=3, name="mc_probs")
    count, _, classes = mc_probs.shape
    cells = np.arange(count)[:, None] * classes + mc_probs.argmax(axis=2)
    return np.bincount(cells.ravel(), minlength=count * classes).reshape(count, classes)


def top_k(scores, k, rows):
    """Return the `k` of `rows` with the highest scores, best first, and their scores.

    Parameters
    ----------
    scores : (N,) float
    k : int
    rows : (n,) int64, ascending
        The candidates. Of equal scores the lower row comes first: a random one, for `poolflow.selection.Pool` has its
        rows in a random order.

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
