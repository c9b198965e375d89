"""Margin sampling: ask for the images whose two most probable classes are closest.

Scheffer, Decomain & Wrobel (2001); Settles (2009), section 3.1. Score: 1 - (p_1st - p_2nd).
Cost: one forward pass over the pool, then O(N C).
"""

from poolflow.kernels import margin, top_k

NEEDS = ("probs",)


def select(pool, budget, rng):
    """Return the `budget` unlabelled rows of the highest score, best first."""
    return top_k(margin(pool.probs), budget, rows=pool.unlabeled)
