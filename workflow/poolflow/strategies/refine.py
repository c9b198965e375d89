"""Refine: several strategies thin out the pool, round after round, and UHerding chooses among what they leave.

"Cleaning the pool" (arXiv 2511.22344, 2025), as its code has it: in each of `rounds` each member asks 1 / members of
`draws` times for b images, each time among a random part of the pool: 5,000 images in the first round, then 0.4 of the
pool, or b. What they asked for, 10,000 random ones of it at most, is the next pool. No network is trained in between.
The members are random, margin, BADGE, TypiClust, ALFA-Mix, MaxHerding and UHerding with their defaults; those of the
paper that are left out are BAIT, for its memory, and DropQuery, which needs a network with dropout. Score: that of
UHerding. Cost: one forward pass over the pool, then `rounds` x `draws` selections among 5,000 images at most.
"""

import numpy as np
from tqdm import tqdm

from poolflow.strategies import _subset, uherding

NEEDS = ("probs", "features", "labels", "model", "images")
BOUNDS = {"rounds": ">= 1", "draws": ">= 1"}
FIRST = 5000  # images of a part in the first round
SHARE = 0.4  # of the pool in the others
MOST = 10_000  # images of a pool


def select(pool, budget, rng, rounds: int = 5, draws: int = 100):
    """Return `budget` unlabelled rows in the order picked by UHerding."""
    left = pool.unlabeled
    for turn in tqdm(range(rounds), desc="rounds", mininterval=5):
        size = max(budget, FIRST if turn == 0 else round(SHARE * len(left)))
        asked = [
            _subset.ask(pool, member, _subset.some(left, size, rng), budget, rng)
            for member in _subset.MEMBERS
            for _ in range(max(1, draws // len(_subset.MEMBERS)))
        ]
        left = _subset.some(np.unique(np.concatenate(asked)), max(MOST, budget), rng)
    part = _subset.Subset(pool, left)
    rows, scores = uherding.select(part, budget, rng)
    return part.rows[rows], scores
