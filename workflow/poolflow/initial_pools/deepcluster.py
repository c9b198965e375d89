"""DeepCluster initial pool: random images from each cluster of DeepCluster.

Chandra et al. (2021), "On Initial Pools for Deep Active Learning", section 3.2.2, where it is proposed and not run
(section 5.1): B / K images of each cluster, or with quota="proportional" |C_j| B / N. Score: 0. Cost: the pretext task,
then O(N log N).
"""

from poolflow.initial_pools import _rules

NEEDS = ("clusters",)
SCORED = False
PRETEXT = "deepcluster"
BOUNDS = {"quota": "equal or proportional"}


def select(pool, size, rng, quota="equal"):
    """Return `size` rows, one cluster after another in turn."""
    return _rules.per_cluster(pool, size, rng, quota)
