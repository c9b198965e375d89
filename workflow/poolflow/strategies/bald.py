"""BALD: ask for the images whose label would tell most about which pass with dropout is right.

Houlsby et al. (2011); Gal, Islam & Ghahramani (2017). Score: the mutual information H(mean_t p_t) - mean_t H(p_t), in
nats. Cost: T passes of what comes after the first dropout, then O(N T C).
"""

from poolflow.kernels import bald, top_k

NEEDS = ("mc_probs",)


def select(pool, budget, rng):
    """Return the `budget` unlabelled rows of the highest score, best first."""
    return top_k(bald(pool.mc_probs), budget, rows=pool.unlabeled)
