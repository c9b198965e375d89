"""CDAL: greedy k-center on predicted probabilities, with contextual diversity as the distance.

Agarwal et al. (2020), CDAL-CS: ask for the image whose distance to everything labelled is largest, add it, repeat, with
the distance (KL(p || q) + KL(q || p)) / 2 of the predicted distributions, in nats. Score: that distance at the moment
of the pick. Cost: one forward pass over the pool, then O((L + b) N C) time and O(N C) memory.
"""

import numpy as np

NEEDS = ("probs",)


def select(pool, budget, rng):
    """Return `budget` unlabelled rows in the order picked."""
    probs = np.maximum(pool.probs.astype(np.float64), 1e-12)
    probs /= probs.sum(axis=1, keepdims=True)
    logs = np.log(probs)
    own = (probs * logs).sum(axis=1)

    def distances(row):
        return np.maximum(0, (own + own[row] - logs @ probs[row] - probs @ logs[row]) / 2)

    nearest = np.full(pool.size, np.inf)
    for row in pool.labeled:
        np.minimum(nearest, distances(row), out=nearest)
    nearest[pool.labeled] = -1
    rows, scores = np.empty(budget, np.int64), np.empty(budget)
    for pick in range(budget):
        rows[pick] = row = nearest.argmax()
        scores[pick] = nearest[row]
        np.minimum(nearest, distances(row), out=nearest)
        nearest[row] = -1
    return rows, scores
