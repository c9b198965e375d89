"""K-means centres: cluster the unlabelled images into as many clusters as images are asked for; take the centres.

On penultimate features; of a cluster the image nearest to its centre. Score: minus the distance to the centre. "A
simple baseline for low-budget active learning" (Pourahmadi, Nooralinejad & Pirsiavash 2021) does so on self-supervised
features. Cost: one forward pass over the pool, then O(N b D) for each iteration of k-means.
"""

from poolflow.kernels import nearest_to_centres

NEEDS = ("features",)


def select(pool, budget, rng):
    """Return one unlabelled row for each cluster, the nearest to its centre first."""
    places, distances = nearest_to_centres(pool.features[pool.unlabeled], budget, rng)
    return pool.unlabeled[places], -distances
