"""Cluster-Margin: take the images of small margin from as many clusters as possible, the small clusters first.

Citovsky et al. (2021), Algorithm 2: of the `factor` x b images of the smallest margin, one from each cluster in turn,
in the order of the clusters' sizes, until b are taken: of a cluster the one of the smallest margin first, or with
member="random", as the paper has it, a random one. The clusters are those of average linkage on penultimate
features, cut so that there are `factor` images in one on average. The paper clusters the whole pool once; here it is
the images of small margin, in each cycle, since the whole needs N x N distances. Score: 1 - (p_1st - p_2nd). Cost: one
forward pass over the pool, then O((factor b)^2 D) time and (factor b)^2 / 2 distances in memory.
"""

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage

from poolflow.kernels import margin, top_k

NEEDS = ("probs", "features")
BOUNDS = {"factor": ">= 1", "member": "margin or random"}


def select(pool, budget, rng, factor: int = 10, member: str = "margin"):
    """Return `budget` unlabelled rows in the order taken."""
    count = min(factor * budget, len(pool.unlabeled))
    rows, scores = top_k(margin(pool.probs), count, rows=pool.unlabeled)
    if count == 1:
        return rows, scores
    clusters = fcluster(linkage(pool.features[rows], "average"), max(1, count // factor), "maxclust")
    sizes = np.bincount(clusters)
    # In the order of their margin, or a random one, each row's number within its cluster is the turn that takes it.
    order = np.arange(count) if member == "margin" else rng.permutation(count)
    turns = np.empty(count, np.int64)
    for cluster in np.unique(clusters):
        turns[order[clusters[order] == cluster]] = np.arange(sizes[cluster])
    taken = np.lexsort((clusters, sizes[clusters], turns))[:budget]
    return rows[taken], scores[taken]
