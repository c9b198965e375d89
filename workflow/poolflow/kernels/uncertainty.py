"""Scores of predicted class probabilities, and the choice of the highest."""

import numpy as np


def _checked(probs):
    probs = np.asarray(probs)
    if probs.ndim != 2 or probs.shape[1] < 1:
        raise ValueError(f"probs: found shape {probs.shape}, expected (N, C)")
    sums = probs.sum(axis=1, dtype=np.float64)
    bad = ~((probs >= 0).all(axis=1) & (np.abs(sums - 1) < 1e-3))  # catches NaN as well
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(f"probs[{row}]: found {probs[row].tolist()}, expected probabilities that sum to 1")
    return probs


def entropy(probs):
    """Return the Shannon entropy of each row in nats: (N, C) -> (N,) float64, higher means "ask first".

    Raises
    ------
    ValueError
        When a row is not a probability distribution.
    """
    probs = _checked(probs).astype(np.float64)
    logs = np.log(probs, out=np.zeros_like(probs), where=probs > 0)
    return -(probs * logs).sum(axis=1)


def least_confidence(probs):
    """Return 1 - max_c p_c: (N, C) -> (N,) float64, higher means "ask first". Raises as `entropy` does."""
    return 1 - _checked(probs).max(axis=1).astype(np.float64)


def margin(probs):
    """Return 1 - (p_1st - p_2nd): (N, C) -> (N,) float64, higher means "ask first". Raises as `entropy` does."""
    probs = _checked(probs)
    if probs.shape[1] == 1:
        return np.zeros(len(probs))
    second, first = np.partition(probs, -2, axis=1)[:, -2:].T.astype(np.float64)
    return 1 - (first - second)


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
        raise ValueError(f"scores[{rows[np.argmax(np.isnan(candidates))]}] is NaN")
    if not 0 < k <= len(rows):
        raise ValueError(f"k: found {k}, expected 1..{len(rows)}")
    best = np.argsort(-candidates, kind="stable")[:k]
    return rows[best], candidates[best]
