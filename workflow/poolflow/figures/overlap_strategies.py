"""Overlap of the strategies: the share of what they acquired that each pair has in common, after the last cycle."""

import numpy as np
import pandas as pd
import seaborn as sns

from poolflow.figures import _style
from poolflow.figures._style import count, panels

NEEDS = ("overlap_strategies.csv",)
AT_LEAST = {"strategies": 2, "cycles": 1}
FILE = "{dataset}/{learner}/overlap_strategies"


def draw(results):
    """Return the figure."""
    return heat_maps(results.of_names("overlap_strategies"), ", ".join(results.names.values()))


def heat_maps(table, title):
    """Return the figure of the last cycle of an `overlap_strategies.csv`, a panel for each initial pool."""
    table = table[table.cycle == table.cycle.max()]
    pools, names = list(table.initial_pool.unique()), list(dict.fromkeys([*table.strategy, *table.other_strategy]))
    side = 1.2 + 0.5 * len(names)
    figure, _, used = panels(len(pools), width=side, height=side)
    highest = max(100 * table.share_mean.max(), 200 * table.random_share.max(), 1)
    for axis, pool in zip(used, pools, strict=True):
        shares = pd.DataFrame(np.nan, names, names)
        for row in table[table.initial_pool == pool].itertuples():
            first, second = row.strategy, row.other_strategy
            shares.loc[first, second] = shares.loc[second, first] = 100 * row.share_mean
        style = {
            "annot": len(names) <= 12,
            "fmt": ".0f",
            "cmap": _style.HEAT,
            "square": True,
            "linewidths": 0.6,
            "cbar": False,
        }
        sns.heatmap(shares, vmin=0, vmax=highest, ax=axis, **style)
        axis.set_facecolor("0.92")
        axis.grid(visible=False)
        axis.set_title(f"initial pool: {pool}")
        axis.tick_params(axis="x", rotation=90)
        axis.tick_params(axis="y", rotation=0)
    chance, seeds = 100 * table.random_share.mean(), int(table.seeds.max())
    spread = f"mean over {count(seeds, 'seed')}"
    figure.suptitle(
        f"{title}: acquired in common (%),\nof {table.acquired.mean():g} images, {spread} (random: {chance:.2g} %)"
    )
    return figure
