"""Map of the initial pools: where they lie among the images, by the features of a pretext task (t-SNE).

A panel for each initial pool of the first seed: all images of the sample, and those of the pool on top. As Figure 7 of
Chandra et al. (2021).
"""

import math

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns

NEEDS = ("pools", "initial_pools", "embeddings")
FILE = "{dataset}/pools/tsne_{embedding}"
SEEDS = "first"
COLOURED = 20  # classes that can be told apart by colour


def draw(results):
    """Return the figure."""
    dataset, task, seed = results.names["dataset"], results.names["embedding"], results.seeds[0]
    known = results.pool(dataset, seed)
    rows, embedding = results.embedding(dataset, task, seed, len(known))
    pools = {name: results.initial_pool(dataset, name, seed, known) for name in results.initial_pools}
    title = f"{dataset}, seed {seed}: t-SNE of {len(rows)} images by the features of {task}\n(marked: the initial pool)"
    return scatter(embedding, rows, known, pools, title)


def scatter(embedding, rows, known, pools, title):
    """Return the figure.

    Parameters
    ----------
    embedding : (n, 2) float
    rows : (n,) int64
        The pool row of each point.
    known : poolflow.data.known_pool.KnownPool
    pools : {name: (L,) int64}
        The pool rows of each initial pool.
    """
    sns.set_theme(style="white", context="paper")
    classes = len(known.names)
    if classes <= COLOURED:
        # The last colour is that of images without a label, whose class is -1.
        palette = sns.color_palette("tab10" if classes <= 10 else "tab20", classes)
        colours = np.array([*palette, (0.0, 0.0, 0.0)])[known.classes[rows]]
    else:
        colours = np.tile(sns.color_palette("colorblind")[0], (len(rows), 1))
    columns = len(pools) if len(pools) <= 3 else math.ceil(math.sqrt(len(pools)))
    lines = -(-len(pools) // columns)
    figure, panels = plt.subplots(
        lines, columns, squeeze=False, figsize=(3.1 * columns, 3.2 * lines), layout="constrained"
    )
    pale = colours * 0.3 + 0.7 if classes <= COLOURED else np.full_like(colours, 0.82)
    for panel, (name, chosen) in zip(panels.flat, pools.items(), strict=False):
        marked = np.isin(rows, chosen)
        size = np.clip(3000 / max(1, marked.sum()), 6, 18)
        outline = {"edgecolors": "black", "linewidths": size / 50} if classes <= COLOURED else {"linewidths": 0}
        panel.scatter(*embedding[~marked].T, s=3, c=pale[~marked], linewidths=0)
        panel.scatter(*embedding[marked].T, s=size, c=colours[marked], **outline)
        shown = f"{len(chosen)}" if marked.sum() == len(chosen) else f"{marked.sum()} of {len(chosen)}"
        panel.set_title(f"{name} ({shown} images)")
        panel.set(xticks=[], yticks=[])
    for panel in panels.flat[len(pools) :]:
        panel.set_visible(False)
    if classes <= COLOURED:
        names = dict(zip(known.names, palette, strict=True))
        if (known.classes[rows] < 0).any():
            names["no label"] = "black"
        handles = [
            plt.Line2D([], [], marker="o", linestyle="", markersize=5, color=colour, label=name)
            for name, colour in names.items()
        ]
        legend = {"frameon": False, "title": "class", "handletextpad": 0.1}
        figure.legend(handles=handles, loc="outside right center", **legend)
    figure.suptitle(title)
    return figure
