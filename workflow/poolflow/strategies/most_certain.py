"""Most certain: ask for the images whose predicted class is most probable; a control.

The "max" of Kaeding et al. (2016), section 3, which they find worse than random. Score: max_c p_c - 1.
Cost: one forward pass over the pool, then O(N C).
"""

from poolflow.kernels import least_confidence, top_k

NEEDS = ("probs",)


def select(pool, budget, rng):
    """Return the `budget` unlabelled rows of the highest score, best first."""
    return top_k(-least_confidence(pool.probs), budget, rows=pool.unlabeled)
