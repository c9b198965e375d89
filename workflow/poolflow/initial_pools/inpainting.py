"""Inpainting initial pool: the images whose hidden middle is reconstructed worst.

Chandra et al. (2021), "On Initial Pools for Deep Active Learning", section 3.2.1, eq. 1, where it is proposed and not
run (section 5.1): highest error of the hidden part first. Score: the error. Cost: the pretext
task, then O(N log N).
"""

from poolflow.initial_pools import _rules

NEEDS = ("scores",)
PRETEXT = "inpainting"


def select(pool, size, rng):
    """Return the `size` rows of highest loss, the highest first."""
    return _rules.highest(pool, size)
