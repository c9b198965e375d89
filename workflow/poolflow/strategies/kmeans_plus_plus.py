"""K-means++ seeding: draw images one after another, far from the ones drawn before.

Arthur & Vassilvitskii (2007): each with a probability in proportion to the squared distance of its penultimate features
to the nearest one drawn, greedily the best of 2 + ln b trials, as scikit-learn does. What is labelled already does not
count. Score: none; the picks are in order of the draw, with score 0. Cost: one forward pass, then O(N b D ln b).
"""

import numpy as np
from sklearn.cluster import kmeans_plusplus

NEEDS = ("features",)
SCORED = False


def select(pool, budget, rng):
    """Return `budget` unlabelled rows in the order drawn."""
    features = pool.features[pool.unlabeled]
    _, places = kmeans_plusplus(features, budget, random_state=int(rng.integers(2**31)))
    # Where all that is left lies on what was drawn, scikit-learn draws rows again.
    places = np.array(list(dict.fromkeys(places.tolist())))
    rest = np.setdiff1d(np.arange(len(features)), places)
    return pool.unlabeled[np.concatenate([places, rest])[:budget]], np.zeros(budget)
