"""Core-set, k-center greedy: ask for the image farthest from everything labelled, add it, repeat.

Sener & Savarese (2018), Algorithm 1; the same rule is FF-Active of Geifman & El-Yaniv (2017), Algorithm 2.
Euclidean distance between penultimate features. Score: the distance to the nearest labelled image at the moment
of the pick. Cost: one forward pass over the pool, then O((L + b) N D) time and O(N) memory beside the features.
"""

from poolflow.kernels import k_center_greedy

NEEDS = ("features",)


def select(pool, budget, rng):
    """Return `budget` unlabelled rows in the order picked."""
    return k_center_greedy(pool.features, pool.labeled, budget, return_distances=True)
