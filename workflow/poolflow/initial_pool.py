"""Stage: choose the first images to label, before any label is known."""

from importlib import import_module

import numpy as np

from poolflow.selection import Pool, select, write_labeled
from poolflow.stage import StageError, run


def main(job, dataset, pool, out):
    """Write cycle 0's `labeled.h5`: pool rows in the order chosen."""
    plugin = import_module(f"poolflow.initial_pools.{job.config['initial_pool']}")
    view = Pool(plugin, pool, dataset=dataset)
    size, parameters = job.config["size"], job.config["parameters"]
    clusters = parameters.get("clusters") or view.classes
    if getattr(plugin, "ONE_PER_CLASS", False) and size < clusters:
        raise StageError(f"initial_size: found {size}, expected at least one image for each of {clusters} clusters")
    rows, scores = select(plugin, view, size, job.rng("initial pool"), parameters)
    write_labeled(out, job, rows, scores, np.zeros(len(rows), np.int64))


if __name__ == "__main__":
    run(main)
