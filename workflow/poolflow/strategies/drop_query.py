"""DropQuery: cluster the images whose class changes under dropout, and take the centre of each cluster.

Gupte et al. (2024), "Revisiting active learning in the era of vision foundation models": an image is a candidate when
at least half of the first `passes` passes with dropout predict another class than the network without; k-means with b
clusters on their penultimate features, of a cluster the image nearest to its centre. Too few candidates are filled up
with the images on which most passes disagree. The paper drops input features; here it is the network's own dropout.
Score: minus the distance to the centre. Cost: T passes with dropout, then O(N b D) for each iteration of k-means.
"""

import numpy as np

from poolflow.kernels import nearest_to_centres

NEEDS = ("probs", "features", "mc_probs")
BOUNDS = {"passes": ">= 1"}


def select(pool, budget, rng, passes: int = 3):
    """Return one row for each cluster, the nearest to its centre first."""
    votes = pool.mc_probs[pool.unlabeled, :passes].argmax(axis=2)
    changed = (votes != pool.probs[pool.unlabeled].argmax(axis=1)[:, None]).mean(axis=1)
    order = np.argsort(-changed, kind="stable")
    rows = pool.unlabeled[order[: max(budget, (changed >= 0.5).sum())]]
    places, distances = nearest_to_centres(pool.features[rows], budget, rng)
    return rows[places], -distances
