"""Area under the learning curve: each chain's mean over the budget, a dot for each seed, a bar for their mean."""

import numpy as np

from poolflow.figures._style import colours, panels, seeds_in_words

NEEDS = ("scores.csv",)
AT_LEAST = {"cycles": 1}
FILE = "{dataset}/{learner}/areas"


def draw(results, metric):
    """Return the figure."""
    table = results.of_names("scores")
    return bars(table[table.score == "area"], metric, ", ".join(results.names.values()))


def bars(table, metric, title):
    """Return the figure of the areas in a `scores.csv`, a panel for each initial pool."""
    part, _, kind = metric.partition("_")
    factor, unit = (100, " (%)") if kind == "accuracy" else (1, " (nats)" if kind == "loss" else "")
    pools, styles = list(table.initial_pool.unique()), colours(table.strategy)
    figure, _, used = panels(len(pools), width=max(2.2, 0.45 * len(styles)), height=2.7)
    for axis, pool in zip(used, pools, strict=True):
        for place, (strategy, rows) in enumerate(table[table.initial_pool == pool].groupby("strategy", sort=False)):
            values = factor * rows.value.to_numpy()
            axis.bar(place, np.nanmean(values), width=0.7, color=styles[strategy][0], alpha=0.35, linewidth=0)
            if len(values) > 1:
                axis.errorbar(place, np.nanmean(values), np.nanstd(values, ddof=1), color="0.2", capsize=3)
            spread = np.linspace(-0.22, 0.22, len(values)) if len(values) > 1 else [0]
            axis.plot(place + np.array(spread), values, ".", color=styles[strategy][0], markersize=5)
        axis.set_xticks(range(len(styles)), list(styles), rotation=90)
        axis.grid(axis="x", visible=False)
        axis.set_title(f"initial pool: {pool}")
        axis.set_ylabel(f"mean {part} {kind}{unit}")
        axis.label_outer(remove_inner_ticks=False)
    statistics = table.groupby(["initial_pool", "strategy"]).value.agg(["mean", "std"]).fillna(0)
    low = factor * min(table.value.min(), (statistics["mean"] - statistics["std"]).min())
    high = factor * max(table.value.max(), (statistics["mean"] + statistics["std"]).max())
    pad = 0.15 * (high - low) or 1
    used[0].set_ylim(max(0, low - pad), high + pad)
    span = f"{table.from_labels.iloc[0]:g} to {table.to_labels.iloc[0]:g} labels"
    figure.suptitle(
        f"{title}: area under the curve, {span}, {seeds_in_words(table.seed.nunique())}\n(the axis begins above 0)"
    )
    return figure
