"""The choice by votes: with few members many images get the same votes, and ties are drawn at random."""

import numpy as np

DIGITS = 12  # to which scores are compared: sums of the same shares in another order round differently


def most_disputed(scores, budget, rng, rows):
    """Return the `budget` of `rows` with the highest scores, best first, ties in random order, and their scores."""
    shuffled = rng.permutation(rows)
    best = shuffled[np.argsort(-np.round(scores[shuffled], DIGITS), kind="stable")[:budget]]
    return best, scores[best]
