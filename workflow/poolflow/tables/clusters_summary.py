"""Clusters, summed up: mean and standard deviation over the seeds of the agreement in `clusters`.

The standard deviation is that of a sample (n - 1).
"""

from poolflow.tables import clusters

NEEDS = ("pools", "clusters")
AT_LEAST = {"clusterings": 1}


def table(results):
    """Return a row for each data set and pretext task, with the number of seeds."""
    statistics = clusters.table(results).groupby(["dataset", "pretext"], sort=False)[clusters.AGREEMENT]
    statistics = statistics.agg(["mean", "std"])
    statistics.columns = [f"{name}_{statistic}" for name, statistic in statistics.columns]
    statistics.insert(0, "seeds", len(results.seeds))
    return statistics.reset_index()
