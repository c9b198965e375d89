"""Random sets: sets of images of one class; the control of the strategies that ask for sets.

A baseline of EMOC in Kaeding et al. (2016), section 3. `sets` random sets of `size` images, each of one class drawn at
random, the best first and then the best that shares no image with those taken; the last one is cut to the budget. The
class is the predicted one; the paper's, the true one, is that of the control `random_sets_oracle`. Score: 0. Cost: one
forward pass over the pool, then O(N C + M (N + K)) for M sets of K.
"""

from poolflow.strategies._sets import select_sets

NEEDS = ("probs",)
SCORED = False
BOUNDS = {"sets": ">= 1", "size": ">= 1"}


def select(pool, budget, rng, sets: int = 1000, size: int = 25):
    """Return `budget` unlabelled rows, set after set, and the score of each one's set."""
    return select_sets(pool, budget, rng, lambda members: 0.0, sets, size, pool.probs.argmax(axis=1))
