"""Feature vectors scaled to length 1."""

import numpy as np


def unit(features):
    """Return the rows scaled to length 1, (N, D); a row of zeros stays as it is."""
    for length in (lambda rows: np.abs(rows).max(axis=1), lambda rows: np.linalg.norm(rows, axis=1)):
        lengths = length(features)[:, None]  # the largest value first: squares of very large or small ones are not held
        features = features / np.where(lengths > 0, lengths, 1)
    return features
