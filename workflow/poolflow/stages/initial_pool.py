"""Stage: choose the first images to label, before any label is known."""

import os
from importlib import import_module

import numpy as np

from poolflow.job import StageError
from poolflow.selection import Pool, select, write


def main(job, dataset, pool, out, needs=()):
    """Write cycle 0's `labeled.h5`: pool rows in the order chosen.

    A size of 0 means all rows whose label is given, "pool" all rows. `needs` are the files `<need>.h5` of a pretext
    task, one for each of its outputs that the initial pool needs.
    """
    plugin = import_module(f"poolflow.initial_pools.{job.config['initial_pool']}")
    files = {os.path.splitext(os.path.basename(path))[0]: path for path in needs}
    rng = job.rng("initial pool")
    view = Pool(plugin, pool, needs=files, dataset=dataset, rng=rng)
    size = view.size if job.config["size"] == "pool" else job.config["size"] or int(view.given.sum())
    if not size:
        raise StageError(
            "initial_size: 0 takes all images that have a label, but none has; choose the first with another initial "
            "pool and cycles: 0, and label them"
        )
    rows, scores = select(plugin, view, size, rng, job.config["parameters"])
    write(out, job, plugin, rows, scores, np.zeros(len(rows), np.int64))
