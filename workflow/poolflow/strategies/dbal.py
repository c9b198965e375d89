"""Deep Bayesian active learning: ask where the mean over passes with dropout has the largest entropy.

Gal, Islam & Ghahramani (2017), max entropy; the DBAL of Chandra et al. (2021), with 25 passes (`training.passes`).
Score: -sum_c m_c ln m_c of the mean m, in nats. Cost: T passes of what comes after the first dropout, then O(N T C).
"""

from poolflow.kernels import mc_entropy, top_k

NEEDS = ("mc_probs",)


def select(pool, budget, rng):
    """Return the `budget` unlabelled rows of the highest score, best first."""
    return top_k(mc_entropy(pool.mc_probs), budget, rows=pool.unlabeled)
