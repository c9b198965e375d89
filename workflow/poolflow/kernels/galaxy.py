"""GALAXY: find where classes meet, on a line for each class (Zhang, Katz-Samuels & Nowak 2022)."""

import numpy as np


def galaxy(probs, labeled, labels, oracle, budget, rng):
    """Return `budget` rows, each chosen with the labels of all before it.

    On the line of a class k the rows stand by p_k - max p, the largest first, those of equal values by max p. Each time
    a class is drawn. Between two labelled rows that follow one another on its line, of which one is of class k and the
    other is not, lie unlabelled rows: the shortest such run is halved. Where there is none, it is the unlabelled row
    nearest to where two such labelled rows touch, and where none touch, a random one.

    Parameters
    ----------
    probs : (N, C) float
    labeled : (L,) int64
    labels : (L,) int64
    oracle : (N,) int64
        The class of every row, of which those of the rows chosen are looked at.
    budget : int
    rng : numpy.random.Generator

    Returns
    -------
    rows : (budget,) int64
    scores : (budget,) float64
        Minus the distance on the line to the nearer end of the run, or to the cut; minus N for a random row.

    Notes
    -----
    O(C N log N + budget N) time, O(C N) memory.
    """
    count, classes = probs.shape
    lines = lines_of(probs)
    known = np.full(count, -2)  # not labelled; -1 is a label that is none of the classes
    known[labeled] = labels
    rows, scores = np.empty(budget, np.int64), np.empty(budget)
    for turn in range(budget):
        label = rng.integers(classes)
        place, scores[turn] = next_on_line(known[lines[label]], label, rng)
        rows[turn] = lines[label][place]
        known[rows[turn]] = oracle[rows[turn]]
    return rows, scores


def lines_of(probs):
    """Return the rows in the order of each class's line, (C, N) int64."""
    highest = probs.max(axis=1).astype(np.float64)
    return np.argsort(-(probs.T - highest + 1e-8 * highest), axis=1, kind="stable")


def next_on_line(known, label, rng):
    """Return the place to ask for on the line of a class, whose labels are `known` (N,), -2 for none, and its score."""
    at = np.flatnonzero(known != -2)
    free = np.flatnonzero(known == -2)
    meets = np.flatnonzero(np.diff(known[at] == label))
    gaps = at[meets + 1] - at[meets] - 1
    if (gaps > 0).any():
        run = np.where(gaps > 0, gaps, len(known)).argmin()
        place = at[meets[run]] + (gaps[run] + 1) // 2
        return place, -float(min(place - at[meets[run]], at[meets[run] + 1] - place))
    if len(meets):
        cuts = at[meets] + 0.5
        after = np.searchsorted(cuts, free)
        before, behind = np.r_[-np.inf, cuts][after], np.r_[cuts, np.inf][after]
        distances = np.minimum(free - before, behind - free)
        return free[distances.argmin()], -float(distances.min())
    return rng.choice(free), -float(len(known))
