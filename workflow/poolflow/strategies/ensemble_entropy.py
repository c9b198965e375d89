"""Ensemble entropy: ask where the mean over the members has the largest entropy.

Beluch et al. (2018); the ENS-ME of Chandra et al. (2021), with three members (`training.members`).
Score: -sum_c m_c ln m_c of the mean m, in nats. Cost: K networks to train and run, then O(N K C).
"""

from poolflow.kernels import entropy, mean_probs, top_k

NEEDS = ("ensemble_probs",)


def select(pool, budget, rng):
    """Return the `budget` unlabelled rows of the highest score, best first."""
    return top_k(entropy(mean_probs(pool.ensemble_probs)), budget, rows=pool.unlabeled)
