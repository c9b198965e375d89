"""ProbCover: repeatedly pick the image whose ball of radius delta covers the most uncovered images.

Yehuda et al. (2022). Distances are between penultimate features scaled to length 1. `delta` is a number or "auto", the
paper's rule in each cycle: the largest at which 95 % of the balls have images of one cluster only, the clusters of
k-means, as many as classes; of a large pool with clusters far apart that may be too many pairs to hold, which is said.
Where all is covered, the cover starts anew. Score: how many images the pick covered anew. Cost: one forward pass over
the pool, then O(N^2 D) once, twice for "auto"; memory 14 bytes for each pair of images nearer than delta, at most 2^27
pairs, for which "auto" lowers delta.
"""

from poolflow.kernels import prob_cover, pure_delta, unit

NEEDS = ("features",)
BOUNDS = {"delta": "auto or > 0"}


def select(pool, budget, rng, delta: float | str = 0.2):
    """Return `budget` unlabelled rows in the order picked."""
    features = unit(pool.features)
    if delta == "auto":
        delta = pure_delta(features, pool.classes, rng)
    return prob_cover(features, pool.labeled, budget, delta)
