"""Vote entropy of a committee: ask for the images whose votes have the largest entropy.

Dagan & Engelson (1995); Settles (2009), section 3.2. The committee is an ensemble of networks (`training.members`).
Score: -sum_c (V_c / K) ln (V_c / K) of the numbers of votes V, in nats. Of few members most images tie, and ties come
in random order; with three members this is the choice of the other two rules of votes. Cost: K networks to train and
run, then O(N K C).
"""

from poolflow.kernels import top_k, vote_entropy

NEEDS = ("ensemble_probs",)


def select(pool, budget, rng):
    """Return the `budget` unlabelled rows of the highest score, best first."""
    return top_k(vote_entropy(pool.ensemble_probs), budget, rows=pool.unlabeled)
