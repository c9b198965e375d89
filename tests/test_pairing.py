"""Comparisons are paired: trainings that differ in initial pool or strategy alone draw the same random numbers."""

import re

import pytest
import torch
from conftest import TINY, TRAIN, TRAINING, Project

from poolflow.job import Job
from poolflow.stages import train


@pytest.fixture
def trained(cycle0, tmp_path):
    """Return a function that trains for an update too small to see, as a job of a name: its first weights."""

    def run(name, draws, **changes):
        config = TRAIN | {"training": TRAINING | {"iterations": 1, "learning_rate": 1e-12}} | changes
        train.main(
            Job("train", name, config, ""), draws, **cycle0, model=tmp_path / "m.pt", metrics=tmp_path / "m.json"
        )
        states = torch.load(tmp_path / "m.pt", weights_only=True)["states"]
        return [state["head.1.weight"] for state in states]

    return run


def test_the_random_numbers_of_a_training_are_those_of_data_set_learner_seed_and_cycle(trained):
    (first,) = trained("digits/small_cnn/random/margin/seed0/cycle1", "digits/small_cnn/seed0/cycle1")
    (same,) = trained("digits/small_cnn/kmeans/entropy/seed0/cycle1", "digits/small_cnn/seed0/cycle1")
    torch.testing.assert_close(same, first, rtol=0, atol=1e-9)
    for draws in ("digits/small_cnn/seed1/cycle1", "digits/small_cnn/seed0/cycle2", "digits/wide/seed0/cycle1"):
        (other,) = trained("digits/small_cnn/random/margin/seed0/cycle1", draws)
        assert not torch.allclose(other, first, rtol=0, atol=1e-3)
    # Another kind of network starts from the same weights, and only the first of an ensemble does.
    (dropout,) = trained("x", "digits/small_cnn/seed0/cycle1", variant="dropout", parameters={"dropout": 0.5})
    torch.testing.assert_close(dropout, first, rtol=0, atol=1e-9)
    members = trained("x", "digits/small_cnn/seed0/cycle1", variant="ensemble", members=2)
    torch.testing.assert_close(members[0], first, rtol=0, atol=1e-9)
    assert not torch.allclose(members[1], first, rtol=0, atol=1e-3)


def test_the_workflow_names_them_so(tmp_path):
    project = Project.new(tmp_path / "project", TINY | {"strategies": ["random", "dbal"], "seeds": [0, 1], "cycles": 1})
    commands = re.findall(r"python -m poolflow train .*", project.snakemake("-n", "-p", "curves"))
    draws = {re.search(r"--name (\S+)", c)[1]: re.search(r"--draws (\S+)", c)[1] for c in commands}
    assert {name.split("/")[2] for name in draws} == {"random", "kmeans", "random+dropout", "kmeans+dropout"}
    expected = {name: re.sub(r"^(\w+/\w+)/.*(/seed\d/cycle\d)$", r"\1\2", name) for name in draws}
    assert draws == expected
    assert set(draws.values()) == {f"digits/small_cnn/seed{seed}/cycle{cycle}" for seed in (0, 1) for cycle in (0, 1)}
