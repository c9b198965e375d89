"""Labels saved: how many labels each strategy needs to reach an accuracy, and how many fewer than random.

`target` are the values of `statistics.targets`, by default one for each data set and learner: what random reaches at
every seed, in whole points. `labels` is where the curve first gets there, along lines, as a mean over the seeds, and
only where all of them get there: `reached` says how many do. `saved` is the share of random's labels at the same seed
that was not needed, with interval, test and verdict as in `strategy_tests`, over the seeds at which both get there.
"""

import numpy as np
import pandas as pd

from poolflow.kernels import statistics
from poolflow.tables import _comparisons

NEEDS = ("curves.csv",)
AT_LEAST = {"strategies": 2, "cycles": 1, "references": 1}
KEY = ["dataset", "learner", "initial_pool", "strategy", "other_strategy", "target"]
FACTS = ["pairs", "reached", "labels", "other_reached", "other_labels", "labels_saved"]
TESTS = ["seeds", "missing", "saved", "low", "high", "wins", "p", "comparisons", "p_holm", "verdict", "sentence"]


def table(results, metric, reference, alpha, targets):
    """Return a row for each data set, learner, initial pool, strategy and target."""
    sign = -1 if metric.endswith("_loss") else 1
    lines = []
    for setting in _comparisons.settings_of(results.table("curves"), metric):
        for target in targets or _comparisons.targets_of(setting, reference, sign):
            needed = {
                chain: {s: statistics.labels_to_reach(x, sign * y, sign * target) for s, (x, y) in runs.items()}
                for chain, runs in setting.runs.items()
            }
            lines += _of_target(setting, needed, target, reference, metric, alpha)
    return pd.DataFrame(lines, columns=[*KEY, *FACTS, *TESTS])


def _of_target(setting, needed, target, reference, metric, alpha):
    """Return the rows of one target, one family of comparisons. `needed` is {chain: {seed: labels}}."""
    lines, shares = [], []
    for (pool, strategy), labels in needed.items():
        other = _comparisons.reference_for(strategy, setting, reference)
        theirs = needed.get((pool, other), {})
        mine, its = (np.array([found.get(s, np.nan) for s in setting.seeds]) for found in (labels, theirs))
        line = dict(zip(KEY, [setting.dataset, setting.learner, pool, strategy, other, target], strict=True))
        line |= {"runs": len(labels), "other_runs": len(theirs), "pairs": len(labels.keys() & theirs.keys())}
        line |= facts_of(mine, len(labels), "") | facts_of(its, len(theirs), "other_")
        both = np.isfinite(mine) & np.isfinite(its)
        line["labels_saved"] = (its - mine)[both].mean() if both.any() and strategy != other else np.nan
        lines.append(line)
        shares.append(1 - mine / its if strategy != other else np.full(len(mine), np.nan))
    tests = _comparisons.compared(np.array(shares), setting.seeds, alpha, np.inf)
    for at, line in enumerate(lines):
        line |= {name: tests[name][at] for name in TESTS if name in tests} | {"saved": tests["mean"][at]}
        line["verdict"] = {"better": "fewer", "worse": "more"}.get(line["verdict"], "undecided")
        line["sentence"] = sentence(line, metric)
    return lines


def facts_of(labels, runs, prefix):
    """Return how many of so many runs get there, and the mean of their labels where all do."""
    reached = np.isfinite(labels)
    whole = runs > 0 and reached.sum() == runs
    return {f"{prefix}reached": int(reached.sum()), f"{prefix}labels": labels[reached].mean() if whole else np.nan}


def sentence(row, metric):
    """Return what a row says in words, with its numbers."""
    factor, percent = (100, " %") if metric.endswith("accuracy") else (1, "")
    goal = f"{_comparisons.in_words(metric)} {factor * row['target']:g}{percent}"
    name, other, pool = row["strategy"], row["other_strategy"], row["initial_pool"]
    late = [
        f"{who} did not reach it in {runs - there} of {runs} seeds"
        for who, there, runs in ((name, row["reached"], row["runs"]), (other, row["other_reached"], row["other_runs"]))
        if there < runs
    ]
    note = "".join(f"; {line}" for line in dict.fromkeys(late))
    if name == other or np.isnan(row["saved"]):
        needs = "is not compared" if np.isnan(row["labels"]) else f"needs {row['labels']:.0f} labels"
        return f"{name} {needs} to reach {goal}, from {pool}{note}"
    fewer = row["saved"] >= 0
    interval = (row["low"], row["high"], 100) if fewer else (row["high"], row["low"], -100)
    share = (
        f"{abs(100 * row['saved']):.0f} %{_comparisons.interval_of(*interval, '.0f')} {'fewer' if fewer else 'more'}"
    )
    open_ = ", undecided" if row["verdict"] == "undecided" else ""
    test = _comparisons.test_of(row)
    return f"{name} needs {share} labels than {other} to reach {goal}, from {pool}{open_} ({test}){note}"
