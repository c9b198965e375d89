"""TypiClust: cluster the pool, and take the most typical image from the largest clusters without a label.

Hacohen, Dekel & Weinshall (2022), TPC_RP; on penultimate features scaled to length 1. k-means makes min(L + b,
`max_clusters`) clusters; typicality is the inverse of the mean distance to the `neighbours` nearest images of the
cluster. Score: the typicality when picked. Cost: one forward pass over the pool, then k-means, O(N K D) an iteration,
and the neighbours within clusters, O(N^2 D / K).
"""

from poolflow.kernels import typiclust, unit

NEEDS = ("features",)
BOUNDS = {"max_clusters": ">= 1", "neighbours": ">= 1"}


def select(pool, budget, rng, max_clusters: int = 500, neighbours: int = 20):
    """Return `budget` unlabelled rows in the order picked."""
    return typiclust(unit(pool.features), pool.labeled, budget, rng, max_clusters, neighbours)
