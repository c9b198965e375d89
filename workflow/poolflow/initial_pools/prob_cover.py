"""ProbCover initial pool: repeatedly pick the image whose ball of radius delta covers the most uncovered images.

Yehuda et al. (2022) with nothing labelled, on SimCLR features scaled to length 1. `delta` is a number or "auto", the
paper's rule: the largest at which 95 % of the balls have images of one cluster only, the clusters of k-means, as many
as classes. Where everything is covered, the cover starts anew. Score: how many images the pick covered anew. Cost: the
pretext task, then O(N^2 D) once, twice for "auto"; memory 14 bytes for each pair of images nearer than delta, at most
2^27 pairs, for which "auto" lowers delta.
"""

from poolflow.kernels import prob_cover, pure_delta, unit

NEEDS = ("features",)
PRETEXT = "simclr"
BOUNDS = {"delta": "auto or > 0"}


def select(pool, size, rng, delta: float | str = 0.2):
    """Return `size` rows in the order picked."""
    features = unit(pool.features)
    if delta == "auto":
        delta = pure_delta(features, pool.classes, rng)
    return prob_cover(features, pool.labeled, size, delta)
