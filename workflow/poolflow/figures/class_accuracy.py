"""Accuracy of each class on the test images, over the cycles, mean over the seeds; a panel for each strategy."""

import numpy as np
import seaborn as sns

from poolflow.figures import _style
from poolflow.figures._style import panels, shorten

NEEDS = ("class_accuracy.csv",)
AT_LEAST = {"cycles": 1}
FILE = "{dataset}/{learner}/class_accuracy/{initial_pool}"
NAMED = 40  # classes that are named; more are sorted by their last accuracy


def draw(results):
    """Return the figure."""
    return heat_maps(
        results.of_names("class_accuracy"),
        ", ".join(results.names[key] for key in ("dataset", "learner", "initial_pool")),
    )


def heat_maps(table, title):
    """Return the figure of the rows of a `class_accuracy.csv` of one initial pool."""
    strategies = list(table.strategy.unique())
    names = [name for name in table["class"].unique() if name]
    height = 0.9 + min(0.2 * len(names), 4.5)
    figure, axes, used = panels(len(strategies), width=2.6, height=height, legend=0.8)
    for axis, strategy in zip(used, strategies, strict=True):
        rows = table[(table.strategy == strategy) & (table["class"] != "")]
        values = 100 * rows.pivot(index="class", columns="cycle", values="accuracy_mean").loc[names]
        if len(names) > NAMED:
            values = values.iloc[np.argsort(-values.iloc[:, -1].to_numpy(), kind="stable")]
        labels = [shorten(name) for name in names] if len(names) <= NAMED else False
        sns.heatmap(values, vmin=0, vmax=100, cmap=_style.HEAT, ax=axis, cbar=False, yticklabels=labels)
        balanced = 100 * table[(table.strategy == strategy) & (table["class"] == "")].accuracy_mean.iloc[-1]
        axis.set_title(f"{strategy}: balanced {balanced:.1f} %")
        axis.set_ylabel("class" if len(names) <= NAMED else "classes, sorted by the last cycle")
        axis.tick_params(axis="both", rotation=0)
        axis.label_outer(remove_inner_ticks=False)
        axis.set_xlabel("cycle")
    scale = used[0].collections[0]
    figure.colorbar(scale, ax=list(axes.flat), label="test accuracy (%)", shrink=0.8)
    figure.suptitle(f"{title}: test accuracy of each class")
    return figure
