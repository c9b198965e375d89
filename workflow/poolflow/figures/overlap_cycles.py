"""Overlap over the cycles: what labelled sets from different initial pools share, a line for each strategy."""

import matplotlib.pyplot as plt
import seaborn as sns

NEEDS = ("overlap_cycles.csv",)
AT_LEAST = {"initial_pools": 2, "cycles": 1}
FILE = "{dataset}/{learner}/overlap_cycles"


def draw(results):
    """Return the figure."""
    return lines(results.of_names("overlap_cycles"), ", ".join(results.names.values()))


def lines(table, title):
    """Return the figure: mean (line) and standard deviation (band) over the seeds against the number of labels."""
    sns.set_theme(style="whitegrid", context="paper")
    strategies = table.strategy.unique()
    figure, panel = plt.subplots(figsize=(5.2, 3.4))
    colours = sns.color_palette("colorblind" if len(strategies) <= 10 else "husl", len(strategies))
    markers = "oXsPDv^<>*"
    for number, (strategy, colour) in enumerate(zip(strategies, colours, strict=True)):
        line = table[table.strategy == strategy]
        mean, spread = 100 * line.share_mean, 100 * line.share_std.fillna(0)
        style = {"color": colour, "marker": markers[number % len(markers)], "markeredgecolor": "white"}
        panel.plot(line.labeled, mean, label=strategy, **style)
        panel.fill_between(line.labeled, mean - spread, mean + spread, color=colour, alpha=0.2, linewidth=0)
    chance = table.groupby("labeled").random_share.mean()
    panel.plot(chance.index, 100 * chance, color="black", linestyle="--", label="two random sets")
    panel.set(xlabel="labelled images", ylabel="images in common (%)")
    panel.set_ylim(bottom=0)
    panel.legend(title="strategy", loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    seeds = table.seeds.iloc[0]
    spread = f"mean ± std over {seeds} seeds" if seeds > 1 else "1 seed"
    panel.set_title(f"{title}: labelled sets that started from different\ninitial pools, all pairs, {spread}")
    return figure
