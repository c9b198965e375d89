"""Stage: say how well the clusters of the pretext tasks agree with the classes."""

import itertools

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.metrics.cluster import contingency_matrix

from poolflow.data import store
from poolflow.data.known_pool import KnownPool
from poolflow.job import StageError

FACTS = ["clusters", "empty", "smallest", "largest", "labeled"]
AGREEMENT = ["acc", "nmi", "ari"]


def main(job, results, clusters, summary):
    """Write `clusters.csv`, a row for each data set, pretext task and seed, and `clusters_summary.csv` over the seeds.

    `clusters` is how many the task was asked for, `empty` how many of them have no image, `smallest` and `largest` the
    sizes of the others; `labeled` is how many images have a label, over which ACC, NMI and ARI are taken, fractions
    as in Table 2 of Chandra et al. (2021). The summary has the mean and the std of these three, the sample standard
    deviation (n - 1).
    """
    config, rows = job.config, []
    for dataset, task, seed in itertools.product(config["datasets"], config["pretext"], config["seeds"]):
        folder = f"{results}/{dataset}"
        pool = KnownPool(f"{folder}/pool/seed{seed}.h5", f"{folder}/dataset.h5")
        found, count = read_clusters(f"{folder}/pretext/{task}/seed{seed}/clusters.h5", len(pool))
        sizes = np.bincount(found, minlength=count)
        known = pool.classes >= 0
        facts = [count, (sizes == 0).sum(), sizes[sizes > 0].min(), sizes.max(), known.sum()]
        rows.append([dataset, task, seed, *facts, *agreement(found[known], pool.classes[known])])
    table = pd.DataFrame(rows, columns=["dataset", "pretext", "seed", *FACTS, *AGREEMENT])
    statistics = table.groupby(["dataset", "pretext"], sort=False)[AGREEMENT].agg(["mean", "std"])
    statistics.columns = [f"{name}_{statistic}" for name, statistic in statistics.columns]
    statistics.insert(0, "seeds", len(config["seeds"]))
    for path, content in ((clusters, table.set_index("dataset")), (summary, statistics)):
        with store.replacing(path) as temporary:
            content.to_csv(temporary, float_format="%.6g")


def read_clusters(path, size):
    """Return the cluster of each pool row, (size,) int64, and the number of clusters of a `clusters.h5`."""
    with store.read(path) as file:
        clusters, count = file["clusters"][:], int(file.attrs["count"])
    if len(clusters) != size:
        raise StageError(f"{path}: found {len(clusters)} rows, expected {size}, one for each row of the pool")
    if clusters.dtype.kind not in "iu":
        raise StageError(f"{path}: found clusters of {clusters.dtype}, expected integers; delete it and run again")
    if clusters.min() < 0 or clusters.max() >= count:
        raise StageError(f"{path}: found clusters {clusters.min()}..{clusters.max()}, expected 0..{count - 1}")
    return clusters, count


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
