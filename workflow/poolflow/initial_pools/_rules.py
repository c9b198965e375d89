"""What several initial pools share: the images with the highest scores, and random images from each cluster."""

import numpy as np

from poolflow.kernels import quotas, top_k


def highest(pool, size):
    """Return the `size` rows with the highest scores, the highest first, and their scores."""
    return top_k(pool.scores, size, pool.unlabeled)


def per_cluster(pool, size, rng, quota):
    """Return `size` rows, of each cluster random ones, as many as its `quota`, and scores of 0."""
    return in_turn(pool.clusters, rng.permutation(pool.size), size, rng, quota), np.zeros(size)


def in_turn(clusters, preferred, size, rng, quota):
    """Return `size` of the rows `preferred`: of each cluster the first of them, as many as its quota.

    Parameters
    ----------
    clusters : (N,) int64
        The cluster of each row of the pool, from 0.
    preferred : (n,) int64
        The rows to choose from.
    size : int
    rng : numpy.random.Generator
        Draws which clusters give one more than others, and the order in which they take turns.
    quota : str
        How many a cluster gives: "equal" or "proportional" to its size, see `poolflow.kernels.quotas`.

    Returns
    -------
    (size,) int64
        The clusters in turn, round by round; one that has given its quota drops out.
    """
    sizes = np.bincount(clusters[preferred])
    shares = quotas(sizes, size, rng, proportional=quota == "proportional")
    turns = rng.permutation(len(sizes))
    grouped = preferred[np.argsort(clusters[preferred], kind="stable")]
    rounds = np.concatenate([np.arange(count) for count in sizes])
    taken = rounds < shares[clusters[grouped]]
    rows = grouped[taken]
    return rows[np.lexsort((turns[clusters[rows]], rounds[taken]))]
