"""SimCLR initial pool: the images whose contrastive loss is highest.

Chandra et al. (2021), "On Initial Pools for Deep Active Learning", sections 3.2.1 (eq. 1) and 5.2: the mean of the loss
between an image and four variants of it, highest first. The published code scores an image against its own views alone,
so that its contrastive loss is 0 for every image; here the denominator holds negatives. It is highest for images that
many others resemble, such as MNIST's ones, not for odd ones: read the class histogram of the pool before you use it.
Score: the loss. Cost: the pretext task, then O(N log N).
"""

from poolflow.initial_pools import _rules

NEEDS = ("scores",)
PRETEXT = "simclr"


def select(pool, size, rng):
    """Return the `size` rows of highest loss, the highest first."""
    return _rules.highest(pool, size)
