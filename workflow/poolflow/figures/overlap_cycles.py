"""Overlap over the cycles: what labelled sets from different initial pools share, all pairs, and each with random.

The first panel has the average over all pairs, a line for each strategy; where the study has the initial pool `random`
and a third one, a panel for each strategy follows, with a line for each other pool against it. Dashed: two random sets.
"""

import math

import matplotlib.pyplot as plt
import seaborn as sns

NEEDS = ("overlap_cycles.csv",)
AT_LEAST = {"initial_pools": 2, "cycles": 1}
FILE = "{dataset}/{learner}/overlap_cycles"
COLUMNS = 3


def draw(results):
    """Return the figure."""
    return lines(results.of_names("overlap_cycles"), ", ".join(results.names.values()))


def lines(table, title):
    """Return the figure: mean (line) and standard deviation (band) over the seeds against the number of labels."""
    sns.set_theme(style="whitegrid", context="paper")
    together, pairs = table[table.initial_pool == ""], table[table.initial_pool != ""]
    random = pairs[(pairs.initial_pool == "random") | (pairs.other_pool == "random")]
    random = random.assign(pool=random.initial_pool.where(random.initial_pool != "random", random.other_pool))
    panels = [("all pairs of initial pools", together, "strategy")]
    if random.pool.nunique() > 1:
        panels += [(f"{name}: against random", rows, "pool") for name, rows in random.groupby("strategy", sort=False)]
    columns = min(COLUMNS, len(panels))
    height = math.ceil(len(panels) / columns)
    figure, axes = plt.subplots(
        height,
        columns,
        squeeze=False,
        sharey=True,
        figsize=(3.2 * columns + 1.6, 2.7 * height + 0.5),
        layout="constrained",
    )
    for axis, (name, rows, line) in zip(axes.flat, panels, strict=False):
        draw_panel(axis, rows, line)
        axis.set(xlabel="labelled images", ylabel="images in common (%)", title=name)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    axes[0, 0].set_ylim(bottom=0)
    legend = {"loc": "outside right upper", "frameon": False}
    figure.legend(*axes[0, 0].get_legend_handles_labels(), title="all pairs, strategy", **legend)
    if len(panels) > 1:
        handles, labels = axes.flat[1].get_legend_handles_labels()
        figure.legend(handles[:-1], labels[:-1], title="against random", **legend | {"loc": "outside right lower"})
    seeds = table.seeds.iloc[0]
    spread = f"mean ± std over {seeds} seeds" if seeds > 1 else "1 seed"
    figure.suptitle(f"{title}: labelled sets that started from different initial pools, {spread}")
    return figure


def draw_panel(axis, table, line):
    """Draw a line for each name in the column `line`, and the share of two random sets."""
    names = table[line].unique()
    colours = sns.color_palette("colorblind" if len(names) <= 10 else "husl", len(names))
    markers = "oXsPDv^<>*"
    for number, (name, colour) in enumerate(zip(names, colours, strict=True)):
        rows = table[table[line] == name]
        mean, spread = 100 * rows.share_mean, 100 * rows.share_std.fillna(0)
        style = {"color": colour, "marker": markers[number % len(markers)], "markeredgecolor": "white"}
        axis.plot(rows.labeled, mean, label=name, **style)
        axis.fill_between(rows.labeled, mean - spread, mean + spread, color=colour, alpha=0.2, linewidth=0)
    chance = table.groupby("labeled").random_share.mean()
    axis.plot(chance.index, 100 * chance, color="black", linestyle="--", label="two random sets")
