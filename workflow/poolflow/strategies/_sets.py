"""The choice among random sets of images, each of one class (Kaeding et al. 2016, sections 2 and 3)."""

import numpy as np

from poolflow.job import StageError


def select_sets(pool, budget, rng, score, sets, size, classes=None):
    """Return `budget` unlabelled rows made of the best sets, best set first, and for each row the score of its set.

    Each of `sets` sets is of one class, drawn at random among those of the rows that are left, and has
    `size` of its rows, drawn without replacement, or all where there are fewer. The best set is taken, then the best
    that has no row of those taken, and so on; where there is no such set, `sets` new ones are drawn from the rows that
    are left. The last set is cut to the budget. Of equal scores the set drawn first comes first.

    Parameters
    ----------
    pool : poolflow.selection.Pool
    score : function
        Maps a set, (at most `size`,) pool rows, to a float; higher means "ask first".
    classes : (N,) int64, optional
        The class of each row, by which the paper draws, and -1 for none: such a row is in no set. A strategy that does
        not see them leaves them out: then the predicted ones, of `pool.probs`, take their place.

    Raises
    ------
    StageError
        When fewer than `budget` unlabelled rows have a class.
    """
    classes = pool.probs.argmax(axis=1) if classes is None else classes
    rows = pool.unlabeled[classes[pool.unlabeled] >= 0]
    if budget > len(rows):
        raise StageError(f"budget: found {budget}, expected at most the {len(rows)} images with a known class")
    classes = classes[rows]
    chosen, scores = [], []
    while len(chosen) < budget:
        left = ~np.isin(rows, chosen)
        groups = [rows[left & (classes == label)] for label in np.unique(classes[left])]
        drawn = [groups[group] for group in rng.integers(len(groups), size=sets)]
        drawn = [rng.choice(group, min(size, len(group)), replace=False) for group in drawn]
        values = np.array([score(members) for members in drawn])
        for best in np.argsort(-values, kind="stable"):
            members = drawn[best][: budget - len(chosen)]
            if np.isin(drawn[best], chosen).any():
                continue
            chosen += members.tolist()
            scores += [values[best]] * len(members)
            if len(chosen) == budget:
                break
    return np.array(chosen), np.array(scores)
