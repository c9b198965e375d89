"""DIRECT: ask on both sides of each class's threshold; an oracle control, since it reads the labels.

Nuggehalli, Zhang, Jain & Nowak (2024), for long tails and label noise, as its code has it: half of the budget narrows
down, on a line for each class by its probability less the largest one, where the rare classes end, and the other half
is asked for on both sides of the best threshold of each class; see `poolflow.kernels.direct`. It reads labels every
`parallel` images: within a batch that is a simulation. Score: none, 0. Cost: one forward pass
over the pool, then O(C N log N) time and O(C N) memory.
"""

import numpy as np

from poolflow.kernels import direct

NEEDS = ("probs", "labels", "oracle")
SCORED = False
BOUNDS = {"parallel": ">= 1", "least": ">= 1"}


def select(pool, budget, rng, parallel: int = 20, least: int = 60):
    """Return `budget` unlabelled rows in the order asked for."""
    rows = direct(pool.probs, pool.labeled, pool.labels, pool.oracle, budget, rng, parallel, least)
    return rows, np.zeros(budget)
