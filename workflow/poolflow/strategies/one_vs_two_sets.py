"""Margin of sets, 1-vs-2: ask for sets whose images are, on average, closest to a second class.

A baseline of EMOC in Kaeding et al. (2016), section 3. `sets` random sets of `size` images, each of one class drawn at
random, the best first and then the best that shares no image with those taken; the last one is cut to the budget. The
class is the predicted one; the paper's, the true one, is that of the control `one_vs_two_sets_oracle`. Score: 1 - the
mean of p_1st - p_2nd over the set. Cost: one forward pass over the pool, then O(N C + M (N + K)) for M sets of K.
"""

from poolflow.kernels import margin
from poolflow.strategies._sets import select_sets

NEEDS = ("probs",)
SCORED = False
BOUNDS = {"sets": ">= 1", "size": ">= 1"}


def select(pool, budget, rng, sets: int = 1000, size: int = 25):
    """Return `budget` unlabelled rows, set after set, and the score of each one's set."""
    values = margin(pool.probs)
    return select_sets(pool, budget, rng, lambda members: values[members].mean(), sets, size, pool.probs.argmax(axis=1))
