"""Pairwise penalties: how often each strategy beats each other one (Ash et al. 2020).

`penalty` is the number of `settings` (data set, learner and initial pool) in which `strategy` beats `other_strategy`,
each counted by the share of its cycles, after the first, at which the paired t statistic over the seeds is significant
(two-sided, 5 %, not adjusted). `dataset` and `learner` are empty in the sum over all of them.
"""

import numpy as np
import pandas as pd

from poolflow.kernels import statistics
from poolflow.tables import _comparisons

NEEDS = ("curves.csv",)
AT_LEAST = {"strategies": 2, "cycles": 1, "seeds": 2}


def table(results, metric):
    """Return a row for each data set and learner, or their sum, and ordered pair of strategies."""
    sign = -1 if metric.endswith("_loss") else 1
    settings = _comparisons.settings_of(results.table("curves"), metric)
    found, names = [], list(dict.fromkeys(name for setting in settings for name in setting.strategies))
    for setting in settings:
        total = pd.DataFrame(0.0, names, names)
        for pool in setting.pools:
            values = np.full((len(setting.strategies), setting.cycles, len(setting.seeds)), np.nan)
            for row, strategy in enumerate(setting.strategies):
                for column, seed in enumerate(setting.seeds):
                    if run := setting.runs.get((pool, strategy), {}).get(seed):
                        values[row, :, column] = sign * run[1][1:]
            total.loc[setting.strategies, setting.strategies] += statistics.penalties(values)
        found.append((setting.dataset, setting.learner, len(setting.pools), total))
    if len(found) > 1:
        found.append(("", "", sum(entry[2] for entry in found), sum(entry[3] for entry in found)))
    rows = [
        [dataset, learner, first, second, total.loc[first, second], settings]
        for dataset, learner, settings, total in found
        for first in names
        for second in names
        if first != second
    ]
    return pd.DataFrame(rows, columns=["dataset", "learner", "strategy", "other_strategy", "penalty", "settings"])
