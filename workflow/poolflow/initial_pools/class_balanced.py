"""Class-balanced: equally many images from every class; an oracle control, since it reads the labels.

What Chandra et al. (2021), "On Initial Pools for Deep Active Learning", section 3.2.2, hope for from clusters: B / C
random images of each of the C classes; what does not divide evenly goes to classes drawn at random, and what a class is
too small to give, the others give. Images without a label are never taken. Score: 0. Cost: O(N log N).
"""

import numpy as np

from poolflow.initial_pools import _rules
from poolflow.job import StageError

NEEDS = ("oracle",)
SCORED = False


def select(pool, size, rng):
    """Return `size` rows, one class after another in turn. StageError where fewer have a label."""
    known = np.flatnonzero(pool.oracle >= 0)
    if size > len(known):
        raise StageError(f"initial_size: found {size}, expected at most the {len(known)} images with a label")
    return _rules.in_turn(pool.oracle, rng.permutation(known), size, rng, "equal"), np.zeros(size)
