"""Random initial pool: the control that every other initial pool is compared with.

Uniform without replacement. Cost: O(N).
"""

import numpy as np

NEEDS = ()
SCORED = False


def select(pool, size, rng):
    """Return `size` rows in the order drawn; scores are 0."""
    return rng.choice(pool.unlabeled, size, replace=False), np.zeros(size)
