"""PowerBALD: draw images with a probability that grows with their BALD score, so that a batch is not all alike.

Kirsch et al. (2023), "Stochastic batch acquisition". Score: beta ln BALD + Gumbel noise; the highest are a draw without
replacement with probabilities in proportion to BALD ** beta. Cost: as BALD.
"""

from poolflow.kernels import power_bald

NEEDS = ("mc_probs",)
BOUNDS = {"beta": "> 0"}


def select(pool, budget, rng, beta=1.0):
    """Return the `budget` unlabelled rows of the highest score, best first."""
    places, scores = power_bald(pool.mc_probs[pool.unlabeled], budget, rng, beta)
    return pool.unlabeled[places], scores
