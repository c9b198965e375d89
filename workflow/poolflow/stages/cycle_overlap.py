"""Stage: draw how much the labelled sets of different initial pools share, over the cycles of one learner."""

import matplotlib
import pandas as pd
import seaborn as sns

from poolflow.data.store import replacing
from poolflow.job import StageError

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def main(job, overlap, out):
    """Write a PNG file of `overlap_cycles.csv` for one data set and learner: a line for each strategy, and chance."""
    config = job.config
    table = pd.read_csv(overlap, dtype=dict.fromkeys(["dataset", "learner", "strategy"], str))
    table = table[(table.dataset == config["dataset"]) & (table.learner == config["learner"])]
    if table.empty:
        raise StageError(f"{overlap}: found no row of {config['dataset']}, {config['learner']}, expected some")
    figure = draw(table, f"{config['dataset']}, {config['learner']}")
    with replacing(out) as temporary:
        figure.savefig(temporary, format="png", dpi=config["dpi"], bbox_inches="tight")


def draw(table, title):
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
