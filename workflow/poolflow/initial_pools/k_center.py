"""K-center: the image farthest from all those chosen so far, one after another.

Gonzalez (1985), the greedy of Sener & Savarese (2018), on the features of a pretext task, where Chandra et al. (2021),
"On Initial Pools for Deep Active Learning", choose without labels as well. Euclidean distance; the first is the image
farthest from the mean. Score: the distance to the nearest chosen before it, of the first that to the mean. Cost: the
pretext task, then O(B N D) time and O(N) memory beside the features.
"""

from poolflow.kernels import k_center_greedy

NEEDS = ("features",)
PRETEXT = "simclr"


def select(pool, size, rng):
    """Return `size` rows in the order picked."""
    return k_center_greedy(pool.features, pool.labeled, size, return_distances=True)
