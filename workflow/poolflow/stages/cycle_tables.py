"""Stage: follow the initial pools through the cycles: what their chains share, and which classes stay hard."""

import itertools
import json

import numpy as np
import pandas as pd

from poolflow.data.known_pool import KnownPool, read_rows, shared
from poolflow.data.store import replacing
from poolflow.job import StageError

HARD = 10  # classes compared, or half of them where there are fewer than twice as many


def main(job, results, overlap, hard):
    """Write `overlap_cycles.csv` and `hard_classes.csv`.

    `overlap_cycles.csv` has a row for each data set, learner, strategy and cycle: of the labelled sets that started
    from different initial pools, the images in common as a share of a set, averaged over the pairs, mean and std over
    the seeds, and the share that two random sets of that size have in common on average (Chandra et al. 2021, section
    4). `hard_classes.csv` has a row for each data set, learner, initial pool and strategy: how many of the `compared`
    classes most frequent in the initial pool are among as many of least test accuracy in the last cycle, mean and std
    over the seeds, and how many would be by chance (section 5.3.1 of that paper).
    """
    config, cycles = job.config, job.config["cycles"]
    pools, strategies = config["initial_pools"], config["strategies"]
    overlaps, hards = [], []
    for dataset, seed in itertools.product(config["datasets"], config["seeds"]):
        pool = KnownPool(f"{results}/{dataset}/pool/seed{seed}.h5", f"{results}/{dataset}/dataset.h5")
        for learner, strategy in itertools.product(config["learners"], strategies):
            sets, count = {}, None
            for name in pools:
                folder = f"{results}/{dataset}/{learner}/{name}/{strategy}/seed{seed}/cycle{cycles}"
                sets[name] = read_rows(f"{folder}/labeled.h5", len(pool), count)
                count = len(sets[name][0])
                rows, since = sets[name]
                accuracy = read_accuracy(f"{folder}/metrics.json", len(pool.names))
                compared, common, chance = hard_classes(pool.counts(rows[since == 0]), accuracy)
                hards.append([dataset, learner, name, strategy, seed, compared, common, chance])
            labeled = np.bincount(since, minlength=cycles + 1).cumsum()
            for first, second in itertools.combinations(pools, 2):
                common = shared(sets[first], sets[second], len(pool), cycles)
                for cycle, size in enumerate(labeled):
                    shares = common[cycle] / size, size / len(pool)
                    overlaps.append([dataset, learner, strategy, cycle, seed, size, *shares])

    key = ["dataset", "learner", "strategy", "cycle"]
    pairs = pd.DataFrame(overlaps, columns=[*key, "seed", "labeled", "share", "random_share"])
    by_seed = pairs.groupby([*key, "seed"], sort=False).mean().reset_index()
    statistics = by_seed.groupby(key, sort=False).agg(
        seeds=("seed", "size"),
        labeled=("labeled", "mean"),
        share_mean=("share", "mean"),
        share_std=("share", "std"),
        random_share=("random_share", "mean"),
    )
    write(overlap, statistics)
    key = ["dataset", "learner", "initial_pool", "strategy"]
    table = pd.DataFrame(hards, columns=[*key, "seed", "compared", "in_common", "chance"])
    statistics = table.groupby(key, sort=False).agg(
        seeds=("seed", "size"),
        compared=("compared", "mean"),
        in_common_mean=("in_common", "mean"),
        in_common_std=("in_common", "std"),
        chance=("chance", "mean"),
    )
    write(hard, statistics)


def read_accuracy(path, classes):
    """Return the test accuracy of each class, (classes,) float64, of a `metrics.json`; NaN for one without images."""
    try:
        with open(path) as file:
            metrics = json.load(file)
    except ValueError as error:
        raise StageError(f"{path} is not complete JSON ({error}); delete it and run again") from error
    untested = [None] * classes if "train_accuracy" in metrics and "test_accuracy" not in metrics else []
    accuracy = metrics.get("test_class_accuracy", untested)
    if len(accuracy) != classes:
        raise StageError(f"{path}: found test_class_accuracy of {len(accuracy)} classes, expected {classes}")
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


def write(path, table):
    """Write a table and its index as CSV."""
    with replacing(path) as temporary:
        table.to_csv(temporary, float_format="%.6g")
