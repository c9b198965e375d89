"""Variation ratio of an ensemble: ask for the images whose class the fewest members agree on.

Freeman (1965); Beluch et al. (2018), the ENS-varR of Chandra et al. (2021) with three members (`training.members`).
Score: 1 - the share of the most frequent class among the members' votes. Of few members most images tie, and ties come
in random order; with three members this is the choice of the other two rules of votes. Cost: K networks to train and
run, then O(N K C).
"""

from poolflow.kernels import top_k, variation_ratio

NEEDS = ("ensemble_probs",)


def select(pool, budget, rng):
    """Return the `budget` unlabelled rows of the highest score, best first."""
    return top_k(variation_ratio(pool.ensemble_probs), budget, rows=pool.unlabeled)
