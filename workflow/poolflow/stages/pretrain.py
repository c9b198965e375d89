"""Stage: let a pretext task learn from the images of a pool, without a label."""

import os
from importlib import import_module

import pandas as pd

from poolflow.data.store import replacing
from poolflow.task import Task
from poolflow.training import weights


def main(job, dataset, pool, model, losses, of=()):
    """Write `model.pt`, the weights learned, and `losses.csv`, the mean loss of each epoch.

    `of` are the files of the task that this one builds on. A killed run leaves a checkpoint beside `model`, from which
    the next one goes on; it ends with the same weights.
    """
    plugin = import_module(f"poolflow.pretext.{job.config['task']}")
    checkpoint = f"{model}.checkpoint"
    task = Task(job, dataset, pool, of, checkpoint)
    task.seed("build")
    network = plugin.build(task, **job.config["build"]).to(task.device)
    task.seed("train")
    plugin.train(task, network, **job.config["train"])
    history = pd.DataFrame(task.history(), columns=["phase", "epoch", "loss"])
    with replacing(losses) as temporary:
        history.to_csv(temporary, index=False, float_format="%.6g")
    states = {key: value.cpu() for key, value in network.state_dict().items()}
    weights.save({"states": [states], "provenance": job.provenance()}, model)
    if os.path.exists(checkpoint):
        os.remove(checkpoint)
