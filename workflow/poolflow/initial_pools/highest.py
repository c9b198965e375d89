"""Highest first: the images that a pretext task finds hardest.

Chandra et al. (2021), "On Initial Pools for Deep Active Learning", section 3.2.1, eq. 1: argmax_i L(x_i; theta), L the
loss of the task. Score: the loss. Cost: the pretext task, then O(N log N).
"""

from poolflow.initial_pools import _rules

NEEDS = ("scores",)


def select(pool, size, rng):
    """Return the `size` rows of highest loss, the highest first."""
    return _rules.highest(pool, size)
