"""SCAN initial pool: random images from each cluster of SCAN.

Chandra et al. (2021), "On Initial Pools for Deep Active Learning", sections 3.2.2 and 5.2: SCAN on SimCLR, one cluster
for each class; B / K images of each, or with quota="proportional" |C_j| B / N. Score: 0. Cost: the pretext tasks, then
O(N log N).
"""

from poolflow.initial_pools import _rules

NEEDS = ("clusters",)
SCORED = False
PRETEXT = "scan"
BOUNDS = {"quota": "equal or proportional"}


def select(pool, size, rng, quota="equal"):
    """Return `size` rows, one cluster after another in turn."""
    return _rules.per_cluster(pool, size, rng, quota)
