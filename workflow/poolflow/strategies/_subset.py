"""A part of a pool, as a strategy sees a whole one, for strategies that ask others."""

import numpy as np

from poolflow.strategies import alfa_mix, badge, margin, max_herding, random, typiclust, uherding

MEMBERS = (random, margin, badge, typiclust, alfa_mix, max_herding, uherding)
ALONE = ("labels", "model")  # what is not an array with a row for each of the pool


class Subset:
    """The labelled rows of a pool and some of the others; rows here are 0 to size - 1, in the order of `rows`."""

    def __init__(self, pool, unlabeled):
        self.rows = np.concatenate([pool.labeled, unlabeled])
        self.size, self.classes = len(self.rows), pool.classes
        self.labeled, self.unlabeled = np.split(np.arange(self.size), [len(pool.labeled)])
        self._pool = pool

    def __getattr__(self, need):
        if need.startswith("_"):
            raise AttributeError(need)
        value = getattr(self._pool, need)
        return value if need in ALONE else value[self.rows]


def ask(pool, strategy, unlabeled, budget, rng):
    """Return the `budget` pool rows that a strategy, with its defaults, asks for among some `unlabeled` ones."""
    part = Subset(pool, unlabeled)
    return part.rows[strategy.select(part, budget, rng)[0]]


def some(rows, count, rng):
    """Return `count` random ones of some rows, or all where there are no more."""
    return rng.choice(rows, count, replace=False) if count < len(rows) else rows
