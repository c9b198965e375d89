"""K-means centres: as many clusters as images asked for, and of each the image nearest to its centre.

"A simple baseline for low-budget active learning" (Pourahmadi, Nooralinejad & Pirsiavash 2021) on self-supervised
features, the centroid start of Gupte et al. (2024) on those of a foundation model. Score: minus the distance to the
centre. Cost: the pretext task, then O(N B D) an iteration of k-means.
"""

from poolflow.kernels import nearest_to_centres

NEEDS = ("features",)
PRETEXT = "simclr"


def select(pool, size, rng):
    """Return one row for each cluster, the nearest to its centre first."""
    rows, distances = nearest_to_centres(pool.features, size, rng)
    return rows, -distances
