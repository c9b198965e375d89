"""A tiny study, run once, that the tests of the workflow copy and edit."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import h5py
import pytest
import yaml
from filelock import FileLock

from poolflow.job import Job
from poolflow.running import warm
from poolflow.stages import dataset
from poolflow.study.config import load_schema, with_defaults

ROOT = Path(__file__).parents[1]
# What the stages are given when a test runs them without Snakemake.
TRAINING = with_defaults({}, load_schema()["properties"]["training"]) | {
    "epochs": 30,
    "batch_size": 8,
    "optimizer": "sgd",
    "learning_rate": 0.05,
    "weight_decay": 0.001,
    "schedule": "cosine",
}
NETWORK = {"network": "small_cnn", "parameters": {}, "threads": 1, "device": "cpu", "deterministic": True}
TRAIN = NETWORK | {"learner": {"learner": "supervised", "parameters": {}}, "members": 1, "seed": 0}
PREDICT = NETWORK | {"precision": "float32", "settings": {}, "seed": 0}
DRAWS = {"train": {"draws": "digits/small_cnn/seed0"}}
POOL = {"seed": 0, "pool": with_defaults({}, load_schema()["properties"]["pool"])}
TINY = {
    "study": "tiny",
    "initial_pools": ["random", "kmeans"],
    "pretext": {"simclr": {"epochs": 1}},
    "strategies": {"random": None, "entropy": None, "coreset": None, "sharpened": {"power": 2.0}},
    "seeds": [0],
    "initial_size": 10,
    "budget": 5,
    "cycles": 2,
    "pool": {"validation": 0.1},
    "training": {"epochs": 2},
}
# A strategy of the user's own, with a parameter and a helper that nothing else imports.
SHARPENED = '''"""Entropy of sharpened probabilities."""

from poolflow.kernels import entropy, top_k
from poolflow.strategies._sharpen import sharpen

NEEDS = ("probs",)


def select(pool, budget, rng, power=1.0):
    return top_k(entropy(sharpen(pool.probs, power)), budget, rows=pool.unlabeled)
'''
SHARPEN = '''"""A helper."""


def sharpen(probs, power):
    powers = probs**power
    return powers / powers.sum(axis=1, keepdims=True)
'''


class Project:
    """A copy of the workflow in a folder of its own, with a config and results of its own."""

    def __init__(self, folder):
        self.folder = Path(folder)

    @classmethod
    def new(cls, folder, config=None):
        project = cls(folder)
        ignore = shutil.ignore_patterns("__pycache__")
        for part in ("workflow", "profiles", "envs"):
            shutil.copytree(ROOT / part, project.folder / part, ignore=ignore)
        shutil.copy(ROOT / "Snakefile", project.folder)
        project.write("workflow/poolflow/strategies/sharpened.py", SHARPENED)
        project.write("workflow/poolflow/strategies/_sharpen.py", SHARPEN)
        project.configure(config or TINY)
        return project

    def copy(self, folder):
        shutil.copytree(self.folder, folder, symlinks=True)
        return Project(folder)

    def configure(self, config=None, **changes):
        self.write("config.yaml", yaml.safe_dump((config or TINY) | changes, sort_keys=False))

    def write(self, path, text):
        (self.folder / path).write_text(text)

    def edit(self, path, old, new):
        text = (self.folder / path).read_text()
        assert old in text
        self.write(path, text.replace(old, new))

    def start(self, *args):
        """Start snakemake in a process group of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "snakemake", *args],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        )

    def snakemake(self, *args, fails=False):
        """Run snakemake, return what it prints; its exit status must be as expected."""
        process = self.start(*args)
        output, _ = process.communicate(timeout=900)
        assert bool(process.returncode) == fails, output
        return output

    def poolflow(self, *args, **environment):
        """Call a command of the package in this folder; return the finished process, all that it says in `stdout`."""
        return subprocess.run(
            [sys.executable, "-P", "-m", "poolflow", *args],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": "workflow"} | environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )

    def planned(self):
        """Return what a run would make: the set of output paths below results/<study>."""
        rows = [line.split("\t") for line in self.snakemake("--summary").splitlines()]
        header = next(row for row in rows if row[0] == "output_file")
        rows = [dict(zip(header, row, strict=True)) for row in rows[rows.index(header) + 1 :]]
        return {row["output_file"].split("/", 2)[2] for row in rows if row["plan"] != "no update"}

    def asking(self, resource, *args):
        """Return {(rule, strategy)} of the jobs that would ask for a resource. Rules lose the message that hides it."""
        for path in (self.folder / "workflow/rules").glob("*.smk"):
            path.write_text(re.sub(r"\n +message:\n.*", "", path.read_text()))
        found = set()
        for job in re.split(r"\n *(?:local)?rule ", self.snakemake("-n", *args))[1:]:
            if re.search(rf"resources: .*\b{resource}\b", job):
                strategy = re.search(r"strategy=(\w+)", job)
                found.add((job.partition(":")[0], strategy and strategy[1]))
        return found

    def files(self, pattern):
        """Return {path below results/<study>: bytes}."""
        results = next((self.folder / "results").iterdir())
        return {str(path.relative_to(results)): path.read_bytes() for path in sorted(results.glob(pattern))}

    def metrics(self):
        """Return {path: metrics without the time they took}."""
        found = {path: json.loads(content) for path, content in self.files("digits/**/metrics.json").items()}
        return {path: {key: value for key, value in m.items() if key != "seconds"} for path, m in found.items()}


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The tiny study, finished on two cores, once for all processes of the tests. Copy it; do not change it."""
    folder = tmp_path_factory.getbasetemp()
    folder = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    with FileLock(folder / "finished.lock"):
        if (folder / "finished.done").exists():
            return Project(folder / "finished")
        project = Project.new(folder / "finished")
        project.snakemake("--cores", "2")
        (folder / "finished.done").touch()
    return project


@pytest.fixture(scope="session")
def study(finished):
    """The folder of the finished study's results on its data set."""
    return finished.folder / "results/tiny/digits"


@pytest.fixture
def cycle0(study):
    """What a stage reads after the finished study's first cycle: {option: path}."""
    labeled = study / "small_cnn/random/seed0/cycle0/labeled.h5"
    return {"dataset": study / "dataset.h5", "pool": study / "pool/seed0.h5", "labeled": labeled}


@pytest.fixture(scope="session")
def forked():
    """Return the arguments of a Python that has its process forked from a warm one; none where there are no such."""
    failures = []
    yield warm.listen(failures.append) if warm.possible() else []
    assert not failures


@pytest.fixture
def stage(tmp_path, forked):
    """Return a function that runs a stage in a process of its own, as a rule does.

    With a program `args` before it, or arguments for `python`, it is not a forked one.
    """

    def run(name, config, *args, job="digits/small_cnn/random/entropy/seed0/cycle1", python=(), **options):
        python = python or (() if args else forked)
        command = [sys.executable, *python, "-m", "poolflow", name, "--name", job, "--config", json.dumps(config)]
        for option, value in (DRAWS.get(name, {}) | options).items():
            command += [f"--{option.replace('_', '-')}", *map(str, value if isinstance(value, tuple) else [value])]
        environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow")}
        return subprocess.run(
            [*args, *command], capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=300, check=False
        )

    return run


@pytest.fixture
def no_network(monkeypatch):
    def connect(*args):
        raise AssertionError("a data set used the network")

    monkeypatch.setattr(socket.socket, "connect", connect)


@pytest.fixture
def make_dataset(no_network, tmp_path):
    """Return a function that runs the stage dataset in this process; it returns the content of dataset.h5.

    What lies in the root must be the same afterwards.
    """

    def snapshot(root):
        return {str(path): path.lstat().st_mtime_ns for path in root.rglob("*")} if root.exists() else {}

    def run(name, root=tmp_path / "root", **parameters):
        before = snapshot(root)
        out = tmp_path / f"{name}.h5"
        dataset.main(Job("dataset", name, {"dataset": name, "parameters": parameters}, "abc"), str(root), str(out))
        assert snapshot(root) == before
        content = SimpleNamespace()
        with h5py.File(out) as file:
            content.classes = [name.decode() for name in file.attrs["classes"]]
            content.mean, content.std = file.attrs["mean"], file.attrs["std"]
            for part in ("train", "test"):
                for what, values in file[part].items():
                    values = values.asstr()[:].tolist() if what == "names" else values[:]
                    setattr(content, f"{part}_{what}", values)
        return content

    return run


@pytest.fixture
def lab(tmp_path):
    """A pool of 14 images for pretext tasks."""
    from lab import Lab, noise  # torch takes a second

    return Lab(tmp_path, noise())


@pytest.fixture
def toy(tmp_path):
    """A study whose files are written, not computed, for tables and figures."""
    from toy import Toy

    return Toy(tmp_path)
