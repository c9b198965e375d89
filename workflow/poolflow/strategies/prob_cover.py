"""ProbCover: repeatedly pick the image whose ball of radius delta covers the most uncovered images.

Yehuda et al. (2022). Distances are between penultimate features scaled to length 1, so that `delta` means the same for
every network. Score: how many images the pick covered anew. Cost: one forward pass over the pool, then O(N^2 D) once;
memory 14 bytes for each pair of images nearer than delta.
"""

from poolflow.kernels import prob_cover, unit

NEEDS = ("features",)
BOUNDS = {"delta": "> 0"}


def select(pool, budget, rng, delta=0.2):
    """Return `budget` unlabelled rows in the order picked."""
    return prob_cover(unit(pool.features), pool.labeled, budget, delta)
