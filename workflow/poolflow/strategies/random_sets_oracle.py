"""Random sets of one true class; an oracle control, since it reads the labels.

`random_sets` as Kaeding et al. (2016), section 3, have it, which draw each set from the images of one true class; only
for comparisons with the paper. Score: 0. Cost: O(M (N + K)) for M sets of K.
"""

from poolflow.strategies._sets import select_sets

NEEDS = ("oracle",)
SCORED = False
BOUNDS = {"sets": ">= 1", "size": ">= 1"}


def select(pool, budget, rng, sets: int = 1000, size: int = 25):
    """Return `budget` unlabelled rows, set after set, and the score of each one's set."""
    return select_sets(pool, budget, rng, lambda members: 0.0, sets, size, pool.oracle)
