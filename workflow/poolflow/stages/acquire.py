"""Stage: let the query strategy choose what the oracle labels next."""

import os
from importlib import import_module

import numpy as np

from poolflow.data.labeled import read_labeled, write_labeled
from poolflow.selection import Pool, select


def main(job, dataset, pool, labeled, out, needs=()):
    """Write this cycle's `labeled.h5`: the last cycle's, and `budget` more rows.

    `needs` are the last cycle's files `<need>.h5`, one for each output of the network that the strategy needs, and
    `model.pt` where it needs the network itself.
    """
    plugin = import_module(f"poolflow.strategies.{job.config['strategy']}")
    rows, scores, cycles = read_labeled(labeled)
    files = {os.path.splitext(os.path.basename(path))[0]: path for path in needs}
    view = Pool(plugin, pool, rows, files, dataset, job.config.get("learner"))
    new, new_scores = select(plugin, view, job.config["budget"], job.rng("acquire"), job.config["parameters"])
    cycle = cycles[-1] + 1
    write_labeled(
        out,
        job,
        np.concatenate([rows, new]),
        np.concatenate([scores, new_scores]),
        np.concatenate([cycles, np.full(len(new), cycle)]),
    )
