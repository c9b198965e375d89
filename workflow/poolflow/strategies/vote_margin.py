"""Vote margin of a committee: ask for the images whose two most voted classes are closest.

Query by committee (Seung, Opper & Sompolinsky 1992); Settles (2009), section 3.2. The committee is an ensemble of
networks (`training.members`). Score: 1 - (V_1st - V_2nd) / K of the numbers of votes V. Of few members most images tie,
and ties come in random order; with three members this is the choice of the other two rules of votes. Cost: K networks
to train and run, then O(N K C).
"""

from poolflow.kernels import top_k, vote_margin

NEEDS = ("ensemble_probs",)


def select(pool, budget, rng):
    """Return the `budget` unlabelled rows of the highest score, best first."""
    return top_k(vote_margin(pool.ensemble_probs), budget, rows=pool.unlabeled)
