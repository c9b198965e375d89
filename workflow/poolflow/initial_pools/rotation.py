"""Rotation initial pool: the images whose rotation is hardest to recognise.

Chandra et al. (2021), "On Initial Pools for Deep Active Learning", section 3.2.1, eq. 1, where it is proposed and not
run (section 5.1): highest loss of the rotation task first. Score: the loss. Cost: the pretext task, then
O(N log N).
"""

from poolflow.initial_pools import _rules

NEEDS = ("scores",)
PRETEXT = "rotation"


def select(pool, size, rng):
    """Return the `size` rows of highest loss, the highest first."""
    return _rules.highest(pool, size)
