"""Expected model output change of sets of one true class; an oracle control, since it reads the labels.

`emoc_sets` as Kaeding et al. (2016), section 2, have it, which draw each set from the images of one true class; the
class that a set is taken to be of, y'(X'), is the predicted one there as well. Only for comparisons with the paper.
Score: that of `emoc_sets`. Cost: that of EMOC for each image in the sets.
"""

from poolflow.strategies.emoc_sets import choose

NEEDS = ("model", "images", "probs", "oracle")
SCORED = False
BOUNDS = {"sets": ">= 1", "size": ">= 1", "references": ">= 1", "layers": "all or last"}


def select(pool, budget, rng, sets: int = 1000, size: int = 25, references: int = 100, layers: str = "all"):
    """Return `budget` unlabelled rows, set after set, and the score of each one's set."""
    return choose(pool, budget, rng, sets, size, references, layers, pool.oracle)
