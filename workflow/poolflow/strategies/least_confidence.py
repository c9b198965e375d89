"""Least confidence: ask for the images whose most probable class is least probable.

Lewis & Gale (1994); Settles (2009), section 3.1; "softmax response" in Geifman & El-Yaniv (2017). Score: 1 - max_c p_c.
Cost: one forward pass over the pool, then O(N C).
"""

from poolflow.kernels import least_confidence, top_k

NEEDS = ("probs",)


def select(pool, budget, rng):
    """Return the `budget` unlabelled rows of the highest score, best first."""
    return top_k(least_confidence(pool.probs), budget, rows=pool.unlabeled)
