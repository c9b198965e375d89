"""Clusters: how well the clusters of the pretext tasks agree with the classes.

`clusters` is how many the task was asked for, `empty` how many of them have no image, `smallest` and `largest` the
sizes of the others; `labeled` is how many images have a label, over which `acc`, `nmi` and `ari` are taken, fractions
as in Table 2 of Chandra et al. (2021).
"""

import itertools

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.metrics.cluster import contingency_matrix

NEEDS = ("pools", "clusters")
AT_LEAST = {"clusterings": 1}
FACTS = ["clusters", "empty", "smallest", "largest", "labeled"]
AGREEMENT = ["acc", "nmi", "ari"]


def table(results):
    """Return a row for each data set, pretext task and seed."""
    rows = []
    for dataset, task, seed in itertools.product(results.datasets, results.clusterings, results.seeds):
        pool = results.pool(dataset, seed)
        found, count = results.clusters(dataset, task, seed, len(pool))
        sizes = np.bincount(found, minlength=count)
        known = pool.classes >= 0
        facts = [count, (sizes == 0).sum(), sizes[sizes > 0].min(), sizes.max(), known.sum()]
        rows.append([dataset, task, seed, *facts, *agreement(found[known], pool.classes[known])])
    return pd.DataFrame(rows, columns=["dataset", "pretext", "seed", *FACTS, *AGREEMENT])


def agreement(clusters, classes):
    """Return (ACC, NMI, ARI) of clusters and classes, each (n,) int64; none is defined for n = 0, which gives NaN.

    ACC is the share of images whose cluster is matched to their class, by the one-to-one matching that makes it largest
    (Kuhn 1955): with more clusters than classes the clusters left over count as wrong, with fewer the classes left
    over. NMI is normalised by the arithmetic mean of the two entropies; ARI is that of Hubert and Arabie (1985).
    """
    if not len(classes):
        return np.nan, np.nan, np.nan
    table = contingency_matrix(clusters, classes)
    matched = table[linear_sum_assignment(table, maximize=True)].sum()
    nmi, ari = normalized_mutual_info_score(classes, clusters), adjusted_rand_score(classes, clusters)
    return matched / len(classes), nmi, ari
