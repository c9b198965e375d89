"""BAIT: ask for a batch that makes the expected loss of the network's last layer small, by its Fisher information.

Ash, Goel, Krishnamurthy & Kakade (2021), Algorithm 1: choose b images so that tr(M^-1 F) is small, F the mean Fisher
information of the last layer's weights over the pool, M that of the labelled and the chosen images, plus
`regularisation` times the identity; 2b are added greedily, then b removed. Score: by how much an image lowered the
trace when it was added. Cost: one forward pass over the pool, then O(N C^2 D^2 + b N C^2 (C + D) + b C^3 D^2) time and
O(C^2 D^2 + N C^2) memory, for C D up to 6000 only.
"""

import numpy as np

from poolflow.job import StageError
from poolflow.kernels import bait

NEEDS = ("probs", "features")
BOUNDS = {"regularisation": "> 0"}


def select(pool, budget, rng, regularisation: float = 1.0):
    """Return `budget` unlabelled rows in the order added, without those removed."""
    try:
        return bait(pool.probs, pool.features, pool.labeled, budget, regularisation)
    except np.linalg.LinAlgError as error:
        line = f"bait: regularisation: found {regularisation}, too small for features of this size; write a larger one"
        raise StageError(line) from error
    except ValueError as error:
        raise StageError(f"bait: {error}") from error
