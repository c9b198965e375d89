"""Variation ratio of an ensemble: ask for the images on whose class the fewest members agree.

Freeman (1965); Beluch et al. (2018), the ENS-varR of Chandra et al. (2021) with three members (`training.members`).
Score: 1 - the share of the most frequent class among the members' votes. With few members most images tie, and ties go
to the lower row. Cost: K networks to train and run, then O(N K C).
"""

from poolflow.kernels import top_k, variation_ratio

NEEDS = ("ensemble_probs",)
LEARNER = "ensemble"


def select(pool, budget, rng):
    """Return the `budget` unlabelled rows of the highest score, best first."""
    return top_k(variation_ratio(pool.ensemble_probs), budget, rows=pool.unlabeled)
