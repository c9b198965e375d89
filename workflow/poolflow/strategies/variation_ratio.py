"""Variation ratio of an ensemble: ask for the images on whose class the fewest members agree.

Freeman (1965); Beluch et al. (2018), the ENS-varR of Chandra et al. (2021) with three members (`training.members`).
Score: 1 - the share of the most frequent class among the members' votes; ties in a vote count once, ties in the
score go to the lowest row. Cost: K networks to train and run, then O(N K C).
"""

import numpy as np

from poolflow.kernels import top_k

NEEDS = ("ensemble_probs",)
LEARNER = "ensemble"


def select(pool, budget, rng):
    """Return the `budget` unlabelled rows of the highest score, best first."""
    votes = pool.ensemble_probs.argmax(axis=2)
    most = np.max([(votes == label).sum(axis=1) for label in range(pool.classes)], axis=0)
    return top_k(1 - most / votes.shape[1], budget, rows=pool.unlabeled)
