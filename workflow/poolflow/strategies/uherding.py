"""UHerding: MaxHerding in which an image counts by how uncertain the network is about it.

Bae et al. (2025), "Uncertainty herding". Weights: 1 - (p_1st - p_2nd), with the probabilities as they are (the paper
calibrates them first). The kernel's width is the smallest distance between two labelled images, the paper's adaptive
radius, but `sigma` at most; of penultimate features scaled to length 1. Score: by how much the pick raised the weighted
coverage. Cost: one forward pass over the pool, then as MaxHerding.
"""

import numpy as np
from sklearn.neighbors import NearestNeighbors

from poolflow.kernels import margin, max_herding, unit

NEEDS = ("probs", "features")
BOUNDS = {"sigma": "> 0"}


def select(pool, budget, rng, sigma=1.0):
    """Return `budget` unlabelled rows in the order picked."""
    features = unit(pool.features)
    if len(pool.labeled) > 1:
        apart, _ = NearestNeighbors(n_neighbors=1).fit(features[pool.labeled]).kneighbors()
        sigma = min(sigma, apart[apart > 0].min(initial=np.inf))
    return max_herding(features, pool.labeled, budget, sigma, margin(pool.probs))
