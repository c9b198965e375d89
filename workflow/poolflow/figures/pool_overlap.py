"""Overlap of the initial pools: the share of images that each pair of them has in common.

As the table in Figure 7 of Chandra et al. (2021).
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns

NEEDS = ("overlap.csv",)
AT_LEAST = {"initial_pools": 2}
FILE = "{dataset}/pools/overlap"


def draw(results):
    """Return the figure."""
    return heat_map(results.of_names("overlap"), results.names["dataset"])


def heat_map(table, dataset):
    """Return the heat map of an `overlap.csv`, in per cent; a pool beside itself stays empty."""
    sns.set_theme(style="whitegrid", context="paper")
    pools = list(dict.fromkeys([*table["initial_pool"], *table["other_pool"]]))
    shares = pd.DataFrame(np.nan, pools, pools)
    for row in table.itertuples():
        shares.loc[row.initial_pool, row.other_pool] = shares.loc[row.other_pool, row.initial_pool] = row.share_mean
    percent = 100 * shares
    chance, seeds = 100 * table.random_share.mean(), int(table.seeds.iloc[0])
    side = 1.6 + 0.62 * len(pools)
    figure, panel = plt.subplots(figsize=(side + 0.9, side), layout="constrained")
    sns.heatmap(
        percent,
        annot=True,
        fmt=".1f",
        cmap="viridis",
        vmin=0,
        vmax=max(2 * chance, np.nanmax(percent)),
        square=True,
        linewidths=0.6,
        cbar_kws={"label": "images in common (%)", "shrink": 0.8},
        ax=panel,
    )
    panel.set_facecolor("0.92")
    panel.grid(visible=False)
    panel.tick_params(axis="x", rotation=90 if max(map(len, pools)) > 6 else 0)
    panel.tick_params(axis="y", rotation=0)
    spread = f"mean over {seeds} seeds" if seeds > 1 else "1 seed"
    panel.set_title(f"{dataset}: images that two initial pools\nshare, {spread} (random: {chance:.3g} %)", fontsize=9)
    return figure
