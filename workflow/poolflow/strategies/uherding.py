"""UHerding: MaxHerding in which an image counts by how uncertain the network is about it.

Bae et al. (2025), "Uncertainty herding". Weights: 1 - (p_1st - p_2nd), with the probabilities as they are (the paper
calibrates them first); where the network is sure of all, all count alike. The kernel's width is the paper's adaptive
radius but `sigma` at most, with penultimate features scaled to length 1: by `radius` the smallest distance above 0
between two labelled images, as in the authors' code, which one close pair makes small for the whole pool, or the median
of the labelled images' distances to the nearest other one. Score: by how much the pick raised the weighted coverage.
Cost: one forward pass over the pool, then as MaxHerding.
"""

import numpy as np
from sklearn.neighbors import NearestNeighbors

from poolflow.kernels import margin, max_herding, unit

NEEDS = ("probs", "features")
BOUNDS = {"sigma": "> 0", "radius": "smallest or median"}


def select(pool, budget, rng, sigma=1.0, radius="smallest"):
    """Return `budget` unlabelled rows in the order picked."""
    features = unit(pool.features)
    known = np.unique(features[pool.labeled], axis=0)
    if len(known) > 1:
        apart, _ = NearestNeighbors(n_neighbors=1).fit(known).kneighbors()
        apart = apart[apart > 0]  # rounding leaves nothing between very near ones
        width = np.min if radius == "smallest" else np.median
        sigma = min(sigma, width(apart)) if len(apart) else sigma
    weights = margin(pool.probs)
    return max_herding(features, pool.labeled, budget, sigma, weights if weights.any() else None)
