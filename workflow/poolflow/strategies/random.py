"""Random sampling: the baseline that every strategy must beat.

Uniform without replacement. Needs no network. Cost: O(N).
"""

import numpy as np

NEEDS = ()
SCORED = False


def select(pool, budget, rng):
    """Return `budget` unlabelled rows in the order drawn; scores are 0."""
    return rng.choice(pool.unlabeled, budget, replace=False), np.zeros(budget)
