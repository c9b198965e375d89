"""The centres of k-means clusters, and the rows nearest to them."""

import numpy as np


def nearest_to_centres(features, count, rng, weights=None):
    """Return the row nearest to the centre of each of `count` k-means clusters, and its distance, the nearest first.

    scikit-learn's k-means, one start. Where rows coincide there may be fewer clusters: then the rows nearest to their
    centre fill up what is lacking.

    Parameters
    ----------
    features : (N, D) float
    count : int
    rng : numpy.random.Generator
    weights : (N,) float, optional

    Returns
    -------
    rows : (count,) int64
    distances : (count,) float
    """
    from sklearn.cluster import KMeans

    kmeans = KMeans(count, n_init=1, random_state=int(rng.integers(2**31)))
    distances = kmeans.fit_transform(features, sample_weight=weights)
    distances = distances[np.arange(len(features)), kmeans.labels_]
    order = np.argsort(distances, kind="stable")
    _, nearest = np.unique(kmeans.labels_[order], return_index=True)
    taken = np.concatenate([np.sort(nearest), np.setdiff1d(np.arange(len(order)), nearest)])[:count]
    return order[taken], distances[order[taken]]
