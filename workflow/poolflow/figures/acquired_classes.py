"""What each strategy acquired: class entropy over the cycles, and each class's share against random's.

The upper panel has the entropy of the classes of each cycle's images, mean over the seeds (1: all classes alike), and
that of as many random images (dashed): a strategy far below it asks for few classes only (mode collapse). The lower one
has, for all cycles after the initial pool, how many images of each class a strategy acquired for one that random would
have.
"""

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.colors import TwoSlopeNorm

from poolflow.figures._style import colours, labels_axis, seeds_in_words, shorten

NEEDS = ("acquired.csv", "acquired_classes.csv")
AT_LEAST = {"cycles": 1}
FILE = "{dataset}/{learner}/acquired/{initial_pool}"
NAMED = 40  # classes that are named on the axis; more are sorted


def draw(results):
    """Return the figure."""
    title = ", ".join(results.names[key] for key in ("dataset", "learner", "initial_pool"))
    return balance(results.of_names("acquired"), results.of_names("acquired_classes"), results.strategies, title)


def balance(acquired, classes, strategies, title):
    """Return the figure of the rows of an `acquired.csv` and an `acquired_classes.csv` of one initial pool."""
    sns.set_theme(style="whitegrid", context="paper")
    styles, later = colours(strategies), acquired[acquired.cycle > 0]
    names = list(classes["class"].unique())
    wide = min(10, max(5.5, 0.3 * len(names)))
    figure, (upper, lower) = plt.subplots(
        2, 1, figsize=(wide + 1.2, 3.2 + 0.32 * len(strategies) + 0.8), layout="constrained",
        height_ratios=[2.4, 0.5 + 0.32 * len(strategies)],
    )  # fmt: skip
    for strategy, rows in later.groupby("strategy", sort=False):
        colour, marker = styles[strategy]
        mean = rows.groupby("cycle").entropy.agg(["mean", "std"])
        style = {"color": colour, "marker": marker, "markersize": 4.5, "markeredgecolor": "white"}
        upper.plot(mean.index, mean["mean"], label=strategy, markeredgewidth=0.5, **style)
        spread = mean["std"].fillna(0)
        low, high = (mean["mean"] - spread).clip(lower=0), (mean["mean"] + spread).clip(upper=1)
        upper.fill_between(mean.index, low, high, color=colour, alpha=0.15, linewidth=0)
    chance = later.groupby("cycle").random_entropy.mean()
    upper.plot(chance.index, chance, color="0.1", linestyle="--", linewidth=1, label="random images")
    labels_axis([upper], [upper], "cycle")
    upper.set_ylabel("class entropy")
    upper.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, title="strategy")
    shares, shown = ratios(classes[classes.cycle > 0], names)
    highest = max(2.0, float(np.nanmax(shares))) if np.isfinite(shares).any() else 2.0
    sns.heatmap(
        shares,
        cmap="vlag",
        norm=TwoSlopeNorm(1, 0, highest),
        ax=lower,
        yticklabels=list(classes.strategy.unique()),
        xticklabels=[shorten(name) for name in shown] if len(names) <= NAMED else False,
        cbar_kws={"label": "times random"},
    )
    lower.tick_params(axis="y", rotation=0)
    if len(names) <= NAMED:
        lower.tick_params(axis="x", rotation=90 if max(map(len, names)) * len(names) > 60 else 0)
    else:
        lower.set_xlabel("classes, each row sorted")
    seeds = seeds_in_words(acquired.seed.nunique())
    figure.suptitle(f"{title}: classes of what each strategy acquired, {seeds}")
    return figure


def ratios(classes, names):
    """Return (strategies, classes) of the images acquired for each that random would have, and the classes' names."""
    total = classes.groupby(["strategy", "class"], sort=False)[["count", "random_count"]].sum()
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = (total["count"] / total.random_count).unstack(sort=False)[names]
    shares = ratio.to_numpy()
    return (shares, names) if len(names) <= NAMED else (-np.sort(-shares, axis=1), names)
