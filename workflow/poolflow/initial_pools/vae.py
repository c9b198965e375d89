"""VAE initial pool: the images that a variational autoencoder reconstructs worst.

Chandra et al. (2021), "On Initial Pools for Deep Active Learning", sections 3.2.1 (eq. 1) and 5.2: highest error of the
reconstruction first. Score: the error. Cost: the pretext task, then O(N log N).
"""

from poolflow.initial_pools import _rules

NEEDS = ("scores",)
PRETEXT = "vae"


def select(pool, size, rng):
    """Return the `size` rows of highest loss, the highest first."""
    return _rules.highest(pool, size)
