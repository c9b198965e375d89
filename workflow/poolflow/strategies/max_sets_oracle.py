"""Most certain sets of one true class; an oracle control, since it reads the labels.

`max_sets` as Kaeding et al. (2016), section 3, have it, which draw each set from the images of one true class; only for
comparisons with the paper. Score: the mean of max_c p_c - 1 over the set. Cost: one forward pass over the pool, then
O(N C + M (N + K)) for M sets of K.
"""

from poolflow.kernels import least_confidence
from poolflow.strategies._sets import select_sets

NEEDS = ("probs", "oracle")
SCORED = False
BOUNDS = {"sets": ">= 1", "size": ">= 1"}


def select(pool, budget, rng, sets: int = 1000, size: int = 25):
    """Return `budget` unlabelled rows, set after set, and the score of each one's set."""
    values = -least_confidence(pool.probs)
    return select_sets(pool, budget, rng, lambda members: values[members].mean(), sets, size, pool.oracle)
