"""DIRECT: find the threshold of each class in spite of wrong labels, and ask around it (Nuggehalli et al. 2024)."""

import math

import numpy as np

from poolflow.kernels.galaxy import lines_of


def direct(probs, labeled, labels, oracle, budget, rng, parallel=20, least=60):
    """Return `budget` rows, chosen with the labels of those before.

    On the line of a class k (see `poolflow.kernels.galaxy`) half of the budget narrows down where k ends. In the order
    of their labelled rows the rarest classes come first: all of them, with an equal share each, or as many as get
    `least` rows. Between the last row of k before the first that is not, and the mirror of it, `parallel` rows at a
    time are drawn and labelled; then the end with the lower accuracy moves inwards, until the unlabelled rows between
    are as many as leave one after all rounds. The accuracy of a threshold is the number of labels of k before it and
    of others behind it, less that of the others. The other half goes, in equal parts, to each class around the
    threshold of the highest accuracy, in turn to its left and to its right.

    Parameters
    ----------
    probs : (N, C) float
    labeled, labels : (L,) int64
    oracle : (N,) int64
        The class of every row, of which those of the rows chosen are looked at.
    budget : int
    rng : numpy.random.Generator
    parallel, least : int
        B1 and the smallest share of a class in the authors' code.

    Returns
    -------
    (budget,) int64, in the order chosen
    """
    count, classes = probs.shape
    lines, known, chosen = lines_of(probs), np.full(count, -2), []  # -2: not labelled; -1: none of the classes
    known[labeled] = labels

    def take(rows):
        known[rows] = oracle[rows]
        chosen.extend(rows.tolist())

    share = budget // classes // 2
    among = classes if share < least else budget // (2 * least)
    sizes = np.bincount(labels[labels >= 0], minlength=classes)
    for label in np.argsort(-sizes, kind="stable")[classes - min(among, classes) :]:
        narrow(lines[label], label, known, take, min(share, least), parallel, rng)
    left = budget - len(chosen)
    for turn, label in enumerate(rng.permutation(classes)):
        place = accuracies(signs(known[lines[label]], label)).argmax()
        asked = left * (turn + 1) // classes - left * turn // classes
        take(around(lines[label], place, known)[:asked])
    take(rng.permutation(np.flatnonzero(known == -2))[: budget - len(chosen)])
    return np.array(chosen)


def signs(known, label):
    """Return 1 for rows labelled as the class, -1 for those labelled otherwise, 0 for others."""
    return np.where(known == -2, 0, np.where(known == label, 1, -1))


def accuracies(votes):
    """Return the accuracy of each threshold, (N + 1,): the votes before it less those behind it."""
    before = np.r_[0, np.cumsum(votes)]
    return 2 * before - before[-1]


def narrow(line, label, known, take, budget, parallel, rng):
    """Draw and label rows between the two ends of a class's line, and move the ends, round after round."""
    votes = signs(known[line], label)
    first, last = ends(votes)
    while budget > 0:
        inside = np.arange(first, last + 1)
        free = inside[known[line[inside]] == -2]
        if not len(free):
            return
        take(line[rng.choice(free, min(parallel, budget, len(free)), replace=False)])
        unknown = known[line] == -2
        width, rounds = int(unknown[first : last + 1].sum()), budget // parallel
        target = math.ceil(width / width ** (1 / rounds)) if rounds > 1 and width else width
        of = accuracies(signs(known[line], label))
        while width > target:
            from_left = of[first] < of[last] if of[first] != of[last] else rng.random() < 0.5
            width -= int(unknown[first if from_left else last])
            first, last = (first + 1, last) if from_left else (first, last - 1)
        budget -= min(parallel, budget)


def ends(votes):
    """Return the place of the last vote of 1 before the first of -1, and of the first of -1 behind the last of 1."""
    others, own = np.flatnonzero(votes < 0), np.flatnonzero(votes > 0)
    before = own[own < others[0]] if len(others) else own
    behind = others[others > own[-1]] if len(own) else others
    return before[-1] if len(before) else 0, behind[0] if len(behind) else len(votes) - 1


def around(line, place, known):
    """Return the unlabelled rows of a line in turn to the left and to the right of a threshold, the nearest first."""
    left, right = line[:place][::-1], line[place:]
    left, right = left[known[left] == -2], right[known[right] == -2]
    both = min(len(left), len(right))
    return np.concatenate([np.column_stack([left[:both], right[:both]]).ravel(), left[both:], right[both:]])
