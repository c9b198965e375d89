"""Centroid: from each cluster, the images nearest to its centre.

The clusters and quotas of Chandra et al. (2021), "On Initial Pools for Deep Active Learning", section 3.2.2, with the
images nearest to mu_j = sum_{i in C_j} h_i / |C_j| in place of random ones. Score: minus the
Euclidean distance. Cost: the pretext tasks, then O(N D + N log N); memory one cluster in float64.
"""

import numpy as np

from poolflow.initial_pools import _rules

NEEDS = ("features", "clusters")
PRETEXT = "kmeans"
BOUNDS = {"quota": "equal or proportional"}


def select(pool, size, rng, quota="equal"):
    """Return `size` rows, one cluster after another in turn, of each the nearest to its centre first."""
    distances = np.empty(pool.size)
    for cluster in np.unique(pool.clusters):
        rows = np.flatnonzero(pool.clusters == cluster)
        features = pool.features[rows].astype(np.float64)
        distances[rows] = np.linalg.norm(features - features.mean(axis=0), axis=1)
    rows = _rules.in_turn(pool.clusters, np.argsort(distances, kind="stable"), size, rng, quota)
    return rows, -distances[rows]
