"""Scores: what each learning curve comes to, chain by chain and seed by seed.

`area` is the area under the curve divided by the budget (the mean over the labels that all chains of a data set and
learner have in common, `from_labels` to `to_labels`), `start` and `end` are the first and the last cycle, and `at N` is
the curve at the N labels of `statistics.budgets`. A chain that lacks a cycle at a seed has no value there.
"""

import numpy as np
import pandas as pd

from poolflow.tables import curves
from poolflow.tables._comparisons import scores_of, settings_of

NEEDS = ("curves.csv",)


def table(results, metric, budgets):
    """Return a row for each chain, seed and score."""
    rows = []
    for setting in settings_of(results.table("curves"), metric):
        span = setting.span()
        for score, values in scores_of(setting, budgets).items():
            for (pool, strategy), found in values.items():
                chain = [setting.dataset, setting.learner, pool, strategy, setting.variants[strategy]]
                rows += [[*chain, seed, score, found.get(seed, np.nan), *span] for seed in setting.seeds]
    return pd.DataFrame(rows, columns=[*curves.CHAIN, "seed", "score", "value", "from_labels", "to_labels"])
