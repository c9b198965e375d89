"""Map of the initial pools: where they lie among the images, by the features of a pretext task (t-SNE).

A panel for each initial pool of the first seed: all images of the sample, and those of the pool on top. As Figure 7 of
Chandra et al. (2021). Up to 10 classes have a colour each; 11 to 20 have a colour and a marker, a square from the
eleventh on; of more the classes are not shown.
"""

import itertools
import math

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns

NEEDS = ("pools", "initial_pools", "embeddings")
FILE = "{dataset}/pools/tsne_{embedding}"
SEEDS = "first"
MARKERS = "os"
COLOURED = 20  # classes that can be told apart, by ten colours and a marker for each ten


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
        palette = list(itertools.islice(itertools.cycle(sns.color_palette("tab10", 10)), classes))
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
        ten = known.classes[rows].clip(min=0) // 10 if classes <= COLOURED else np.zeros(len(rows), int)
        for number in range(ten.max(initial=0) + 1):
            of = marked & (ten == number)
            panel.scatter(*embedding[of].T, s=size, c=colours[of], marker=MARKERS[number], **outline)
        shown = f"{len(chosen)}" if marked.sum() == len(chosen) else f"{marked.sum()} of {len(chosen)}"
        panel.set_title(f"{name} ({shown} images)")
        panel.set(xticks=[], yticks=[])
    for panel in panels.flat[len(pools) :]:
        panel.set_visible(False)
    if classes <= COLOURED:
        names = [
            (name, colour, MARKERS[i // 10]) for i, (name, colour) in enumerate(zip(known.names, palette, strict=True))
        ]
        if (known.classes[rows] < 0).any():
            names.append(("no label", "black", "o"))
        handles = [
            plt.Line2D([], [], marker=marker, linestyle="", markersize=5, color=colour, label=name)
            for name, colour, marker in names
        ]
        legend = {"frameon": False, "title": "class", "handletextpad": 0.1}
        figure.legend(handles=handles, loc="outside right center", **legend)
    figure.suptitle(title)
    return figure
