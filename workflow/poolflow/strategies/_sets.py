"""The choice among random sets of images, each of one class (Kaeding et al. 2016, sections 2 and 3)."""

import numpy as np

from poolflow.job import StageError


def select_sets(pool, budget, rng, score, sets, size, classes):
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
    sets, size : int
    classes : (N,) int
        The class of each row: the predicted one or, in a control, the true one, as in the paper. Rows below 0 have none
        and are not taken.

    Raises
    ------
    StageError
        When fewer than `budget` unlabelled rows have a class.
    """
    rows = pool.unlabeled[classes[pool.unlabeled] >= 0]
    if budget > len(rows):
        raise StageError(f"budget: found {budget}, expected at most the {len(rows)} images left that have a label")
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
