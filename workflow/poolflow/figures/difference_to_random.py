"""Difference to random: each strategy's paired difference at each number of labels, with its 95 % interval.

A panel for each initial pool; above zero (for a loss, below) a strategy is better than random from the same pool. Of
three seeds or more the band is the bootstrap interval of the mean, too narrow with few seeds; a test decides, see
`strategy_tests.csv`.
"""

import matplotlib.pyplot as plt

from poolflow.figures._style import colours, count, labels_axis, lowest, panels

NEEDS = ("differences.csv",)
AT_LEAST = {"strategies": 2, "cycles": 1, "references": 1}
FILE = "{dataset}/{learner}/difference_to_random"


def draw(results, metric):
    """Return the figure."""
    return lines(results.of_names("differences"), results.strategies, metric, ", ".join(results.names.values()))


def lines(table, strategies, metric, title):
    """Return the figure of the rows of a `differences.csv`."""
    part, _, kind = metric.partition("_")
    factor, unit = (100, "points") if kind == "accuracy" else (1, "nats" if kind == "loss" else "classes")
    pools, styles = list(table.initial_pool.unique()), colours(strategies)
    figure, axes, used = panels(len(pools), legend=1.5)
    for axis, pool in zip(used, pools, strict=True):
        axis.axhline(0, color="0.1", linewidth=1, linestyle="--")
        for strategy, rows in table[table.initial_pool == pool].groupby("strategy", sort=False):
            colour, marker = styles[strategy]
            style = {"color": colour, "marker": marker, "markersize": 4.5, "markeredgecolor": "white"}
            axis.plot(rows.labeled, factor * rows["mean"], label=strategy, markeredgewidth=0.5, **style)
            axis.fill_between(
                rows.labeled, factor * rows.low, factor * rows.high, color=colour, alpha=0.15, linewidth=0
            )
        axis.set_title(f"initial pool: {pool}")
    labels_axis(used, lowest(axes, used))
    for axis in axes[:, 0]:
        axis.set_ylabel(f"difference in {part} {kind} ({unit})")
    dashed = plt.Line2D(
        [], [], color="0.1", linewidth=1, linestyle="--", label=", ".join(table.other_strategy.unique())
    )
    handles = [*used[0].get_legend_handles_labels()[0], dashed]
    figure.legend(handles=handles, title="strategy", loc="outside right center", frameon=False)
    least, most = table.seeds.min(), table.seeds.max()
    seeds = count(most, "seed") if least == most else f"{least} to {most} seeds"
    interval = ", 95 % interval" if table.low.notna().any() else ""
    figure.suptitle(f"{title}: paired difference to random, mean{interval} over {seeds}")
    return figure
