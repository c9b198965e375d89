"""Passive learning: what each learner reaches with the labels of the whole pool, for each data set and seed.

The reference that no choice of images is expected to pass by much. The columns are those of `curves`.
"""

import pandas as pd

from poolflow.tables import curves

NEEDS = ("passive",)
AT_LEAST = {"passive": 1}


def table(results):
    """Return a row for each data set, learner and seed; a metric that nothing has is left out."""
    rows = []
    for dataset in results.datasets:
        for learner in results.learners:
            for seed in results.seeds:
                metrics = results.passive(dataset, learner, seed)
                rows.append([dataset, learner, seed, *(metrics.get(metric) for metric in curves.METRICS)])
    columns = ["dataset", "learner", "seed", *curves.METRICS]
    return pd.DataFrame(rows, columns=columns).dropna(axis="columns", how="all")
