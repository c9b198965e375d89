"""Learning curves: mean (line) and standard deviation (band) over the seeds against the number of labels.

`by_strategy` has a panel for each query strategy and a line for each initial pool, `by_pool` the reverse. A point is
a cycle: where the seeds have different numbers of labels, at their mean. A cycle that brought no label in any seed,
as its images have no answer yet, is the last one once more, and is left out. Strategies that train another kind of
network than the plain one have its name in brackets. A dashed line is the mean of the training on the whole pool, where
the study has it (`passive: true`). Where the first cycle would take most of the axis, the axis leaves
it out at the bottom, and the title says so; `figures.limits` sets the axis.
"""

import numpy as np

from poolflow.figures._style import colours, labels_axis, lowest, panels, seeds_in_words
from poolflow.job import StageError

NEEDS = ("curves.csv",)
WITH = ("passive.csv",)
FILE = "{dataset}/{learner}/{view}"
VIEWS = ("by_strategy", "by_pool")
UNITS = {"accuracy": "accuracy (%)", "loss": "cross-entropy (nats)", "found": "with a label"}
STEEP = 0.6  # part of the axis that the first cycle may take
SPAN = 1.3  # of what the others need, then


def draw(results, metric, title, limits, bands):
    """Return the figure of a column of `curves`, with a title of its own or the names of data set and learner."""
    table = results.of_names("curves")
    if metric not in table or table[metric].isna().all():
        raise StageError(f"curves.csv: found no {metric}, as there are no such images; write another figures.metric")
    strategies = table.strategy.where(table.variant == "", table.strategy + " (" + table.variant + ")")
    panel, line = (
        ("strategy", "initial_pool") if results.names["view"] == "by_strategy" else ("initial_pool", "strategy")
    )
    table = table.assign(strategy=strategies)
    title = title or f"{results.names['dataset']}, {results.names['learner']}"
    whole = results.of_names("passive") if results.has("passive") else None
    passive = None if whole is None or metric not in whole else (whole.labeled.mean(), whole[metric].mean())
    return curves(table, panel, line, metric, title, limits, bands, passive)


def points(table, chain):
    """Return the rows of cycles that brought labels, with the mean over the seeds as the number `labeled` of each."""
    table = table.sort_values("cycle", kind="stable")
    new = table.groupby([*chain, "seed"], sort=False).labeled.diff() != 0  # in the first cycle it is not a number
    cycles = table.groupby([*chain, "cycle"], sort=False)
    mean = cycles.labeled.transform("mean")
    return table.assign(labeled=mean)[new.groupby([table[key] for key in [*chain, "cycle"]]).transform("any")]


def curves(table, panel, line, metric, title, limits=(), bands=True, passive=None):
    """Return the figure of `metric` over the number labelled, a panel for each `panel` and a line for each `line`.

    Where there is cycle 0 alone, the points of a panel stand side by side. `passive` is what the labels of the whole
    pool give, (how many, the metric), or None.
    """
    part, _, kind = metric.partition("_")
    names, styles = list(table[panel].unique()), colours(table[line])
    factor = 100 if kind == "accuracy" else 1
    table = points(table.assign(value=table[metric] * factor), [panel, line])
    statistics = table.groupby([panel, line, "cycle"], sort=False).agg(
        labeled=("labeled", "mean"), mean=("value", "mean"), std=("value", "std")
    )
    least, most = (0, 100) if kind == "accuracy" else (0, np.inf)
    statistics["low"] = (statistics["mean"] - statistics["std"].fillna(0)).clip(lower=least)
    statistics["high"] = (statistics["mean"] + statistics["std"].fillna(0)).clip(upper=most)
    figure, axes, used = panels(len(names), legend=1.3)
    several = bool(table.cycle.any())
    for axis, name in zip(used, names, strict=True):
        of = statistics.loc[name]
        for place, one in enumerate(of.index.unique(line)):
            colour, marker = styles[one]
            rows = of.loc[one]
            x = rows.labeled if several else [place]
            style = {"color": colour, "marker": marker, "markersize": 4.5, "markeredgecolor": "white"}
            axis.plot(x, rows["mean"], label=one, markeredgewidth=0.5, **style)
            if bands and several:
                axis.fill_between(x, rows.low, rows.high, color=colour, alpha=0.15, linewidth=0)
            elif bands:
                axis.vlines(x, rows.low, rows.high, color=colour)
        if passive:
            words = f"passive: all {passive[0]:,.0f}"
            axis.axhline(factor * passive[1], label=words, color="0.4", linestyle="--", linewidth=1, zorder=1)
        axis.set_title(f"{panel.replace('_', ' ')}: {name}")
        if not several:
            axis.set_xticks(range(len(of.index.unique(line))), of.index.unique(line), rotation=90)
    for axis in axes[:, 0]:
        axis.set_ylabel(f"{part} {UNITS[kind]}")
    if several:
        labels_axis(used, lowest(axes, used))
    reached = [] if passive is None else [factor * passive[1]]
    note = view(used[0], statistics, limits, metric, least, most, reached)
    figure.legend(
        *used[0].get_legend_handles_labels(), title=line.replace("_", " "), loc="outside right center", frameon=False
    )
    spread = seeds_in_words(table.seed.nunique()) if bands else f"mean over {table.seed.nunique()} seeds"
    figure.suptitle(f"{title}: {spread}{note}")
    return figure


def view(axis, statistics, limits, metric, least, most, reached=()):
    """Set what the vertical axis shows, the lines `reached` too, and return what the title must say of it."""
    if len(limits):
        axis.set_ylim(*limits)
        return ""
    low, high = statistics.low.min(), statistics.high.max()
    later = statistics[statistics.index.get_level_values("cycle") > 0]
    note = ""
    if len(later):
        without = later.low.min(), later.high.max()
        worse = without[0] - low if not metric.endswith("_loss") else high - without[1]
        if worse > STEEP * (high - low):
            room = SPAN * (without[1] - without[0])
            low, high = (without[1] - room, high) if not metric.endswith("_loss") else (low, without[0] + room)
            note = "\n(the axis leaves out part of the first cycle)"
    low, high = min([low, *reached]), max([high, *reached])
    pad = 0.04 * (high - low) or 1
    axis.set_ylim(max(low - pad, least - pad / 2), min(high + pad, most + pad / 2))
    return note
