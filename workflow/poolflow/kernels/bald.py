"""Mutual information of labels and passes (MC dropout, ensembles): BALD, PowerBALD and BatchBALD."""

import numpy as np

from poolflow.kernels import _check
from poolflow.kernels.errors import InputError

TIE = 1e-12  # nats; gains nearer than this are equal
TINY = 1e-300  # added to probabilities: 0 ln 0 = 0, and nothing else changes
SCREENS = (128, 1024)  # joint samples of a first look, and of a second one
DEVIATIONS = 6  # standard errors between what a look finds and the bound it gives


def bald(mc_probs):
    """Return H(mean_t p_t) - mean_t H(p_t) in nats: (N, T, C) -> (N,) float64, higher means "ask first".

    Houlsby et al. (2011); Gal, Islam & Ghahramani (2017): what the label tells of the pass (MC dropout) or member
    (ensemble) that is right; 0 where all agree, at most ln T. It is the mean of sum_c p_c ln(p_c / m_c) over the
    passes, m their mean; where a class has nearly all of both, ln(p_c / m_c) comes from what is left to the others.

    Raises
    ------
    ValueError
        When a row is not a probability distribution: a value is negative or not finite, or the sum is not 1 within
        0.001.
    """
    mc_probs = _check.probabilities(mc_probs, ndim=3, name="mc_probs")
    count, passes, _ = mc_probs.shape
    scores = np.empty(count)
    for block in _check.blocks(count, mc_probs[:1].size):
        probs = _normalised(mc_probs[block])
        mean = np.full(passes, 1 / passes) @ probs
        rows, top = np.arange(len(mean)), mean.argmax(axis=1)
        first, mean_first = probs[rows, :, top], mean[rows, top, None]
        probs[rows, :, top], mean[rows, top] = 0, 0
        others = np.einsum("ntc->nt", probs)
        change = (others.mean(axis=1, keepdims=True) - others) / mean_first
        logs = np.log((first + TINY) / mean_first)
        np.log1p(change, out=logs, where=np.abs(change) < 0.5)
        probs += TINY
        scores[block] = np.einsum("ntc,ntc->n", probs, np.log(probs)) / passes - _sum_p_ln_p(mean)
        scores[block] += (first * logs).mean(axis=1)
    return np.maximum(scores, 0)


def power_bald(mc_probs, budget, rng, beta=1.0):
    """Draw `budget` rows without replacement with probability proportional to BALD ** beta.

    Kirsch et al. (2023): the highest of beta ln BALD + Gumbel noise. Rows of BALD 0 come last.

    Returns
    -------
    rows : (budget,) int64, best first
    scores : (budget,) float64

    Raises
    ------
    ValueError
        As `bald` does, and when `budget` is not in 1..N or `beta` is not above 0.
    """
    scores = bald(mc_probs)
    _check.within(budget, len(scores))
    _check.positive("beta", beta)
    scores = beta * np.log(np.maximum(scores, TINY)) + rng.gumbel(size=len(scores))
    rows = np.argsort(-scores, kind="stable")[:budget]
    return rows, scores[rows]


