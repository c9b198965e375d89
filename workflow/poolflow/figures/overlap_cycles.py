"""Overlap over the cycles: what labelled sets from different initial pools share, all pairs, and each with random.

The first panel has the average over all pairs, a line for each strategy; where the study has the initial pool `random`
and a third one, a panel for each strategy follows, with a line for each other pool against it. Dashed: two random sets.
"""

from poolflow.figures._style import colours, labels_axis, lowest, panels, seeds_in_words

NEEDS = ("overlap_cycles.csv",)
AT_LEAST = {"initial_pools": 2, "cycles": 1}
FILE = "{dataset}/{learner}/overlap_cycles"


def draw(results):
    """Return the figure."""
    return lines(results.of_names("overlap_cycles"), ", ".join(results.names.values()))


def lines(table, title):
    """Return the figure: mean (line) and standard deviation (band) over the seeds against the number of labels."""
    together, pairs = table[table.initial_pool == ""], table[table.initial_pool != ""]
    random = pairs[(pairs.initial_pool == "random") | (pairs.other_pool == "random")]
    random = random.assign(pool=random.initial_pool.where(random.initial_pool != "random", random.other_pool))
    parts = [("all pairs of initial pools", together, "strategy")]
    if random.pool.nunique() > 1:
        parts += [(f"{name}: against random", rows, "pool") for name, rows in random.groupby("strategy", sort=False)]
    figure, axes, used = panels(len(parts), legend=1.6)
    names = list(dict.fromkeys([*table.initial_pool, *table.other_pool]))
    for axis, (name, rows, line) in zip(used, parts, strict=True):
        draw_panel(axis, rows, line, colours(table.strategy if line == "strategy" else filter(None, names)))
        axis.set_title(name)
    for axis in axes[:, 0]:
        axis.set_ylabel("images in common (%)")
    labels_axis(used, lowest(axes, used))
    used[0].set_ylim(bottom=0)
    legend = {"loc": "outside right upper" if len(parts) > 1 else "outside right center", "frameon": False}
    figure.legend(*used[0].get_legend_handles_labels(), title="all pairs, strategy", **legend)
    if len(parts) > 1:
        handles, labels = used[1].get_legend_handles_labels()
        figure.legend(handles[:-1], labels[:-1], title="against random", **legend | {"loc": "outside right lower"})
    spread = seeds_in_words(int(table.seeds.iloc[0]))
    figure.suptitle(f"{title}: labelled sets that started from\ndifferent initial pools, {spread}")
    return figure


def draw_panel(axis, table, line, styles):
    """Draw a line for each name in the column `line`, and the share of two random sets."""
    for name in table[line].unique():
        rows, (colour, marker) = table[table[line] == name], styles[name]
        mean, spread = 100 * rows.share_mean, 100 * rows.share_std.fillna(0)
        style = {"color": colour, "marker": marker, "markersize": 4.5, "markeredgecolor": "white"}
        axis.plot(rows.labeled, mean, label=name, markeredgewidth=0.5, **style)
        low, high = (mean - spread).clip(lower=0), (mean + spread).clip(upper=100)
        axis.fill_between(rows.labeled, low, high, color=colour, alpha=0.2, linewidth=0)
    chance = table.groupby("labeled").random_share.mean()
    axis.plot(chance.index, 100 * chance, color="black", linestyle="--", label="two random sets")
