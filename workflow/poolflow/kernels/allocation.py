"""How many rows each cluster gives."""

import operator

import numpy as np

from poolflow.kernels.errors import InputError


def quotas(sizes, total, rng, proportional=False):
    """Divide `total` among clusters, equally or in proportion to their sizes.

    Chandra et al. (2021), section 3.2.2. Equal: total / K each; of what does not divide evenly, clusters drawn at
    random give one more; what a cluster is too small to give is divided equally again among those with rows left.
    Proportional: |C_j| total / N, by largest remainder; of equal remainders the larger cluster's, then the lowest.

    Parameters
    ----------
    sizes : (K,) int64
        Rows of each cluster. An empty one gives nothing.
    total : int
    rng : numpy.random.Generator
        Draws the clusters that give one more; unused where none does, or in proportion.
    proportional : bool

    Returns
    -------
    (K,) int64, of sum `total`, none above its size

    Raises
    ------
    ValueError
        When a size is negative or `total` is not in 1..sum(sizes).
    """
    sizes = np.asarray(sizes)
    if sizes.ndim != 1 or not np.issubdtype(sizes.dtype, np.integer):
        raise InputError(f"sizes: found {sizes.dtype} of shape {sizes.shape}, expected integers (K,)")
    sizes = sizes.astype(np.int64)
    if (sizes < 0).any():
        cluster = int(np.argmax(sizes < 0))
        raise InputError(f"sizes[{cluster}]: found {sizes[cluster]}, expected 0 or more")
    if not 0 < operator.index(total) <= sizes.sum():
        raise InputError(f"total: found {total}, expected 1..{sizes.sum()}")
    return _proportional(sizes, total) if proportional else _equal(sizes, total, rng)


def _equal(sizes, total, rng):
    given, left = np.zeros_like(sizes), total
    while left:
        able = np.flatnonzero(given < sizes)  # they have given the same so far
        if left < len(able):
            given[rng.choice(able, left, replace=False)] += 1
            break
        given[able] = np.minimum(given[able] + left // len(able), sizes[able])
        left = total - given.sum()
    return given


def _proportional(sizes, total):
    given, remainders = np.divmod(sizes * total, sizes.sum())
    order = np.lexsort((-sizes, -remainders))
    given[order[: total - given.sum()]] += 1
    return given
