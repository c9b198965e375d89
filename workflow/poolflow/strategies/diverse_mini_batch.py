"""Diverse mini-batch: cluster the most uncertain images, weighted by uncertainty, and take each cluster's centre.

Zhdanov (2019): the `factor` x b images of the smallest margin, k-means into b clusters on their penultimate features,
weighted by 1 - (p_1st - p_2nd); of a cluster the image nearest to its centre. Score: minus the distance to the centre.
Cost: one forward pass over the pool, then O(factor b^2 D) for each iteration of k-means.
"""

import numpy as np

from poolflow.kernels import margin, nearest_to_centres, top_k

NEEDS = ("probs", "features")
BOUNDS = {"factor": ">= 1"}


def select(pool, budget, rng, factor: int = 10):
    """Return one row for each cluster, the nearest to its centre first."""
    count = min(factor * budget, len(pool.unlabeled))
    rows, uncertainty = top_k(margin(pool.probs), count, rows=pool.unlabeled)
    weights = np.maximum(uncertainty, 1e-9)
    places, distances = nearest_to_centres(pool.features[rows], budget, rng, weights)
    return rows[places], -distances
