"""TypiClust: the most typical row of each cluster."""

import numpy as np

from poolflow.kernels import _check
from poolflow.kernels.errors import InputError

SMALL = 5  # clusters of no more rows come last
SAMPLE = 40  # rows for each cluster that the first k-means runs on,
LEAST = 10_000  # but no fewer than these
ITERATIONS = 7  # Lloyd's, of the first k-means and of that on all rows
BLOCK = 2**22  # distances held at a time
ROUNDING = 2.0**-24  # relative, of one float32 operation


def typiclust(features, labeled, budget, rng, max_clusters=500, neighbours=20):
    """Pick the row with the nearest neighbours from one cluster after another, those without labels first.

    Hacohen, Dekel & Weinshall (2022). k-means makes min(L + budget, max_clusters) clusters. They take turns in one
    order: those with fewest labelled rows first, of these the largest, of these the lowest; clusters of no more than
    5 rows wait until the others have no row left. A cluster whose turn it is gives its most typical row: that of
    smallest mean Euclidean distance, not squared, to its nearest neighbours among the m rows of the cluster that are
    neither labelled nor picked, min(neighbours, m // 2) of them.

    Parameters
    ----------
    features : (N, D) float
    labeled : (L,) int64
    budget : int
    rng : numpy.random.Generator
        Draws the rows k-means starts on and its first centres.
    max_clusters, neighbours : int

    Returns
    -------
    rows : (budget,) int64, in the order picked
        Of mean distances within 1e-7 of the size of the cluster the lowest row's.
    scores : (budget,) float64
        Typicality when picked, 1 / (mean distance + 1e-5); 0 for the last row of a cluster.

    Raises
    ------
    ValueError
        When a feature is not finite, `labeled` is out of range or repeats a row, `budget` is not in 1..N - L, or
        `max_clusters` or `neighbours` is less than 1.

    Notes
    -----
    k-means (scikit-learn, the starting centres in float32) takes 7 steps on 40 rows for each cluster, 10,000
    at least, then 7 on all rows; only on all, to the end, where there are no more.
    Time O(N K D) for it and O(N^2 D / K) for the neighbours; memory O(N D) beside 2^22 distances.
    """
    features, labeled = _check.selection(features, labeled, budget)
    for name, value in (("max_clusters", max_clusters), ("neighbours", neighbours)):
        if value < 1:
            raise InputError(f"{name}: found {value}, expected at least 1")
    count = min(len(labeled) + budget, max_clusters)
    clusters = kmeans(features, count, rng)
    sizes = np.bincount(clusters, minlength=count)
    known = np.bincount(clusters[labeled], minlength=count)
    order = np.lexsort((-sizes, known))
    open_ = np.ones(len(features), bool)
    open_[labeled] = False
    members = [np.flatnonzero((clusters == cluster) & open_) for cluster in order]
    picks, scores = [], []
    for turn in (sizes[order] > SMALL, sizes[order] <= SMALL):
        waiting = np.flatnonzero(turn).tolist()
        while waiting and len(picks) < budget:
            waiting = [place for place in waiting if len(members[place])]
            for place in waiting[: budget - len(picks)]:
                chosen, score = _most_typical(features[members[place]], neighbours)
                picks.append(members[place][chosen])
                scores.append(score)
                members[place] = np.delete(members[place], chosen)
    return np.array(picks), np.array(scores)


def kmeans(features, count, rng):
    """Return the cluster of each row, (N,), of at most `count`: fewer where rows coincide.

    scikit-learn's, first on 40 rows for each cluster, 10,000 at least, then 7 steps on all; only on all, to the end,
    where there are no more. `rng` draws the rows and the first centres, by greedy k-means++.
    """
    from sklearn.cluster import KMeans  # here: the other kernels start without scikit-learn

    size = min(max(SAMPLE * count, LEAST), len(features))
    sample = features[np.sort(rng.choice(len(features), size, replace=False))]
    centres = _plus_plus(sample, count, rng)
    steps = 300
    if size < len(features):
        steps = ITERATIONS
        centres = KMeans(count, init=centres, n_init=1, max_iter=steps).fit(sample).cluster_centers_
    return KMeans(count, init=centres, n_init=1, max_iter=steps).fit(features).labels_


def _plus_plus(features, count, rng):
    """Return `count` of the rows by greedy k-means++ (Arthur & Vassilvitskii, 2007): of a few drawn, the best."""
    centred = (features - features.mean(axis=0, dtype=np.float64)).astype(np.float32)
    norms, minus_twice = np.einsum("nd,nd->n", centred, centred), -2 * centred.T
    nearest, chosen = np.full(len(features), np.inf, np.float32), []
    candidates = rng.integers(len(features), size=1)
    while True:
        squared = centred[candidates] @ minus_twice
        squared += norms
        squared += norms[candidates, None]
        np.clip(squared, 0, nearest, out=squared)
        best = int(squared.sum(axis=1).argmin())
        chosen.append(candidates[best])
        if len(chosen) == count:
            return features[chosen]
        nearest = squared[best]
        cumulated = np.cumsum(nearest, dtype=np.float64)
        drawn = rng.random(2 + int(np.log(count))) * cumulated[-1]
        candidates = np.minimum(np.searchsorted(cumulated, drawn, side="right"), len(features) - 1)


def _most_typical(features, neighbours):
    """Return the place of the smallest mean distance to the nearest neighbours, and the typicality."""
    number = min(neighbours, len(features) // 2)
    if not number:
        return 0, 0.0
    centred = features - features.mean(axis=0, dtype=np.float64)
    size = np.sqrt(np.einsum("nd,nd->n", centred, centred).max())
    scaled = centred / (size or 1.0)
    # Float32 first, then float64 for those that it cannot tell from the smallest.
    rough = _mean_distances(np.arange(len(scaled)), scaled.astype(np.float32), number)
    places = np.flatnonzero(rough <= rough.min() + 2 * np.sqrt(4 * (scaled.shape[1] + 8) * ROUNDING))
    means = _mean_distances(places, scaled, number)
    best = places[np.argmax(means <= means.min() + 1e-7)]
    distances = np.sqrt(((np.delete(centred, best, axis=0) - centred[best]) ** 2).sum(axis=1))
    return best, 1 / (np.sort(distances)[:number].mean() + 1e-5)


def _mean_distances(places, features, number):
    """Return the mean distance of the rows at `places` to their `number` nearest other rows."""
    norms = np.einsum("nd,nd->n", features, features)
    means = np.empty(len(places))
    step = max(1, BLOCK // len(features))
    for start in range(0, len(places), step):
        some = places[start : start + step]
        squared = norms - 2 * (features[some] @ features.T)
        squared += norms[some, None]
        squared[np.arange(len(some)), some] = np.inf
        squared.partition(number - 1, axis=1)
        nearest = np.maximum(squared[:, :number], 0)
        means[start : start + step] = np.sqrt(nearest).mean(axis=1, dtype=np.float64)
    return means
