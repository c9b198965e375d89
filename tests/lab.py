"""A place where pretext tasks are run without Snakemake."""

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import torch

from poolflow.data import store
from poolflow.job import Job
from poolflow.stages import pretext_output, pretrain
from poolflow.task import Task

NETWORK = {"network": "small_cnn", "parameters": {"width": 4, "hidden": 16}}
SHARED = {"network": NETWORK, "threads": 1, "device": "cpu", "deterministic": True}
SCAN_OF = ["simclr/features.h5", "simclr/model.pt"]


class Lab:
    """A folder with the files of one pool, on which pretext tasks are run as the stages run them; no label is there."""

    def __init__(self, folder, inputs, classes=3, flip=None, indices=None, code="pool"):
        self.folder = Path(folder)
        self.dataset, self.pool = self.folder / "dataset.h5", self.folder / "pool.h5"
        indices = np.arange(len(inputs)) if indices is None else np.asarray(indices)
        kind, axes = ("images", (0, 1, 2)) if inputs.ndim == 4 else ("features", 0)
        scaled = inputs / 255 if inputs.ndim == 4 else inputs
        with store.create(self.dataset, Job("dataset", "d", {}, code)) as file:
            file[f"train/{kind}"] = inputs
            file.attrs.update(mean=scaled.mean(axes, np.float64), std=scaled.std(axes, np.float64))
        with store.create(self.pool, Job("pool", "d/seed0", {}, code)) as file:
            file["indices"], file["given"] = indices, np.zeros(len(indices), bool)
            file["flip"] = np.zeros(len(indices), bool) if flip is None else flip
            file["validation"] = np.empty(0, np.int64)
            file.attrs.update(classes=classes, class_ids=np.arange(classes), noise=0.0, noise_seed=0)

    def job(self, plugin, seed=0, code="", **config):
        config = SHARED | {"task": plugin, "seed": seed, "build": {}} | config
        return Job("pretrain", f"d/pretext/{plugin}/seed0", config, code)

    def task(self, plugin="simclr", of=()):
        return Task(self.job(plugin), self.dataset, self.pool, self.files(of))

    def files(self, names):
        return [str(self.folder / name) for name in names]

    def pretrain(self, plugin, of=(), build=None, seed=0, code="", **train):
        job = self.job(plugin, seed, code, build=build or {}, train=train)
        files = self.files([f"{plugin}/model.pt", f"{plugin}/losses.csv"])
        pretrain.main(job, self.dataset, self.pool, *files, of=self.files(of))

    def output(self, need, plugin, of=(), build=None, seed=0, learns=True, **output):
        """Return the values of an output and its attributes."""
        job = self.job(plugin, seed, build=build or {}, output=output)
        model, out = self.files([f"{plugin}/model.pt"] if learns else []), self.folder / plugin / f"{need}.h5"
        pretext_output.main(job, need, self.dataset, self.pool, out, model, self.files(of))
        with h5py.File(out) as file:
            return file[need][:], dict(file.attrs)

    def learned(self, plugin):
        """Return the weights and the history that a task has learned."""
        model = torch.load(self.folder / plugin / "model.pt")
        return model["states"][0], pd.read_csv(self.folder / plugin / "losses.csv")


def noise(n=14, shape=(8, 8, 1), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)
