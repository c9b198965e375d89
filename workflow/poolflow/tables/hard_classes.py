"""Hard classes: whether the classes most frequent in an initial pool are those that stay hard to the last cycle.

How many of the `compared` classes most frequent in the initial pool are among as many of least test accuracy in the
last cycle, mean and standard deviation (of a sample, n - 1) over the seeds, and how many would be by chance (Chandra et
al. 2021, section 5.3.1).
"""

import itertools

import numpy as np
import pandas as pd

from poolflow.job import StageError

NEEDS = ("pools", "labeled", "metrics")
AT_LEAST = {"cycles": 1}
HARD = 10  # classes compared, or half of them where there are fewer than twice as many
KEY = ["dataset", "learner", "initial_pool", "strategy"]


def table(results):
    """Return a row for each data set, learner, initial pool and strategy."""
    rows = []
    for dataset, seed in itertools.product(results.datasets, results.seeds):
        pool = results.pool(dataset, seed)
        for learner, strategy, name in itertools.product(results.learners, results.strategies, results.initial_pools):
            chain = [dataset, learner, name, strategy]
            picked, since, _ = results.labeled(*chain, seed, pool)
            metrics = results.metrics(*chain, seed, results.cycles)
            accuracy = class_accuracy(metrics, f"{'/'.join(chain)}, seed {seed}", len(pool.names))
            rows.append([*chain, seed, *hard_classes(pool.counts(picked[since == 0]), accuracy)])
    table = pd.DataFrame(rows, columns=[*KEY, "seed", "compared", "in_common", "chance"])
    statistics = table.groupby(KEY, sort=False).agg(
        seeds=("seed", "size"),
        compared=("compared", "mean"),
        in_common_mean=("in_common", "mean"),
        in_common_std=("in_common", "std"),
        chance=("chance", "mean"),
    )
    return statistics.reset_index()


def class_accuracy(metrics, source, classes):
    """Return the test accuracy of each class, (classes,) float64, of some metrics; NaN for one without images."""
    untested = [None] * classes if "train_accuracy" in metrics and "test_accuracy" not in metrics else []
    accuracy = metrics.get("test_class_accuracy", untested)
    if len(accuracy) != classes:
        raise StageError(
            f"metrics.json of {source}: found test_class_accuracy of {len(accuracy)} classes, expected {classes}"
        )
    return np.array(accuracy, np.float64)


def hard_classes(counts, accuracy):
    """Return (k, how many of the k most frequent classes are among the k of least accuracy, how many by chance).

    k is 10, or half the number C of classes where that is less; by chance k * k / C. Classes whose accuracy is NaN are
    left out, without any left chance is NaN; of equals the first is taken.

    Parameters
    ----------
    counts : (C,) int64
        How often each class was sampled.
    accuracy : (C,) float64
    """
    tested = np.isfinite(accuracy)
    counts, accuracy = counts[tested], accuracy[tested]
    compared = min(HARD, len(counts) // 2)
    most = np.argsort(-counts, kind="stable")[:compared]
    least = np.argsort(accuracy, kind="stable")[:compared]
    return compared, len(np.intersect1d(most, least)), compared**2 / len(counts) if tested.any() else np.nan
