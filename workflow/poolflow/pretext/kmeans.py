"""K-means: clusters of the features of another task.

Chandra et al. (2021), section 3.2.2: k-means on SimCLR features, K the number of classes. scikit-learn's, greedy
k-means++ and Lloyd, the best of `starts`. K may be a number, or "silhouette": of 2 to `most` the one with the highest
mean silhouette (Rousseeuw 1987) of 2,000 random images. Clusters of fewer different features than K stay empty. Cost:
O(N K D) an iteration and start.
"""

import numpy as np

from poolflow.job import StageError

INPUTS = ("images", "features")
GIVES = ("clusters",)
OF = "simclr"
BASE = ("features",)
SAMPLE = 2000
BOUNDS = {"clusters": "silhouette or >= 1, <= pool", "starts": ">= 1", "most": ">= 2"}


def clusters(task, model, clusters: int | str | None = None, starts: int = 3, most: int = 30):
    """Return the cluster of each image (N,) and the number of clusters."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score

    features = task.features
    count, rng = task.classes if clusters is None else clusters, task.rng("clusters")
    if count == "silhouette":
        sample = features[rng.choice(task.size, min(SAMPLE, task.size), replace=False)]
        seed, scores = int(rng.integers(2**31)), {}
        for k in range(2, min(most, len(np.unique(sample, axis=0)) - 1) + 1):
            scores[k] = silhouette_score(sample, KMeans(k, n_init=starts, random_state=seed).fit_predict(sample))
        count = max(scores, key=scores.get, default=1)
    if count > task.size:
        raise StageError(f"clusters: found {count}, expected at most the {task.size} images in the pool")
    kmeans = KMeans(count, n_init=starts, random_state=int(rng.integers(2**31)), copy_x=False)
    return kmeans.fit_predict(features), count
