"""MC-dropout margin: ask where the two most probable classes of the mean over passes are closest.

Scheffer, Decomain & Wrobel (2001), on the mean m over passes with dropout (Gal, Islam & Ghahramani 2017). Score: 1 -
(m_1st - m_2nd). Cost: T passes of what comes after the first dropout, then O(N T C).
"""

from poolflow.kernels import margin, mean_probs, top_k

NEEDS = ("mc_probs",)


def select(pool, budget, rng):
    """Return the `budget` unlabelled rows of the highest score, best first."""
    return top_k(margin(mean_probs(pool.mc_probs)), budget, rows=pool.unlabeled)
