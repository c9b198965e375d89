"""DCoM: cover the pool by balls at first, and ask for uncertain images once the balls that the network gets right do.

Mishal & Weinshall (2024), on features scaled to length 1: the network's, or better those of a pretext task. The radius
of a labelled image's ball is the largest in which enough images are predicted to be of its class; the share of the pool
in such balls says how competent the network is, and so how much uncertainty, 1 - (p_1st - p_2nd), counts beside
coverage; see `poolflow.kernels.dcom`. Radii are found anew in each cycle, by the last network, where the authors' code
keeps those of earlier cycles. `delta` is the first radius. Score: the mixture when picked. Cost: one forward pass over
the pool, then O(L N D) and as ProbCover.
"""

from poolflow.kernels import dcom, margin, unit

NEEDS = ("probs", "features", "labels")
BOUNDS = {"delta": "> 0"}


def select(pool, budget, rng, delta: float = 0.6):
    """Return `budget` unlabelled rows in the order picked."""
    features, predicted = unit(pool.features), pool.probs.argmax(axis=1)
    return dcom(features, margin(pool.probs), predicted, pool.labeled, pool.labels, budget, delta)
