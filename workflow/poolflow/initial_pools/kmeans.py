"""K-means initial pool: an equal number of random images from each of K clusters.

Chandra et al. (2021), section 3.2.2, with K the number of classes unless set; here on the pixels. What does not
divide evenly goes to clusters drawn at random, and a cluster smaller than its share gives all it has, the rest
coming from the clusters that have images left. Cost: k-means, O(N K D) an iteration, N x D float32 in memory.
"""

import numpy as np
from sklearn.cluster import KMeans

from poolflow.stage import StageError

NEEDS = ("images",)
ONE_PER_CLASS = True


def select(pool, size, rng, clusters: int | None = None):
    """Return `size` rows, one cluster after another in turn; the score is minus the distance to the centre."""
    clusters = pool.classes if clusters is None else clusters
    if not 0 < clusters <= pool.size:
        raise StageError(f"clusters: found {clusters}, expected 1..{pool.size}, the number of images in the pool")
    pixels = pool.images.reshape(pool.size, -1).astype(np.float32)
    pixels /= 255  # in place: the largest array here
    kmeans = KMeans(clusters, n_init=3, random_state=int(rng.integers(2**31)), copy_x=False)
    distances = kmeans.fit_transform(pixels)[np.arange(pool.size), kmeans.labels_]
    # Shuffle the images, then deal the clusters out round by round: the order within a cluster is random, and
    # an exhausted cluster drops out.
    shuffled = rng.permutation(pool.size)
    turn = rng.permutation(kmeans.n_clusters)[kmeans.labels_[shuffled]]
    by_cluster = np.argsort(turn, kind="stable")
    counts = np.bincount(turn, minlength=kmeans.n_clusters)
    rounds = np.empty(pool.size, np.int64)
    rounds[by_cluster] = np.concatenate([np.arange(count) for count in counts])
    rows = shuffled[np.lexsort((turn, rounds))[:size]]
    return rows, -distances[rows]
