"""Binning: the hardest images of each level of difficulty, and the easiest of all.

Chandra et al. (2021), "On Initial Pools for Deep Active Learning", section 4.1, with n = 2, 5 or 10: sort by the loss
of a pretext task, cut into n equal bins, and take the B / n highest of each of the top n - 1 and the B / n lowest of
the last. Where n does not divide the pool or B, the first bins have or give one more; so no bin is smaller than what it
gives. Score: the loss. Cost: the pretext task, then O(N log N).
"""

import numpy as np

from poolflow.job import StageError
from poolflow.kernels import top_k

NEEDS = ("scores",)
BOUNDS = {"bins": ">= 2, <= initial_size"}


def select(pool, size, rng, bins=5):
    """Return `size` rows, bin after bin from the top; of the last bin the lowest first."""
    if bins > size:
        raise StageError(f"bins: found {bins}, expected at most {size}, the size of the initial pool")
    ranked, scores = top_k(pool.scores, pool.size, pool.unlabeled)
    *upper, last = np.array_split(np.arange(pool.size), bins)
    shares = [len(part) for part in np.array_split(np.arange(size), bins)]
    places = np.concatenate(
        [*(part[:share] for part, share in zip(upper, shares, strict=False)), last[::-1][: shares[-1]]]
    )
    return ranked[places], scores[places]
