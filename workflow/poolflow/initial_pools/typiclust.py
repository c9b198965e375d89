"""TypiClust initial pool: the most typical image of each cluster, with as many clusters as images asked for.

Hacohen, Dekel & Weinshall (2022), TPC_RP with nothing labelled, on SimCLR features scaled to length 1. k-means makes
min(B, `max_clusters`) clusters; the largest come first, those of no more than 5 images when the others are used up.
Typicality is the inverse of the mean distance to the `neighbours` nearest images of the cluster. Score: the typicality
when picked. Cost: the pretext task, then k-means, O(N K D) an iteration, and the neighbours within clusters,
O(N^2 D / K).
"""

from poolflow.kernels import typiclust, unit

NEEDS = ("features",)
PRETEXT = "simclr"
BOUNDS = {"max_clusters": ">= 1", "neighbours": ">= 1"}


def select(pool, size, rng, max_clusters: int = 500, neighbours: int = 20):
    """Return `size` rows in the order picked."""
    return typiclust(unit(pool.features), pool.labeled, size, rng, max_clusters, neighbours)
