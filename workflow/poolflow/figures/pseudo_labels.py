"""Pseudo-labels: which part of the unlabelled images has one, and which part of these is right, over the cycles.

A column for each data set and each learner that makes some; mean and standard deviation over the seeds and the initial
pools.
"""

import matplotlib.pyplot as plt
import seaborn as sns

from poolflow.figures._style import colours, labels_axis, seeds_in_words

NEEDS = ("curves.csv",)
AT_LEAST = {"guessing": 1}
FILE = "pseudo_labels"
ROWS = {"pseudo_coverage": "have one (%)", "pseudo_accuracy": "are right (%)"}


def draw(results):
    """Return the figure."""
    return coverage(results.table("curves"))


def coverage(curves):
    """Return the figure of a table of curves."""
    curves = curves[curves.pseudo_coverage.notna()]
    settings, styles = list(curves.groupby(["dataset", "learner"], sort=False)), colours(curves.strategy)
    sns.set_theme(style="whitegrid", context="paper")
    options = {"squeeze": False, "sharex": "col", "sharey": "row", "layout": "constrained"}
    figure, axes = plt.subplots(2, len(settings), figsize=(2.8 * len(settings) + 1.4, 4.6), **options)
    for column, (names, rows) in enumerate(settings):
        for axis, (metric, text) in zip(axes[:, column], ROWS.items(), strict=True):
            for strategy, of in rows.groupby("strategy", sort=False):
                found = (100 * of[metric]).groupby(of.labeled).agg(["mean", "std"]).fillna({"std": 0})
                colour, marker = styles[strategy]
                axis.plot(found.index, found["mean"], color=colour, marker=marker, markersize=4, label=strategy)
                low, high = (found["mean"] + sign * found["std"] for sign in (-1, 1))
                axis.fill_between(found.index, low.clip(0), high.clip(upper=100), color=colour, alpha=0.15, linewidth=0)
            axis.set_ylim(0, 102)
            if not column:
                axis.set_ylabel(text)
        axes[0, column].set_title(", ".join(names))
    labels_axis(axes.flat, axes[1])
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside right upper", title="strategy")
    figure.suptitle(f"Pseudo-labels of the unlabelled images, {seeds_in_words(curves.seed.nunique())}")
    return figure
