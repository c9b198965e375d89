"""Stage: let the query strategy choose what the oracle labels next."""

import os
from importlib import import_module

import numpy as np

from poolflow.data.candidates import Candidates
from poolflow.data.labeled import read_labeled
from poolflow.job import Damaged, StageError
from poolflow.selection import Pool, select, write


def main(job, dataset, pool, labeled, out, needs=(), cycle=()):
    """Write this cycle's `labeled.h5`: the last cycle's, and `budget` more rows.

    `needs` are the last cycle's files `<need>.h5`, one for each output of the network that the strategy needs, and
    `model.pt` where it needs the network itself. `cycle`, this one and the last one of the study, are held against the
    pool: a chain that would run out of images is refused here, before more is trained.
    """
    plugin = import_module(f"poolflow.strategies.{job.config['strategy']}")
    size, budget = len(Candidates(pool)), job.config["budget"]
    rows, scores, cycles = read_labeled(labeled, size)
    number = cycles[-1] + 1
    this, last = map(int, cycle or (number, 0))
    if this != number:
        raise Damaged(f"{labeled}: found the labelled set of cycle {cycles[-1]}, expected that of cycle {this - 1}")
    left = last - this + 1
    if len(rows) + budget * left > size:
        raise StageError(
            f"budget: found {len(rows)} labels and {left} more cycles of {budget}, expected at most the "
            f"{size} images in the pool"
        )
    files = {os.path.splitext(os.path.basename(path))[0]: path for path in needs}
    rng = job.rng("acquire")
    view = Pool(plugin, pool, rows, files, dataset, job.config.get("learner"), rng)
    new, new_scores = select(plugin, view, budget, rng, job.config["parameters"])
    write(
        out,
        job,
        plugin,
        np.concatenate([rows, new]),
        np.concatenate([scores, new_scores]),
        np.concatenate([cycles, np.full(len(new), number)]),
    )
