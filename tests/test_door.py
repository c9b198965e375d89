"""The one door, `python -m poolflow NAME`: what it says of itself, and how it runs a stage."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import ROOT, TRAINING
from threadpoolctl import threadpool_info

from poolflow import __main__ as door
from poolflow.job import StageError
from poolflow.running.run import run


def poolflow(*arguments):
    command = [sys.executable, "-m", "poolflow", *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow"), "COLUMNS": "100"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


# What it says of itself


@pytest.mark.parametrize("arguments", [(), ("--help",), ("help",)])
def test_alone_it_lists_all_there_is_to_ask_for_and_imports_none_of_it(arguments):
    done = poolflow(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    first, *lines = done.stdout.splitlines()
    assert first == "usage: python -m poolflow NAME [options]"
    listed = dict(line.strip().split(maxsplit=1) for line in lines if line.startswith("  "))
    assert list(listed) == [*door.COMMANDS, *door.stages()]
    assert {"train", "predict", "acquire", "plan"} <= set(listed)
    assert listed["train"] == "Train the network on the labelled images and test it."
    assert max(map(len, lines)) <= 160


@pytest.mark.parametrize("name", ["trian", "poolflow.stages.train", "_template", "job"])
def test_another_name_is_one_line(name):
    done = poolflow(name, "--name", "d")
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(
        f"poolflow: found {name!r}, expected one of run, plan, repair, status, report, catalogue, acquire, "
    )


@pytest.mark.parametrize("stage", door.stages())
def test_a_stage_says_what_it_is_called_with(stage, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys, "argv", ["poolflow", stage, "--help"])
    with pytest.raises(SystemExit) as end:
        door.main()
    assert end.value.code == 0
    said = capsys.readouterr().out
    assert said.startswith(f"usage: python -m poolflow {stage} [-h] --name NAME --config CONFIG")
    assert "--out" in said or "--model" in said


def test_a_missing_option_is_named():
    done = poolflow("pool", "--name", "d/seed0", "--config", "{}", "--out", "o.h5")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("error: the following arguments are required: --dataset")


# How it runs a stage


@pytest.fixture
def made_up(monkeypatch):
    """Return a function that runs `main` as a stage of that name, in this process."""

    def call(main, *arguments, config=None, name="d/l"):
        monkeypatch.setitem(sys.modules, "poolflow.stages.made_up", SimpleNamespace(main=main))
        run("made_up", ["--name", name, "--config", json.dumps(config or {}), *arguments])

    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(variable, "7")
    return call


def test_options_are_the_parameters_of_main(made_up):
    seen = []

    def main(job, dataset, by_pool, needs=()):
        seen.append((job.stage, job.name, job.config, job.code, dataset, by_pool, needs))

    made_up(main, "--dataset", "d.h5", "--by-pool", "b", "--code", "abc", config={"seed": 3})
    made_up(main, "--dataset", "d.h5", "--by-pool", "b", "--needs", "a", "b")
    made_up(main, "--dataset", "d.h5", "--by-pool", "b", "--needs")
    assert seen == [
        ("made_up", "d/l", {"seed": 3}, "abc", "d.h5", "b", ()),
        ("made_up", "d/l", {}, "", "d.h5", "b", ["a", "b"]),
        ("made_up", "d/l", {}, "", "d.h5", "b", []),
    ]


@pytest.mark.parametrize(("config", "expected"), [({"threads": 2}, 2), ({}, 1)])
def test_a_stage_has_the_threads_of_its_config(made_up, config, expected):
    seen = []

    def main(job):
        np.ones((2, 2)) @ np.ones((2, 2))
        limits = {pool["num_threads"] for pool in threadpool_info() if pool["internal_api"] == "openblas"}
        seen.append((os.environ["OMP_NUM_THREADS"], os.environ["MKL_NUM_THREADS"], limits))

    made_up(main, config=config)
    ((openmp, mkl, limits),) = seen
    assert (openmp, mkl) == (str(expected), str(expected))
    assert max(limits) <= expected


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (StageError("the loss\nbecame nan;  lower it"), "the loss became nan; lower it"),
        (OSError(28, "No space left on device", "x.h5"), "[Errno 28] No space left on device: 'x.h5'"),
        (FileNotFoundError(2, "No such file", "x.h5"), "[Errno 2] No such file: 'x.h5'"),
    ],
)
def test_what_the_user_can_mend_is_one_line(made_up, error, line):
    def main(job):
        raise error

    with pytest.raises(SystemExit) as end:
        made_up(main, name="digits/l/p/s/seed0/cycle1")
    assert end.value.code == f"poolflow made_up digits/l/p/s/seed0/cycle1: {line}"


def test_a_bug_shows_its_traceback(made_up):
    def main(job):
        raise RuntimeError("CUDA error")  # nor is it too little memory

    with pytest.raises(RuntimeError, match="CUDA error"):
        made_up(main)


FREE = "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 79.10 GiB."
CUDA = torch.OutOfMemoryError(f"{FREE} Including non-PyTorch memory, this process has 79.09 GiB memory in use.")
SHARE = "let fewer jobs share a GPU (--resources gpu=1)"


@pytest.mark.parametrize(
    ("settings", "error", "expected"),
    [
        ({"training": TRAINING}, CUDA, f"lower training.batch_size (found 8), or {SHARE}: {FREE}"),
        ({"task": "vae", "train": {}}, CUDA, f"lower batch_size of the pretext task vae, or {SHARE}: {FREE}"),
        ({}, CUDA, f"{SHARE}: {FREE}"),
        ({}, MemoryError("Unable to allocate 3. TiB"), "let fewer jobs run at once: Unable to allocate 3. TiB"),
    ],
)
def test_too_little_memory_is_one_line_that_says_what_to_change(made_up, settings, error, expected):
    def main(job):
        raise error

    with pytest.raises(SystemExit) as end:
        made_up(main, config=settings)
    assert end.value.code == f"poolflow made_up d/l: out of memory; {expected}"
