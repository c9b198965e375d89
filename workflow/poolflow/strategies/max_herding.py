"""MaxHerding: repeatedly pick the image that most raises the coverage of the pool by a Gaussian kernel.

Bae et al. (2024). Coverage: the mean over the pool of the highest exp(-|h - h_s|^2 / sigma^2) over the labelled images
s, of penultimate features scaled to length 1. Score: by how much the pick raised it. Cost: one forward pass over the
pool, then O(N^2 D) once and O(N D) for each image looked at again; memory O(N D).
"""

from poolflow.kernels import max_herding, unit

NEEDS = ("features",)
BOUNDS = {"sigma": "> 0"}


def select(pool, budget, rng, sigma=1.0):
    """Return `budget` unlabelled rows in the order picked."""
    return max_herding(unit(pool.features), pool.labeled, budget, sigma)
