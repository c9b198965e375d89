"""MC-dropout least confidence: ask where the mean over passes is least sure of its class.

Gal, Islam & Ghahramani (2017), variation ratios. Score: 1 - max_c m_c of the mean m over passes with dropout. Cost: T
passes of what comes after the first dropout, then O(N T C).
"""

from poolflow.kernels import least_confidence, mean_probs, top_k

NEEDS = ("mc_probs",)


def select(pool, budget, rng):
    """Return the `budget` unlabelled rows of the highest score, best first."""
    return top_k(least_confidence(mean_probs(pool.mc_probs)), budget, rows=pool.unlabeled)
