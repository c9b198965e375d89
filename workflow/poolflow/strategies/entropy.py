"""Entropy sampling: ask for the images whose predicted class distribution has the largest entropy.

Shannon (1948); Settles (2009), section 3.1. Score: -sum_c p_c ln p_c, in nats.
Cost: one forward pass over the pool, then O(N C).
"""

from poolflow.kernels import entropy, top_k

NEEDS = ("probs",)


def select(pool, budget, rng):
    """Return the `budget` unlabelled rows of the highest score, best first."""
    return top_k(entropy(pool.probs), budget, rows=pool.unlabeled)
