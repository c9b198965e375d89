"""Classes of the initial pools: a histogram for each, mean and standard deviation over the seeds.

As Figure 6 of Chandra et al. (2021).
"""

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.ticker import MaxNLocator

from poolflow.figures._style import grid_of, shorten

NEEDS = ("pool_classes.csv",)
FILE = "{dataset}/pools/histograms"
NAMED = 40  # classes that are named on the axis; more are sorted by count


def draw(results):
    """Return the figure."""
    return histograms(results.of_names("pool_classes"), results.names["dataset"])


def histograms(table, dataset):
    """Return the figure of a `pool_classes.csv`, a panel for each initial pool: mean and std over the seeds."""
    sns.set_theme(style="whitegrid", context="paper")
    statistics = table.groupby(["initial_pool", "class"], sort=False).agg(
        mean=("count", "mean"), std=("count", "std"), random=("random_count", "mean")
    )
    pools, seeds = table["initial_pool"].unique(), table.seed.nunique()
    classes = table["class"].nunique()
    wide = classes > 15
    names = [shorten(name) for name in table["class"].unique()]
    turned = classes <= NAMED and max(map(len, names)) * classes > (60 if wide else 36)
    rows, columns = (-(-len(pools) // 2), min(2, len(pools))) if wide else grid_of(len(pools))
    figure, panels = plt.subplots(
        rows,
        columns,
        sharey=True,
        squeeze=False,
        figsize=((5.2 if wide else 3.4) * columns, (2.7 if turned else 2.3) * rows),
        layout="constrained",
    )
    for panel, pool in zip(panels.flat, pools, strict=False):
        counts = statistics.loc[pool]
        if classes > NAMED:
            expected = counts["random"].sort_values(ascending=False)
            counts = counts.sort_values("mean", ascending=False, kind="stable").assign(random=expected.to_numpy())
        at = np.arange(len(counts))
        error = {"elinewidth": 0.4 if classes > NAMED else 0.8, "ecolor": "0.25"}
        whiskers = counts["std"] if seeds > 1 else None
        panel.bar(at, counts["mean"], width=0.85, color=sns.color_palette("colorblind")[0], linewidth=0)
        panel.errorbar(at, counts["mean"], yerr=whiskers, fmt="none", **error)
        if counts["random"].sum():  # not where no image has a label
            panel.step(at, counts["random"], where="mid", color=sns.color_palette("colorblind")[1], linewidth=1.2)
        panel.set_title(pool)
        panel.set_xlim(-0.6, len(counts) - 0.4)
        panel.grid(axis="x", visible=False)
        panel.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        if classes > NAMED:
            panel.set_xlabel("classes, sorted by their number of images")
        else:
            panel.set_xticks(at, names, rotation=90 if turned else 0, fontsize=6.5 if turned else 8)
            panel.set_xlabel("class")
    for panel in panels.flat[len(pools) :]:
        panel.set_visible(False)
    panels[0, 0].set_ylim(bottom=0)
    for panel in panels[:, 0]:
        panel.set_ylabel("images")
    number = f"{table['count'].sum() / (len(pools) * seeds):.3g}"
    spread = f"mean ± std over {seeds} seeds" if seeds > 1 else "1 seed"
    likewise = ", sorted likewise" if classes > NAMED else ""
    title = f"{dataset}: classes of the initial pools of {number} labelled images, {spread}"
    line = f"(line: a random pool on average{likewise})" if statistics["random"].sum() else "(no image has a label yet)"
    figure.suptitle(f"{title}\n{line}", fontsize=9)
    return figure
