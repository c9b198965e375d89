"""Map of what was acquired: where each strategy's images lie, by the features of a pretext task (t-SNE), by cycle.

A panel for each strategy, of the first seed; the crosses are the initial pool.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import BoundaryNorm

from poolflow.figures._style import panels

NEEDS = ("pools", "labeled", "embeddings")
AT_LEAST = {"cycles": 1}
SEEDS = "first"
FILE = "{dataset}/{learner}/acquired/{initial_pool}_{embedding}"


def draw(results):
    """Return the figure."""
    dataset, learner, name, task = (results.names[key] for key in ("dataset", "learner", "initial_pool", "embedding"))
    seed = results.seeds[0]
    pool = results.pool(dataset, seed)
    rows, embedding = results.embedding(dataset, task, seed, len(pool))
    sets = {s: results.labeled(dataset, learner, name, s, seed, pool)[:2] for s in results.strategies}
    title = f"{dataset}, {learner}, {name}, seed {seed}: what was acquired, by the features of {task} (t-SNE)"
    return maps(embedding, rows, sets, len(pool), results.cycles, title)


def maps(embedding, rows, sets, size, cycles, title):
    """Return the figure.

    Parameters
    ----------
    embedding : (n, 2) float
    rows : (n,) int64
        The pool row of each point.
    sets : {strategy: (rows, cycles), each (L,) int64}
    """
    figure, axes, used = panels(len(sets), width=2.9, height=2.8, legend=0.8)
    palette = plt.get_cmap("plasma", cycles)
    norm = BoundaryNorm(np.arange(0.5, cycles + 1), cycles)
    for axis, (strategy, (picked, since)) in zip(used, sets.items(), strict=True):
        when = np.full(size, -1)
        when[picked] = since
        at = when[rows]
        axis.scatter(*embedding[at < 0].T, s=2, color="0.85", linewidths=0)
        points = axis.scatter(*embedding[at > 0].T, s=14, c=at[at > 0], cmap=palette, norm=norm, linewidths=0)
        axis.scatter(*embedding[at == 0].T, s=16, c="0.1", marker="x", linewidths=0.9)
        shown = (at >= 0).sum()
        axis.set_title(f"{strategy} ({shown if shown == len(picked) else f'{shown} of {len(picked)}'} images)")
        axis.set(xticks=[], yticks=[])
    ticks = np.unique(np.linspace(1, cycles, min(cycles, 6)).round())
    figure.colorbar(points, ax=list(axes.flat), label="cycle", ticks=ticks, shrink=0.8)
    figure.suptitle(title)
    return figure
