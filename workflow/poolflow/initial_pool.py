"""Stage: choose the first images to label, before any label is known."""

import os
from importlib import import_module

import numpy as np

from poolflow.labeled import write_labeled
from poolflow.selection import Pool, select
from poolflow.stage import run


def main(job, dataset, pool, out, needs=()):
    """Write cycle 0's `labeled.h5`: pool rows in the order chosen.

    `needs` are the files `<need>.h5` of a pretext task, one for each of its outputs that the initial pool needs.
    """
    plugin = import_module(f"poolflow.initial_pools.{job.config['initial_pool']}")
    files = {os.path.splitext(os.path.basename(path))[0]: path for path in needs}
    view = Pool(plugin, pool, needs=files, dataset=dataset)
    rows, scores = select(plugin, view, job.config["size"], job.rng("initial pool"), job.config["parameters"])
    write_labeled(out, job, rows, scores, np.zeros(len(rows), np.int64))


if __name__ == "__main__":
    run(main)
