"""A study whose files are written, not computed, on which tables and figures are made as its jobs make them."""

import numpy as np
import pandas as pd
from helpers import report, write_h5, write_pool

from poolflow.data.store import fixed, write_json
from poolflow.job import Job
from poolflow.study import reports
from poolflow.study.config import check

N, C = 60, 6
CONFIG = {
    "study": "toy",
    "datasets": {"toy": {"dataset": "image_folder", "path": "toy"}},
    "learners": {"net": {"network": "small_cnn"}},
    "initial_pools": {
        "a": {"initial_pool": "random"},
        "b": {"initial_pool": "random"},
        "c": {"initial_pool": "per_cluster", "pretext": "task"},
    },
    "strategies": {"s": {"strategy": "entropy"}, "t": {"strategy": "random"}},
    "pretext": {"task": {"task": "kmeans", "of": "inputs"}},
    "seeds": [0, 1],
    "initial_size": 12,
    "budget": 6,
    "cycles": 1,
    "figures": {"dpi": 60},
    "passive": True,
}
POOLS = {"a": range(0, 12), "b": range(6, 18), "c": range(30, 42)}


def write_dataset(path, labels, shape=(6, 5, 1), classes=None):
    """Write images, `image <row>.png`, with these labels; return them."""
    images = np.random.default_rng(0).integers(0, 256, (len(labels), *shape)).astype(np.uint8)
    classes = classes or [f"class {i}" for i in range(C)]
    names = [f"image {row}.png" for row in range(len(labels))]
    write_h5(path, {"classes": fixed(classes)}, train__images=images, train__labels=labels, train__names=names)
    return images


def write_labeled(path, rows, cycles=0):
    rows = np.asarray(rows)
    return write_h5(path, indices=rows, cycle=np.zeros(len(rows), np.int64) + cycles, score=rows / 4)


def write_metrics(path, **metrics):
    found = {"test_class_accuracy": [0.1, 0.2, 0.3, 0.9, 0.8, 0.7]} | metrics
    write_json(path, Job("train", "toy", {}, "abc"), found)


class Toy:
    """The files of one data set, two seeds, three initial pools, a pretext task, two strategies and one cycle."""

    def __init__(self, folder):
        self.root, self.folder = folder / "results", folder / "results/toy"
        labels, rng = np.arange(N) % C, np.random.default_rng(0)
        write_dataset(self.folder / "dataset.h5", labels)
        for seed in (0, 1):
            write_pool(self.folder / f"pool/seed{seed}.h5", np.arange(N))
            values = np.random.default_rng(seed).normal(size=(N, 8)) + 5 * np.eye(8)[labels]
            write_h5(self.folder / f"pretext/inputs/seed{seed}/features.h5", features=values.astype(np.float32))
            points = {"rows": np.arange(N), "embedding": values[:, :2]}
            write_h5(self.folder / f"pretext/inputs/seed{seed}/tsne.h5", **points)
            clusters = {"clusters": (labels + seed) % C}
            write_h5(self.folder / f"pretext/task/seed{seed}/clusters.h5", {"count": C + 2}, **clusters)
            whole = {"labeled": N, "test_accuracy": 0.9 + seed / 50, "seconds": 9.0}
            write_metrics(self.metrics("passive", seed), **whole)
            for name, rows in POOLS.items():
                accuracy, seconds = rng.random(3), 2.5 + seed
                write_labeled(self.labeled(name, seed), rows)
                first = {"labeled": 12, "test_accuracy": accuracy[0], "seconds": seconds}
                write_metrics(self.metrics(name, seed), **first)
                probs = rng.dirichlet(np.ones(C), N).astype(np.float32)
                write_h5(self.metrics(name, seed).with_name("probs.h5"), probs=probs)
                for shift, strategy in enumerate("st"):
                    chain = f"{name}/{strategy}"
                    new = [(rows[-1] + 1 + 7 * shift + i) % N for i in range(6)]
                    write_labeled(self.labeled(chain, seed, 1), [*rows, *new], np.repeat([0, 1], [12, 6]))
                    then = {"labeled": 18, "test_accuracy": accuracy[1 + shift], "seconds": seconds}
                    write_metrics(self.metrics(chain, seed, 1), **then)

    def labeled(self, chain, seed=0, cycle=0):
        return self.folder / f"net/{chain}/seed{seed}/cycle{cycle}/labeled.h5"

    def metrics(self, chain, seed=0, cycle=0):
        return self.folder / f"net/{chain}/seed{seed}/cycle{cycle}/metrics.json"

    def study(self, **changes):
        return check(CONFIG | changes)

    def table(self, name, **changes):
        """Make a table, and those that it is made of; return what its file says."""
        study = self.study(**changes)
        self.tables_of(study, "tables", name)
        return pd.read_csv(report(study, self.root, "tables", name))

    def tables_of(self, study, kind, path):
        """Make the tables that a table or a figure is made of, and those that these are made of."""
        for file in reports.inputs(study, kind, path):
            if file.endswith(".csv"):
                name = file.removeprefix("<results>/").removesuffix(".csv")
                self.tables_of(study, "tables", name)
                report(study, self.root, "tables", name)

    def figure(self, path, ending="png", **changes):
        """Make a figure, and the tables that it is made of; return its path."""
        study = self.study(**changes)
        self.tables_of(study, "figures", path)
        return report(study, self.root, "figures", path, ending)
