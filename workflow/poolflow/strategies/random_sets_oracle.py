"""Random sets of one true class: an oracle control of `random_sets`, since it reads the labels.

Kaeding et al. (2016), sections 2 and 3: `sets` random sets of `size` images, each of one true class drawn at random.
`random_sets` does the same with the predicted classes, which a strategy may see. Images without a label are never
taken. Score: 0. Cost: O(M (N + K)) for M sets of K; it needs no network.
"""

from poolflow.strategies._sets import select_sets

NEEDS = ("oracle",)
SCORED = False
BOUNDS = {"sets": ">= 1", "size": ">= 1"}


def select(pool, budget, rng, sets: int = 1000, size: int = 25):
    """Return `budget` unlabelled rows, set after set, and the score of each one's set."""
    return select_sets(pool, budget, rng, lambda members: 0.0, sets, size, pool.oracle)
