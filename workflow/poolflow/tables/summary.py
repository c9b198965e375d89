"""Learning curves, summed up: mean and standard deviation over the seeds of every number in `curves`.

The standard deviation is that of a sample (n - 1).
"""

from poolflow.tables import curves

NEEDS = ("metrics",)


def table(results):
    """Return a row for each chain and cycle, with the number of seeds."""
    rows = curves.table(results)
    measured = [metric for metric in curves.METRICS if metric in rows]
    statistics = rows.groupby([*curves.CHAIN, "cycle"], sort=False)[measured].agg(["mean", "std"])
    statistics.columns = [f"{metric}_{statistic}" for metric, statistic in statistics.columns]
    statistics.insert(0, "seeds", len(results.seeds))
    return statistics.reset_index()
