"""BADGE: k-means++ seeding on the gradients of the last layer, so that a batch is uncertain and diverse.

Ash et al. (2020), Algorithm 1. The gradient is that of the loss for the predicted class, (p - onehot(argmax p)) x h
with the penultimate features h; it is never formed. Score: none; the picks are in order of the draw, with score 0.
Cost: one forward pass over the pool, then O(N (C + D)) for each pick at most; memory O(N C) beside the features.
"""

import numpy as np

from poolflow.kernels import badge

NEEDS = ("probs", "features")
SCORED = False


def select(pool, budget, rng):
    """Return `budget` unlabelled rows in the order drawn."""
    places = badge(pool.probs[pool.unlabeled], pool.features[pool.unlabeled], budget, rng)
    return pool.unlabeled[places], np.zeros(budget)
