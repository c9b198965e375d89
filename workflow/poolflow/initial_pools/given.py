"""Given initial pool: images whose labels are known from the start.

Those that a pool setting gives (`start`, `known_classes`), or in a data set with unlabelled images those that have a
label, as in a project that has labelled some images and asks which to label next. Uniform without replacement
where there are more than the initial pool takes. Cost: O(N).
"""

import numpy as np

from poolflow.job import StageError

NEEDS = ("given",)
SCORED = False


def select(pool, size, rng):
    """Return `size` of the given rows in the order drawn; scores are 0. StageError where there are fewer."""
    rows = np.flatnonzero(pool.given)
    if size > len(rows):
        raise StageError(f"initial_size: found {size}, expected at most the {len(rows)} images with a given label")
    return rng.choice(rows, size, replace=False), np.zeros(size)
