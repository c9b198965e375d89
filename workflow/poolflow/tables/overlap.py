"""Overlap of the initial pools: the images that two pools have in common, as a share of a pool's size.

Mean and standard deviation (of a sample, n - 1) over the seeds, and the share that two random pools of that size have
in common on average. An image and its mirror or copy are two images.
"""

import itertools

import numpy as np
import pandas as pd

from poolflow.tables._chosen import chosen_sets

NEEDS = ("pools", "initial_pools")
AT_LEAST = {"initial_pools": 2}
KEY = ["dataset", "initial_pool", "other_pool"]


def table(results):
    """Return a row for each data set and pair of initial pools."""
    rows = []
    for dataset, seed, pool, chosen in chosen_sets(results):
        for (first, its), (second, others) in itertools.combinations(chosen.items(), 2):
            common = len(np.intersect1d(its, others))
            rows.append([dataset, first, second, seed, common / len(its), len(its) / len(pool)])
    pairs = pd.DataFrame(rows, columns=[*KEY, "seed", "share", "random_share"])
    statistics = pairs.groupby(KEY, sort=False).agg(
        seeds=("seed", "size"),
        share_mean=("share", "mean"),
        share_std=("share", "std"),
        random_share=("random_share", "mean"),
    )
    return statistics.reset_index()
