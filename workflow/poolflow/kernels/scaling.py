"""Feature vectors scaled to length 1."""

import numpy as np


def unit(features):
    """Return the rows scaled to length 1, (N, D); a row of zeros stays as it is."""
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.where(lengths > 0, lengths, 1)
