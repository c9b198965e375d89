"""Stage: draw where the initial pools lie among the images, in the features of a pretext task."""

import math

import matplotlib
import numpy as np
import seaborn as sns

from poolflow.data import store
from poolflow.data.known_pool import KnownPool, check_rows, read_rows
from poolflow.job import StageError

matplotlib.use("Agg")
import matplotlib.pyplot as plt

COLOURED = 20  # classes that can be told apart by colour


def main(job, dataset, pool, tsne, out, labeled=()):
    """Write a PNG file with a panel for each initial pool: all images of `tsne.h5`, and those of the pool on top.

    `labeled` are the `labeled.h5` of `config["initial_pools"]`, in their order. As Figure 7 of Chandra et al. (2021).
    """
    config = job.config
    known = KnownPool(pool, dataset)
    with store.read(tsne) as file:
        rows, embedding = file["rows"][:], file["embedding"][:]
    check_rows(tsne, rows, len(known))
    if embedding.shape != (len(rows), 2):
        raise StageError(f"{tsne}: found embedding {embedding.shape}, expected ({len(rows)}, 2)")
    pools = {name: read_rows(path, len(known))[0] for name, path in zip(config["initial_pools"], labeled, strict=True)}
    title = (
        f"{config['dataset']}, seed {config['seed']}: t-SNE of {len(rows)} images by the features of "
        f"{config['pretext']}\n(marked: the initial pool)"
    )
    figure = draw(embedding, rows, known, pools, title)
    with store.replacing(out) as temporary:
        figure.savefig(temporary, format="png", dpi=config["dpi"], bbox_inches="tight")


def draw(embedding, rows, known, pools, title):
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
