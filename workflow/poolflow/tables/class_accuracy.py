"""Accuracy of each class on the test images, cycle by cycle: mean and standard deviation over the seeds.

`class` is empty for the balanced accuracy, the mean over the classes that have test images. A class without test images
has no value. The standard deviation is that of a sample (n - 1).
"""

import itertools

import numpy as np
import pandas as pd

from poolflow.tables.hard_classes import class_accuracy

NEEDS = ("pools", "metrics")
KEY = ["dataset", "learner", "initial_pool", "strategy", "cycle", "class"]


def table(results):
    """Return a row for each data set, learner, initial pool, strategy, cycle and class."""
    tables = []
    for dataset, seed in itertools.product(results.datasets, results.seeds):
        names = results.pool(dataset, seed).names
        for learner, name, strategy in itertools.product(results.learners, results.initial_pools, results.strategies):
            chain = [dataset, learner, name, strategy]
            for cycle in range(results.cycles + 1):
                metrics = results.metrics(*chain, seed, cycle)
                accuracy = class_accuracy(metrics, f"{'/'.join(chain)}, seed {seed}, cycle {cycle}", len(names))
                tested = accuracy[np.isfinite(accuracy)]
                balanced = tested.mean() if len(tested) else np.nan
                part = pd.DataFrame({"class": ["", *names], "accuracy": [balanced, *accuracy]})
                for place, value in enumerate([*chain, cycle]):
                    part.insert(place, KEY[place], value)
                tables.append(part)
    grouped = pd.concat(tables).groupby(KEY, sort=False).accuracy
    return grouped.agg(["mean", "std"]).add_prefix("accuracy_").reset_index()
