"""What a pretext task works with: its images, mini-batches and updates, and a training that goes on where it was."""

import itertools
import json
import math
import os
import re
import signal
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from lab import SCAN_OF, SHARED, Lab, noise

from poolflow import task
from poolflow.job import Job, StageError
from poolflow.study import plugins
from poolflow.task import Best, Task
from poolflow.training import networks

JOB = Job("pretrain", "digits/pretext/task/seed0", SHARED | {"seed": 0, "task": "simclr"}, "")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A task of 14 images; do not train it."""
    return Lab(tmp_path_factory.mktemp("plain"), noise()).task()


# Images and mini-batches


def test_the_images_are_those_of_the_pool_in_its_order_mirrored_or_not(tmp_path):
    images = noise(6, (4, 5, 3))
    rows, flip = [4, 1, 1, 5], np.array([False, True, False, True])
    seen = Lab(tmp_path, images, indices=rows, flip=flip).task()
    assert (seen.size, seen.classes, seen.shape) == (4, 3, (4, 5, 3))
    expected = [np.fliplr(images[row]) if mirrored else images[row] for row, mirrored in zip(rows, flip, strict=True)]
    np.testing.assert_array_equal(seen.images.numpy(), expected)


def test_standard_gives_what_networks_are_used_to(plain):
    from poolflow.training import views

    found = plain.standard(views.unit(plain.images))
    torch.testing.assert_close(found, plain.normalise(plain.images), rtol=1e-5, atol=1e-6)
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_a_map_is_in_the_order_of_its_rows_whatever_the_batch(plain, monkeypatch):
    monkeypatch.setattr(networks, "EVALUATION_BATCH", 4)
    found = plain.map(lambda images, rows: torch.stack([rows.float(), images.float().mean((1, 2, 3))], dim=1))
    np.testing.assert_array_equal(found[:, 0], np.arange(14))
    np.testing.assert_allclose(found[:, 1], noise().mean((1, 2, 3)), rtol=1e-6)
    assert plain.map(lambda images, rows: rows, torch.tensor([7, 2, 9, 0, 13])).tolist() == [7, 2, 9, 0, 13]


@settings(deadline=None)
@given(st.integers(2, 70), st.integers(2, 40))
def test_batches_are_an_epoch_without_an_image_alone(plain, n, size):
    rows = torch.arange(100, 100 + n)
    for _ in plain.epochs(1):
        batches = list(plain.batches(size, rows))
    assert sorted(torch.cat(batches).tolist()) == rows.tolist()
    lengths = [len(batch) for batch in batches]
    assert max(lengths) <= max(size, 3 if n % 2 and size == 2 else 0)
    assert min(lengths) >= 2
    assert max(lengths) - min(lengths) <= 1


def test_batches_of_the_whole_pool_are_in_another_order_each_epoch(plain):
    plain.seed("order")
    orders = [torch.cat(list(plain.batches(5))).tolist() for _ in plain.epochs(3)]
    assert all(sorted(order) == list(range(14)) for order in orders)
    assert len(set(map(tuple, orders))) == 3
    plain.seed("order")
    assert [torch.cat(list(plain.batches(5))).tolist() for _ in plain.epochs(3)] == orders


def test_too_few_images_are_named(tmp_path):
    with pytest.raises(StageError, match=r"^found 1 image to learn from, expected at least 2"):
        next(Lab(tmp_path, noise(1)).task().batches(8))


# Updates


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_the_learning_rate_follows_its_schedule_and_the_losses_are_kept(lab, schedule):
    seen, weight = lab.task(), torch.nn.Parameter(torch.tensor([1.0]))
    updates, rates, losses = seen.optimizer([weight], "sgd", 0.5, 0.0, momentum=0.0), [], []
    for epoch in seen.epochs(3):
        for step, _ in enumerate(seen.batches(7)):
            before = weight.item()
            seen.update(weight.sum() * (step + 1), updates, 0.5, schedule)
            rates.append((before - weight.item()) / (step + 1))
            losses.append((epoch, before * (step + 1)))
    cosine = [0.5 * (1 + math.cos(math.pi * step / 6)) / 2 for step in range(6)]
    np.testing.assert_allclose(rates, cosine if schedule == "cosine" else [0.5] * 6, rtol=1e-5)
    means = pd.DataFrame(losses, columns=["epoch", "loss"]).groupby("epoch").loss.mean()
    assert [row[:2] for row in seen.history()] == [["epochs", 1], ["epochs", 2], ["epochs", 3]]
    np.testing.assert_allclose([loss for _, _, loss in seen.history()], means, rtol=1e-5)


@pytest.mark.parametrize("kind", ["sgd", "adam", "adamw", "lars"])
def test_each_optimizer_lowers_a_loss_and_decays(plain, kind):
    weight = torch.nn.Parameter(torch.full((2, 2), 3.0))
    updates = plain.optimizer([weight], kind, 0.1, 0.01)
    assert updates.param_groups[0]["weight_decay"] == 0.01
    assert updates.param_groups[0].get("momentum", 0.9) == 0.9
    for _ in plain.epochs(1):
        for _ in plain.batches(2):
            plain.update(weight.square().sum(), updates, 0.1)
    assert weight.max() < 3


def test_best_keeps_the_first_of_the_lowest_losses(plain):
    network = torch.nn.Linear(1, 1)
    best = Best(network)
    with pytest.raises(StageError, match="finite in no epoch; lower the learning_rate"):
        best.restore()
    for loss, value in ((3.0, 1.0), (2.0, 5.0), (math.nan, 6.0), (2.0, 7.0), (4.0, 8.0)):
        network.weight.data.fill_(value)
        best.offer(loss)
    other = Best(network)
    other.load_state_dict(best.state_dict())
    network.weight.data.fill_(9.0)
    other.offer(2.5)
    other.restore()
    assert network.weight.item() == 5


# A killed run

RUNS = {
    "simclr": {"epochs": 3, "batch_size": 7, "learning_rate": 0.05, "schedule": "cosine"},
    "rotation": {"epochs": 3, "batch_size": 7, "learning_rate": 0.05},
    "vae": {"epochs": 3, "batch_size": 6, "validation": 0.2, "kl": 1.0},
    "inpainting": {"epochs": 3, "batch_size": 7},
    "deepcluster": {"epochs": 3, "batch_size": 7},
    "scan": {
        "epochs": 3,
        "batch_size": 7,
        "neighbours": 3,
        "self_epochs": 3,
        "self_batch_size": 7,
        "threshold": 0.0,
        "optimizer": "sgd",
        "learning_rate": 0.01,
    },
}
BUILD = {"vae": {"width": 2, "latent": 3}, "inpainting": {"width": 2, "latent": 3}, "deepcluster": {"many": 4}}
OF = {"scan": SCAN_OF}
TRAINED = [name for name in plugins.names("pretext") if plugins.defines("pretext", name, "train")]
ALONE = [name for name in TRAINED if "BASE" not in plugins.literals("pretext", name)]


class Killed(BaseException):
    pass


def start(lab, plugin, **more):
    lab.pretrain(plugin, OF.get(plugin, ()), **{"build": BUILD.get(plugin)} | RUNS[plugin] | more)


@pytest.fixture
def updates(monkeypatch):
    """Count the updates; `kill` names the one before which a run dies."""
    seen, update = {"count": 0, "kill": None}, Task.update

    def counted(*args, **kwargs):
        if seen["count"] == seen["kill"]:
            raise Killed
        update(*args, **kwargs)
        seen["count"] += 1

    monkeypatch.setattr(Task, "update", counted)
    monkeypatch.setattr(task, "CHECKPOINT", 0)
    return seen


def ready(folder, plugin):
    """Return a lab that has what the task builds on."""
    folder.mkdir()
    lab = Lab(folder, noise())
    if plugin in OF:
        lab.pretrain("simclr", epochs=1, learning_rate=0.01)
        lab.output("features", "simclr")
    return lab


def result(lab, plugin):
    weights, _ = lab.learned(plugin)
    losses = (lab.folder / plugin / "losses.csv").read_bytes()
    return {key: value.numpy().tobytes() for key, value in weights.items()}, losses


# Two updates an epoch; scan has six in each of its phases, and at the seventh one phase is over.
@pytest.mark.parametrize(
    ("plugin", "killed"),
    [*((name, 3) for name in TRAINED), ("vae", 5), ("scan", 0), ("scan", 6), ("scan", 7), ("scan", 9)],
)
def test_a_killed_run_goes_on_and_ends_the_same(tmp_path, updates, plugin, killed):
    expected = ready(tmp_path / "expected", plugin)
    start(expected, plugin)
    lab = ready(tmp_path / "killed", plugin)
    updates |= {"count": 0, "kill": killed}
    with pytest.raises(Killed):
        start(lab, plugin)
    assert not (lab.folder / plugin / "model.pt").exists()
    updates |= {"count": 0, "kill": None}
    start(lab, plugin)
    assert updates["count"] == (12 if plugin == "scan" else 6) - killed // 2 * 2
    assert result(lab, plugin) == result(expected, plugin)
    assert sorted(os.listdir(lab.folder / plugin)) == ["losses.csv", "model.pt"]


@pytest.mark.parametrize("plugin", ["vae", "scan"])
def test_a_run_killed_before_it_writes_its_model_learns_nothing_anew(tmp_path, updates, monkeypatch, plugin):
    expected = ready(tmp_path / "expected", plugin)
    start(expected, plugin)
    lab = ready(tmp_path / "killed", plugin)
    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr(Task, "history", lambda self: 1 / 0)
        start(lab, plugin)
    updates["count"] = 0
    start(lab, plugin)
    assert updates["count"] == 0
    assert result(lab, plugin) == result(expected, plugin)


KILL = """
import os, sys
from poolflow import task
from poolflow.running.run import run
from poolflow.task import Task
task.CHECKPOINT, update, left = 0, Task.update, [5]
def counted(*args):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), 9)
    update(*args)
