"""Least certain sets of one true class: an oracle control of `min_sets`, since it reads the labels.

Kaeding et al. (2016), sections 2 and 3: `sets` random sets of `size` images, each of one true class drawn at random.
`min_sets` does the same with the predicted classes, which a strategy may see. Images without a label are never taken.
Score: 1 - the mean of max_c p_c over the set. Cost: one forward pass over the pool, then O(N C + M (N + K)) for M sets
of K.
"""

from poolflow.kernels import least_confidence
from poolflow.strategies._sets import select_sets

NEEDS = ("probs", "oracle")
SCORED = False
BOUNDS = {"sets": ">= 1", "size": ">= 1"}


def select(pool, budget, rng, sets: int = 1000, size: int = 25):
    """Return `budget` unlabelled rows, set after set, and the score of each one's set."""
    values = least_confidence(pool.probs)
    return select_sets(pool, budget, rng, lambda members: values[members].mean(), sets, size, pool.oracle)
