"""Ensemble margin: ask where the two most probable classes of the mean over the members are closest.

Beluch et al. (2018); the ENS-MM of Chandra et al. (2021), with three members (`training.members`).
Score: 1 - (m_1st - m_2nd) of the mean m. Cost: K networks to train and run, then O(N K C).
"""

from poolflow.kernels import margin, mean_probs, top_k

NEEDS = ("ensemble_probs",)


def select(pool, budget, rng):
    """Return the `budget` unlabelled rows of the highest score, best first."""
    return top_k(margin(mean_probs(pool.ensemble_probs)), budget, rows=pool.unlabeled)
