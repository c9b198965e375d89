"""Stage: gather which classes the initial pools hold, and what the pools have in common."""

import itertools

import numpy as np
import pandas as pd

from poolflow.data.known_pool import KnownPool, read_rows, shared
from poolflow.data.store import replacing

POOLS = ["size", "without_label", "classes", "largest_share", "smallest_share", "entropy"]


def main(job, results, pools, classes, overlap):
    """Write `pools.csv`, `pool_classes.csv` and `overlap.csv` of all initial pools.

    `pools.csv` has a row for each data set, initial pool and seed: its `size`, how many of them are `without_label`,
    the number of `classes` present, and of the class histogram the largest and the smallest share (0 where a class is
    missing) and the entropy, divided by that of all classes in equal shares. `pool_classes.csv` has the histogram,
    a row for each class, beside the mean count of a random pool of that size. `overlap.csv` has a row for each pair of
    initial pools: the images in common, as a share of a pool's size, mean and std over the seeds, and the share that
    two random pools of that size have in common on average. An image and its mirror or copy are two images.
    """
    config = job.config
    tables = {pools: [], classes: [], overlap: []}
    for dataset, seed in itertools.product(config["datasets"], config["seeds"]):
        folder = f"{results}/{dataset}"
        pool = KnownPool(f"{folder}/pool/seed{seed}.h5", f"{folder}/dataset.h5")
        everywhere, chosen, count = pool.counts(np.arange(len(pool))), {}, None
        for name in config["initial_pools"]:
            path = f"{folder}/{config['learner']}/{name}/seed{seed}/cycle0/labeled.h5"
            chosen[name] = read_rows(path, len(pool), count)
            rows = chosen[name][0]
            count, counts = len(rows), pool.counts(rows)
            tables[pools].append([dataset, name, seed, count, count - counts.sum(), *balance(counts)])
            tables[classes] += [
                [dataset, name, seed, label, number, expected]
                for label, number, expected in zip(pool.names, counts, everywhere * count / len(pool), strict=True)
            ]
        for first, second in itertools.combinations(config["initial_pools"], 2):
            common = shared(chosen[first], chosen[second], len(pool))[0]
            tables[overlap].append([dataset, first, second, seed, common / count, count / len(pool)])

    key = ["dataset", "initial_pool"]
    write(pools, pd.DataFrame(tables[pools], columns=[*key, "seed", *POOLS]))
    write(classes, pd.DataFrame(tables[classes], columns=[*key, "seed", "class", "count", "random_count"]))
    pairs = pd.DataFrame(tables[overlap], columns=[*key, "other_pool", "seed", "share", "random_share"])
    statistics = pairs.groupby([*key, "other_pool"], sort=False).agg(
        seeds=("seed", "size"),
        share_mean=("share", "mean"),
        share_std=("share", "std"),
        random_share=("random_share", "mean"),
    )
    write(overlap, statistics.reset_index())


def balance(counts):
    """Return of a class histogram, (C,) int64: classes present, largest share, smallest share, normalised entropy."""
    if not counts.sum():
        return 0, np.nan, np.nan, np.nan
    shares = counts / counts.sum()
    present = shares[shares > 0]
    # + 0.0: a pool of one class has an entropy of 0, not -0.
    return len(present), shares.max(), shares.min(), -(present * np.log(present)).sum() / np.log(len(counts)) + 0.0


def write(path, table):
    """Write a table as CSV."""
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")
