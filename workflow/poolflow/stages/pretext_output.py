"""Stage: one output of a pretext task for every image of a pool: its features, scores or clusters."""

from importlib import import_module

import numpy as np

from poolflow.data import store
from poolflow.job import StageError
from poolflow.task import Task
from poolflow.training import weights


def main(job, need, dataset, pool, out, model=(), of=()):
    """Write `<need>.h5` with one data set of that name, a row for each pool row.

    `features` (N, D) float32; `scores` (N,) float64, the task's loss; `clusters` (N,) int64 from 0, of which some may
    be empty, with their number as the attribute `count`. `of` are the files of the task that this one builds on.
    """
    plugin = import_module(f"poolflow.pretext.{job.config['task']}")
    task = Task(job, dataset, pool, of)
    network = None
    if model:
        network = plugin.build(task, **job.config["build"]).to(task.device).eval()
        weights.give(network, weights.load(model[0], task.device)[0], model[0])
    task.seed(need)
    values = getattr(plugin, need)(task, network, **job.config["output"])
    values, count = values if need == "clusters" else (values, None)
    dtype = {"features": np.float32, "scores": np.float64, "clusters": np.int64}[need]
    good = np.isfinite(values)
    if not good.all():
        row = np.argwhere(~good)[0][0]
        raise StageError(f"{need}: row {row} is not finite; the task has not learned: lower its learning_rate")
    with store.create(out, job) as file:
        store.put(file, need, values.astype(dtype))
        if count is not None:
            file.attrs["count"] = count