def batch_bald(mc_probs, budget, rng, joint_samples=10_000):
    """Pick, `budget` times, the row whose label tells most of the passes, given the labels of the rows picked so far.

    Kirsch, van Amersfoort & Gal (2019), greedily. A pick's score is its gain, the conditional mutual information
    I(y; pass | labels of the picks before it) in nats, so the sum of the scores is the joint mutual information.

    Parameters
    ----------
    mc_probs : (N, T, C) float
    budget : int
    rng : numpy.random.Generator
    joint_samples : int
        While the joint labels of the picks, C ** k for k picks, are no more than this, all of them are enumerated
        and `rng` is not used. Then this many (rounded down to a multiple of T, at least T) are drawn, the same
        number from each pass, one `rng.random` of that size for each pick but the last, in order.

    Returns
    -------
    rows : (budget,) int64, in the order picked
        Of gains within 1e-12 the lowest row's. When no gain exceeds that any more (the joint information reaches
        ln T after a few picks), the remaining picks are those of highest BALD.
    gains : (budget,) float64
        Those remaining picks have gain 0.

    Raises
    ------
    ValueError
        As `bald` does, and when `budget` is not in 1..N or `joint_samples` is less than 1.

    Notes
    -----
    Each joint label leaves a posterior over the passes; a gain is the mean of I(y; pass) under these posteriors,
    which is never negative and varies less than the difference of two estimated joint entropies. A row is left out
    when an upper bound of its gain is below the best: an earlier gain, since gains only fall, or, with many joint
    labels, what 128 or 1,024 of them say, taken in proportion to the entropy of their posteriors, plus six standard
    errors. Time O(joint_samples T C) for each row that is not left out; memory O(N T + joint_samples T).
    """
    mc_probs = _check.probabilities(mc_probs, ndim=3, name="mc_probs")
    count, passes, classes = mc_probs.shape
    _check.within(budget, count)
    if joint_samples < 1:
        raise InputError(f"joint_samples: found {joint_samples}, expected at least 1")
    negentropies, rows = _negentropies(mc_probs), np.arange(count)
    weights, posteriors = np.ones(1), _uniform(1, passes)
    scores = _gains(weights, posteriors, mc_probs, negentropies, rows)  # BALD
    bounds = scores.copy()
    drawn_from = np.repeat(np.arange(passes), max(1, joint_samples // passes))
    picks, gains = [], []
    while True:
        open_ = _open(weights, posteriors)
        place, gain = 0, 0.0
        if open_.any():
            place, gain = _highest(weights[open_], posteriors[open_], mc_probs, negentropies, rows, bounds)
        if gain <= TIE:
            rest = rows[np.argsort(-scores[rows].round(12), kind="stable")][: budget - len(picks)]
            return np.array([*picks, *rest]), np.array([*gains, *np.zeros(len(rest))])
        picks.append(rows[place])
        gains.append(gain)
        if len(picks) == budget:
            return np.array(picks), np.array(gains)
        rows, bounds = np.delete(rows, place), np.delete(bounds, place)
        if classes ** len(picks) <= joint_samples:
            weights, posteriors = _enumerated(weights, posteriors, _normalised(mc_probs[picks[-1]]))
            continue
        new = picks[-1:]
        if classes ** (len(picks) - 1) <= joint_samples:  # the last step was the last that enumerated
            new, posteriors = picks, _uniform(len(drawn_from), passes)
            weights = np.full(len(drawn_from), 1 / len(drawn_from))
        for row in new:
            posteriors = _drawn(posteriors, _normalised(mc_probs[row]), drawn_from, rng)


def _highest(weights, posteriors, mc_probs, negentropies, rows, bounds):
    """Return the place in `rows` of the highest gain, and the gain; lower `bounds`, where the gains are below them."""
    joint = weights, posteriors, mc_probs, negentropies
    gains, best = np.full(len(rows), -np.inf), -np.inf
    candidates = np.arange(len(rows))
    for samples in SCREENS:
        if len(weights) < 4 * samples:
            break
        top = candidates[np.argsort(-bounds[candidates])[:4]]
        gains[top] = bounds[top] = _gains(*joint, rows[top])
        best = max(best, gains[top].max())
        candidates = candidates[bounds[candidates] >= best - TIE]
        found = _upper_bounds(*joint, rows[candidates], samples)
        bounds[candidates] = np.minimum(bounds[candidates], found)
    candidates = candidates[np.argsort(-bounds[candidates], kind="stable")]
    for block in _check.blocks(len(candidates), len(weights) * mc_probs.shape[2]):
        some = candidates[block]
        if bounds[some[0]] < best - TIE:
            break
        gains[some] = bounds[some] = _gains(*joint, rows[some])
        best = max(best, gains[some].max())
    place = int(np.argmax(gains >= best - TIE))
    return place, gains[place]


def _gains(weights, posteriors, mc_probs, negentropies, rows):
    """Return the weighted mean over the posteriors (M, T) of I(y; pass) for each of `rows`, (n,) float64."""
    gains, mean = np.empty(len(rows)), weights @ posteriors
    for block in _check.blocks(len(rows), max(len(weights), mc_probs.shape[1]) * mc_probs.shape[2]):
        products = weights @ _predictive_products(posteriors, _normalised(mc_probs[rows[block]]))
        gains[block] = mean @ negentropies[rows[block]].T - products.reshape(-1, mc_probs.shape[2]).sum(axis=1)
    return np.maximum(gains, 0)


def _upper_bounds(weights, posteriors, mc_probs, negentropies, rows, samples):
    """Return bounds of `_gains` from some of the posteriors, chosen systematically in proportion to their entropy."""
    entropies = -_sum_p_ln_p(posteriors)
    cumulated = np.cumsum(weights * entropies)
    steps = (np.arange(samples) + 0.5) / samples * cumulated[-1]
    chosen = np.minimum(np.searchsorted(cumulated, steps), len(weights) - 1)
    posteriors, entropies = posteriors[chosen], entropies[chosen, None]
    bounds = np.empty(len(rows))
    for block in _check.blocks(len(rows), samples * mc_probs.shape[2]):
        products = _predictive_products(posteriors, _normalised(mc_probs[rows[block]]))
        information = posteriors @ negentropies[rows[block]].T
        information -= products.reshape(samples, -1, mc_probs.shape[2]).sum(axis=2)
        shares = information / entropies  # of the entropy, in 0..1
        bounds[block] = shares.mean(axis=0) + DEVIATIONS * shares.std(axis=0) / np.sqrt(samples)
    return bounds * cumulated[-1]


def _predictive_products(posteriors, probs):
    """Return q ln q of q, the class probabilities of n rows under M posteriors: (M, T), (n, T, C) -> (M, n C)."""
    predictive = posteriors @ (probs.transpose(1, 0, 2).reshape(probs.shape[1], -1) + TINY)
    products = np.log(predictive)
    products *= predictive
    return products


def _open(weights, posteriors):
    """Return which joint labels leave the pass open; the others add less than 1e-13 nats to any gain, together."""
    entropies = -weights * _sum_p_ln_p(posteriors)
    ascending = np.argsort(entropies)
    open_ = np.empty(len(weights), bool)
    open_[ascending] = np.cumsum(entropies[ascending]) > TIE / 10
    return open_


def _enumerated(weights, posteriors, probs):
    """Return weights and posteriors of every joint label extended by every label of one more row, (T, C)."""
    joint = posteriors[:, None, :] * probs.T
    masses = joint.sum(axis=2)
    possible = masses > 0
    return (weights[:, None] * masses)[possible], joint[possible] / masses[possible][:, None]


def _drawn(posteriors, probs, drawn_from, rng):
    """Return the posteriors after a label of one more row, (T, C), drawn for each joint sample from its pass."""
    cumulated = probs.cumsum(axis=1)[drawn_from]
    labels = (rng.random(len(drawn_from))[:, None] * cumulated[:, -1:] >= cumulated[:, :-1]).sum(axis=1)
    posteriors = posteriors * probs.T[labels]
    return posteriors / posteriors.sum(axis=1, keepdims=True)


def _uniform(count, passes):
    return np.full((count, passes), 1 / passes)


def _negentropies(mc_probs):
    """Return sum_c p ln p of each row and pass, (N, T) float64."""
    negentropies = np.empty(mc_probs.shape[:2])
    for block in _check.blocks(len(mc_probs), mc_probs[:1].size):
        negentropies[block] = _sum_p_ln_p(_normalised(mc_probs[block]))
    return negentropies


def _normalised(probs):
    """Return float64 rows that sum to 1 as nearly as float64 can, so that joint probabilities do as well."""
    probs = probs.astype(np.float64)
    return probs / np.einsum("...c->...", probs)[..., None]


def _sum_p_ln_p(probs):
    return np.einsum("...c,...c->...", probs, np.log(probs + TINY))
