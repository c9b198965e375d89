"""Uncertainty: the predictive entropy of the unlabelled images, and where in it lies what was acquired.

A row for each strategy that uses class probabilities, with the first, the middle and the last acquisition of the first
seed: grey the unlabelled images that it chose from, red what it chose. 0 is certain, 1 says all classes alike. Not for
a study with `keep: false`, which does not keep the probabilities.
"""

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns

from poolflow.figures._style import shorten

NEEDS = ("pools", "labeled", "probs")
AT_LEAST = {"cycles": 1, "predicting": 1}
SEEDS = "first"
FILE = "{dataset}/{learner}/uncertainty/{initial_pool}"
BINS = 25


def draw(results):
    """Return the figure."""
    dataset, learner, name = (results.names[key] for key in ("dataset", "learner", "initial_pool"))
    seed, found = results.seeds[0], {}
    pool = results.pool(dataset, seed)
    shown = sorted({1, (results.cycles + 1) // 2, results.cycles})
    for strategy in results.strategies:
        rows, since, _ = results.labeled(dataset, learner, name, strategy, seed, pool)
        when = np.full(len(pool), results.cycles + 1)
        when[rows] = since
        for cycle in shown:
            probs = results.probs(dataset, learner, name, strategy, seed, cycle - 1, pool)
            entropy = normalised_entropy(probs)
            found[strategy, cycle] = entropy[when >= cycle], entropy[when == cycle]
    title = (
        f"{dataset}, {learner}, {name}, seed {seed}\nuncertainty of the unlabelled images (grey) and the acquired (red)"
    )
    return histograms(found, title)


def normalised_entropy(probs):
    """Return the entropy (N,) float64 of class probabilities (N, C), divided by log C."""
    values = np.asarray(probs, np.float64)
    logs = np.log(values, out=np.zeros_like(values), where=values > 0)
    return np.clip(-(values * logs).sum(axis=1) / np.log(values.shape[1]), 0, 1)


def histograms(found, title):
    """Return the figure of {(strategy, cycle): entropies of the unlabelled (U,), of the acquired (B,)}."""
    sns.set_theme(style="whitegrid", context="paper")
    strategies, cycles = (list(dict.fromkeys(keys)) for keys in zip(*found, strict=True))
    size = (max(2.3 * len(cycles), 5) + 0.8, 1.5 * len(strategies) + 0.9)
    options = {"squeeze": False, "sharex": True, "sharey": True, "figsize": size, "layout": "constrained"}
    figure, axes = plt.subplots(len(strategies), len(cycles), **options)
    edges = np.linspace(0, 1, BINS + 1)
    for (strategy, cycle), axis in zip(found, axes.flat, strict=True):
        for values, look in zip(
            found[strategy, cycle], ({"color": "0.78", "fill": True}, {"color": "C3"}), strict=True
        ):
            axis.stairs(np.histogram(values, edges)[0] / max(1, len(values)), edges, **look)
        if axis in axes[0]:
            axis.set_title(f"before cycle {cycle}")
    axes[0, 0].set(xlim=(0, 1))
    for axis, strategy in zip(axes[:, 0], strategies, strict=True):
        axis.set_ylabel(f"{shorten(strategy)}\nshare")
    figure.supxlabel("predictive entropy / log(classes)", fontsize="medium")
    figure.suptitle(title)
    return figure
