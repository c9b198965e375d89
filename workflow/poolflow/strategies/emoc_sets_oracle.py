"""Expected model output change of sets of one true class: an oracle control, since it reads the labels.

Kaeding et al. (2016), sections 2 and 3: `sets` random sets of `size` images, each of one true class drawn at random.
`emoc_sets` does the same with the predicted classes, which a strategy may see. Images without a label are never taken.
Score: that of `emoc_sets`. Cost: as `emoc_sets`.
"""

from poolflow.strategies.emoc_sets import choose

NEEDS = ("model", "images", "probs", "oracle")
SCORED = False
BOUNDS = {"sets": ">= 1", "size": ">= 1", "references": ">= 1"}


def select(pool, budget, rng, sets: int = 1000, size: int = 25, references: int = 100):
    """Return `budget` unlabelled rows, set after set, and the score of each one's set."""
    return choose(pool, budget, rng, sets, size, references, pool.oracle)
