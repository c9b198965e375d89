"""Per cluster: random images from each cluster of a pretext task.

Chandra et al. (2021), "On Initial Pools for Deep Active Learning", section 3.2.2: with quota="equal" B / K of each of
the K clusters, with "proportional" |C_j| B / N. What does not divide evenly goes to clusters drawn at random, or by
largest remainder; what a cluster is too small to give, the others give. Score: 0. Cost: the pretext task, then
O(N log N).
"""

from poolflow.initial_pools import _rules

NEEDS = ("clusters",)
SCORED = False
BOUNDS = {"quota": "equal or proportional"}


def select(pool, size, rng, quota="equal"):
    """Return `size` rows, one cluster after another in turn."""
    return _rules.per_cluster(pool, size, rng, quota)