Task.update = counted
run("pretrain", sys.argv[1:])
"""


def test_a_process_that_is_shot_goes_on_in_the_next(tmp_path, updates):
    lab, expected = ready(tmp_path / "killed", "simclr"), ready(tmp_path / "expected", "simclr")
    start(expected, "simclr")
    job = lab.job("simclr", train=RUNS["simclr"])
    options = {"name": job.name, "config": json.dumps(job.config), "dataset": lab.dataset, "pool": lab.pool}
    options |= {"model": lab.folder / "simclr/model.pt", "losses": lab.folder / "simclr/losses.csv"}
    command = [
        sys.executable,
        "-c",
        KILL,
        *(str(part) for key, value in options.items() for part in (f"--{key}", value)),
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert os.listdir(lab.folder / "simclr") == ["model.pt.checkpoint"]
    updates["count"] = 0
    start(lab, "simclr")
    assert updates["count"] == 2
    assert result(lab, "simclr") == result(expected, "simclr")


def other_pool(lab):
    Lab(lab.folder, noise(), indices=np.arange(14)[::-1])


def other_images(lab):
    Lab(lab.folder, noise(seed=1))


def other_base(lab):
    lab.pretrain("simclr", epochs=1, learning_rate=0.02)
    lab.output("features", "simclr")


def other_weights(lab):
    """Other weights beside the same features: what features.h5 says of its origin is not enough."""
    model = torch.load(lab.folder / "simclr/model.pt")
    model["states"][0]["network.features.0.weight"] += 0.1
    torch.save(model, lab.folder / "simclr/model.pt")


@pytest.mark.parametrize(
    ("plugin", "change", "more"),
    [
        ("simclr", None, {"epochs": 4}),
        ("simclr", None, {"temperature": 0.2}),
        ("simclr", None, {"code": "other"}),
        ("simclr", None, {"seed": 1}),
        ("simclr", other_pool, {}),
        ("simclr", other_images, {}),
        ("scan", other_base, {}),
        ("scan", other_weights, {}),
    ],
)
def test_a_checkpoint_of_another_run_is_not_used(tmp_path, updates, plugin, change, more):
    lab, expected = ready(tmp_path / "killed", plugin), ready(tmp_path / "expected", plugin)
    updates |= {"count": 0, "kill": 5}
    with pytest.raises(Killed):
        start(lab, plugin)
    updates["kill"] = None
    for one in (lab, expected):
        if change:
            change(one)
    updates["count"] = 0
    start(lab, plugin, **more)
    assert updates["count"] == (12 if plugin == "scan" else 2 * more.get("epochs", 3))
    start(expected, plugin, **more)
    assert result(lab, plugin) == result(expected, plugin)


@pytest.mark.parametrize("content", [lambda whole: b"", lambda whole: b"no", lambda whole: whole[: len(whole) // 2]])
def test_with_a_broken_checkpoint_a_task_starts_from_the_beginning_and_says_so(tmp_path, updates, capsys, content):
    lab, expected = ready(tmp_path / "killed", "simclr"), ready(tmp_path / "expected", "simclr")
    updates |= {"count": 0, "kill": 5}
    with pytest.raises(Killed):
        start(lab, "simclr")
    path = lab.folder / "simclr/model.pt.checkpoint"
    path.write_bytes(content(path.read_bytes()))
    updates["kill"] = None
    for one in (lab, expected):
        start(one, "simclr")
    assert re.search(r"model\.pt\.checkpoint is .*; the task starts from the beginning", capsys.readouterr().err)
    assert result(lab, "simclr") == result(expected, "simclr")


def test_checkpoints_are_written_after_a_while_and_at_the_end_alone(lab, monkeypatch):
    written, write = [], Task._write_checkpoint
    monkeypatch.setattr(Task, "_write_checkpoint", lambda *args: (written.append(args[2]), write(*args)))
    clock = itertools.count(0, 25)  # one look at it an epoch, and one after each checkpoint
    monkeypatch.setattr(task, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    start(lab, "simclr", epochs=4)
    assert written == [3, 4]


@pytest.mark.parametrize("plugin", ALONE)
def test_a_diverging_loss_names_the_epoch_and_the_learning_rate(lab, plugin):
    with pytest.raises(StageError, match=r"learning_rate") as caught:
        start(lab, plugin, optimizer="sgd", learning_rate=1e30)
    assert "\n" not in str(caught.value)
    if plugin in ("simclr", "rotation", "inpainting"):
        assert re.match(r"the loss became (nan|inf) in epoch \d of epochs; lower", str(caught.value))
    assert not (lab.folder / plugin / "model.pt").exists()


def test_the_best_epoch_of_a_loss_that_was_never_finite_is_named(lab):
    """The loss of the first update is finite, what it makes of the weights is not."""
    with pytest.raises(StageError, match=r"^the loss on the held-out images was finite in no epoch; lower the learn"):
        start(lab, "vae", optimizer="sgd", learning_rate=1e30, epochs=1, batch_size=100)


def test_clusters_of_features_that_are_not_finite_are_an_error_of_one_line(lab):
    with pytest.raises(
        StageError, match=r"^the features are not finite any more; lower the learning_rate or the weight_decay$"
    ):
        start(lab, "deepcluster", learning_rate=math.inf, epochs=2, batch_size=100)
