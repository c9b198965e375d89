"""Pairwise penalties: in how many settings the strategy of a row beats that of a column (Ash et al. 2020).

A setting is a data set, learner and initial pool, and counts by the share of its cycles that are won. The last row is
the mean of each column: lower is better.
"""

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns

from poolflow.figures import _style
from poolflow.figures._style import count

NEEDS = ("penalty.csv",)
AT_LEAST = {"strategies": 2, "cycles": 1, "seeds": 2}
FILE = "penalty"


def draw(results):
    """Return the figure."""
    table = results.table("penalty")
    if (together := table.dataset == "").any():
        table = table[together]
    return heat_map(table)


def heat_map(table):
    """Return the figure of the rows of a `penalty.csv`, all of them of one setting or the sum."""
    sns.set_theme(style="white", context="paper")
    names = list(table.strategy.unique())
    matrix = table.pivot(index="strategy", columns="other_strategy", values="penalty").reindex(names, columns=names)
    matrix = pd.concat([matrix, matrix.mean().rename("mean").to_frame().T])
    settings = table.settings.iloc[0]
    side = 1.8 + 0.55 * len(names)
    figure, axis = plt.subplots(figsize=(side + 1.2, side), layout="constrained")
    sns.heatmap(
        matrix,
        annot=True,
        fmt=".2f",
        cmap=_style.HEAT,
        vmin=0,
        vmax=max(settings, 1e-9),
        square=True,
        linewidths=0.6,
        ax=axis,
        cbar_kws={"label": f"settings won, of {settings}", "shrink": 0.8},
    )
    axis.set_facecolor("0.92")
    axis.axhline(len(names), color="0.1", linewidth=1.5)
    axis.set(xlabel="loses", ylabel="wins")
    axis.tick_params(axis="x", rotation=90)
    axis.tick_params(axis="y", rotation=0)
    axis.set_title(f"Pairwise penalties over {count(settings, 'setting')}", fontsize=9)
    return figure
