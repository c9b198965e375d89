"""ProbCover initial pool: repeatedly pick the image whose ball of radius delta covers the most uncovered images.

Yehuda et al. (2022) with nothing labelled, on SimCLR features scaled to length 1. Where everything is covered, the
cover starts anew. Score: how many images the pick covered anew. Cost: the pretext task, then O(N^2 D) once; memory 14
bytes for each pair of images nearer than delta.
"""

from poolflow.kernels import prob_cover, unit

NEEDS = ("features",)
PRETEXT = "simclr"
BOUNDS = {"delta": "> 0"}


def select(pool, size, rng, delta=0.2):
    """Return `size` rows in the order picked."""
    return prob_cover(unit(pool.features), pool.labeled, size, delta)
