"""Comparisons are paired: trainings that differ in initial pool or strategy alone draw the same random numbers."""

import json
import re
import shutil

import h5py
import pytest
import torch
from conftest import TINY, TRAIN, TRAINING, Project

from poolflow.job import Job
from poolflow.stages import train


@pytest.fixture
def trained(cycle0, tmp_path):
    """Return a function that trains for an update too small to see, as a job of a name: its first weights."""

    def run(name, draws, files=None, start=(), **changes):
        config = TRAIN | {"training": TRAINING | {"iterations": 1, "learning_rate": 1e-12}} | changes
        files = cycle0 | (files or {}) | {"model": tmp_path / "m.pt", "metrics": tmp_path / "m.json"}
        train.main(Job("train", name, config, ""), draws, **files, start=start)
        states = torch.load(tmp_path / "m.pt", weights_only=True)["states"]
        return [state["head.1.weight"] for state in states]

    return run


def test_the_random_numbers_of_a_training_are_those_of_data_set_learner_seed_and_cycle(trained, study):
    (first,) = trained("digits/small_cnn/random/margin/seed0/cycle1", "digits/small_cnn/seed0")
    (same,) = trained("digits/small_cnn/kmeans/entropy/seed0/cycle1", "digits/small_cnn/seed0")
    torch.testing.assert_close(same, first, rtol=0, atol=1e-9)
    for draws in ("digits/small_cnn/seed1", "digits/wide/seed0"):
        (other,) = trained("digits/small_cnn/random/margin/seed0/cycle1", draws)
        assert not torch.allclose(other, first, rtol=0, atol=1e-3)
    cycle1 = {"labeled": study / "small_cnn/random/entropy/seed0/cycle1/labeled.h5"}
    (other,) = trained("digits/small_cnn/random/entropy/seed0/cycle1", "digits/small_cnn/seed0", cycle1)
    assert not torch.allclose(other, first, rtol=0, atol=1e-3)
    # Another kind of network starts from the same weights, and only the first of an ensemble does.
    (dropout,) = trained("x", "digits/small_cnn/seed0", variant="dropout", parameters={"dropout": 0.5})
    torch.testing.assert_close(dropout, first, rtol=0, atol=1e-9)
    members = trained("x", "digits/small_cnn/seed0", variant="ensemble", members=2)
    torch.testing.assert_close(members[0], first, rtol=0, atol=1e-9)
    assert not torch.allclose(members[1], first, rtol=0, atol=1e-3)


@pytest.mark.parametrize("replay", [0.0, 0.5])
def test_a_cycle_without_a_new_label_is_the_last_one_once_more(trained, cycle0, study, tmp_path, replay):
    labeled = study / "small_cnn/random/entropy/seed0/cycle1/labeled.h5"
    dataset = shutil.copy(cycle0["dataset"], tmp_path)
    with h5py.File(labeled) as new, h5py.File(cycle0["pool"]) as pool, h5py.File(dataset, "r+") as file:
        labels = file["train/labels"][:]
        labels[pool["indices"][:][new["indices"][:][new["cycle"][:] == 1]]] = -1
        file["train/labels"][:] = labels
    training = {"training": TRAINING | {"epochs": 2, "first_epochs": 3, "replay": replay}}
    (before,) = trained("a", "digits/small_cnn/seed0", {"dataset": dataset}, **training)
    (after,) = trained("b", "digits/small_cnn/seed0", {"dataset": dataset, "labeled": labeled}, **training)
    assert torch.equal(before, after)
    start = shutil.copy(tmp_path / "m.pt", tmp_path / "start.pt")
    (going_on,) = trained("b", "digits/small_cnn/seed0", {"dataset": dataset, "labeled": labeled}, [start], **training)
    assert torch.equal(before, going_on)
    metrics = json.loads((tmp_path / "m.json").read_text())
    assert (metrics["unanswered"], metrics["labeled"], metrics["epochs"]) == (5, 10, [0])


def test_the_workflow_names_them_so(tmp_path):
    project = Project.new(tmp_path / "project", TINY | {"strategies": ["random", "dbal"], "seeds": [0, 1], "cycles": 1})
    commands = re.findall(r"python -m poolflow train .*", project.snakemake("-n", "-p", "curves"))
    draws = {re.search(r"--name (\S+)", c)[1]: re.search(r"--draws (\S+)", c)[1] for c in commands}
    assert {name.split("/")[2] for name in draws} == {"random", "kmeans", "random+dropout", "kmeans+dropout"}
    expected = {name: re.sub(r"^(\w+/\w+)/.*(/seed\d)/cycle\d$", r"\1\2", name) for name in draws}
    assert draws == expected
    assert set(draws.values()) == {"digits/small_cnn/seed0", "digits/small_cnn/seed1"}
