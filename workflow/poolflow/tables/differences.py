"""Differences to random over the cycles: each strategy's paired difference at each cycle, with its interval.

As `strategy_tests`, cycle by cycle and not tested: the mean over the `seeds` that have both, and its bootstrap interval
(95 %, BCa). `labeled` is the mean number of labels.
"""

import numpy as np
import pandas as pd

from poolflow.kernels import statistics
from poolflow.tables._comparisons import reference_for, settings_of

NEEDS = ("curves.csv",)
AT_LEAST = {"strategies": 2, "cycles": 1, "references": 1}
KEY = ["dataset", "learner", "initial_pool", "strategy", "other_strategy", "cycle"]


def table(results, metric, reference):
    """Return a row for each data set, learner, initial pool, strategy but the reference, and cycle."""
    rows, differences = [], []
    for setting in settings_of(results.table("curves"), metric):
        for (pool, strategy), runs in setting.runs.items():
            other = reference_for(strategy, setting, reference)
            theirs = setting.runs.get((pool, other), {})
            both = [seed for seed in setting.seeds if seed in runs and seed in theirs]
            if other == strategy or not both:
                continue
            labels = np.mean([runs[seed][0] for seed in both], axis=0)
            for cycle in range(setting.cycles + 1):
                key = [setting.dataset, setting.learner, pool, strategy, other, cycle]
                rows.append([*key, labels[cycle], len(both)])
                values = [runs[seed][1][cycle] - theirs[seed][1][cycle] for seed in both]
                differences.append(np.pad(values, (0, len(setting.seeds) - len(both)), constant_values=np.nan))
    table = pd.DataFrame(rows, columns=[*KEY, "labeled", "seeds"])
    width = max(map(len, differences), default=0)
    found = np.array([np.pad(row, (0, width - len(row)), constant_values=np.nan) for row in differences])
    low, high = statistics.intervals(found).T if len(found) else ([], [])
    return table.assign(mean=np.nanmean(found, axis=1) if len(found) else [], low=low, high=high)
