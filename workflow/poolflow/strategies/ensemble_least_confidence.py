"""Ensemble least confidence: ask where the mean over the members is least sure of its class.

Beluch et al. (2018); the ENS-LC of Chandra et al. (2021), with three members (`training.members`).
Score: 1 - max_c m_c of the mean m. Cost: K networks to train and run, then O(N K C).
"""

from poolflow.kernels import least_confidence, mean_probs, top_k

NEEDS = ("ensemble_probs",)


def select(pool, budget, rng):
    """Return the `budget` unlabelled rows of the highest score, best first."""
    return top_k(least_confidence(mean_probs(pool.ensemble_probs)), budget, rows=pool.unlabeled)
