"""Stage: gather the metrics of all chains into the tables that people open."""

import itertools
import json

import pandas as pd

from poolflow.data.store import replacing
from poolflow.job import StageError

CHAIN = ["dataset", "learner", "initial_pool", "strategy"]
METRICS = [
    "labeled",
    "test_accuracy",
    "test_loss",
    "validation_accuracy",
    "validation_loss",
    "train_accuracy",
    "train_loss",
    "classes_found",
    "seconds",
]


def main(job, results, curves, summary):
    """Write `curves.csv`, a row for each chain, seed and cycle, and `summary.csv`, mean and std over the seeds.

    Accuracies are fractions, losses nats, seconds those of the training loop; std is the sample standard deviation
    (n - 1). Cycle 0 is trained once for an initial pool, and once more for each other kind of network that strategies
    need (`strategies` has each strategy and what that folder's name ends with), and stands in the curve of each.
    """
    config = job.config
    rows = []
    for dataset, learner, pool, (strategy, suffix), seed, cycle in itertools.product(
        *(config[key] for key in ("datasets", "learners", "initial_pools", "strategies", "seeds")),
        range(config["cycles"] + 1),
    ):
        chain = f"{pool}/{strategy}" if cycle else pool + suffix
        path = f"{results}/{dataset}/{learner}/{chain}/seed{seed}/cycle{cycle}/metrics.json"
        rows.append([dataset, learner, pool, strategy, seed, cycle, *read_metrics(path)])
    table = pd.DataFrame(rows, columns=[*CHAIN, "seed", "cycle", *METRICS]).dropna(axis="columns", how="all")
    measured = [metric for metric in METRICS if metric in table]
    statistics = table.groupby([*CHAIN, "cycle"], sort=False)[measured].agg(["mean", "std"])
    statistics.columns = [f"{metric}_{statistic}" for metric, statistic in statistics.columns]
    statistics.insert(0, "seeds", len(config["seeds"]))
    for path, content in ((curves, table.set_index("dataset")), (summary, statistics)):
        with replacing(path) as temporary:
            content.to_csv(temporary, float_format="%.6g")


def read_metrics(path):
    """Return the values of METRICS in a `metrics.json`; None for those it does not have."""
    try:
        with open(path) as file:
            metrics = json.load(file)
    except ValueError as error:
        raise StageError(f"{path} is not complete JSON ({error}); delete it and run again") from error
    return [metrics.get(metric) for metric in METRICS]
