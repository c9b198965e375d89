"""The plugins of docs/adding.md, run as they stand there: each is used, is right, and reruns nothing but its own."""

import json
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
import yaml
from conftest import ROOT, Project

from poolflow.study import catalogue, plugins, reports
from poolflow.study.bounds import refusal
from poolflow.study.config import check

BLOCKS = re.findall(r"```(\w+)\n(.*?)```", (ROOT / "docs/adding.md").read_text(), flags=re.DOTALL)
PLUGINS = {text.split("\n")[0].removeprefix("# "): text for language, text in BLOCKS if language == "python"}
NAMES = [(Path(path).parent.name, Path(path).stem) for path in PLUGINS]
REPORTS = [path for path in PLUGINS if "/tables/" in path or "/figures/" in path]
STUDY = {
    "study": "adding",
    "datasets": {"parity": {"pool": {"imbalance": 1.5}}},
    "learners": {
        "plain": {"network": "all_conv", "width": 8},
        "balanced": {"learner": "class_balanced", "network": "all_conv", "width": 8, "power": 0.5},
    },
    "initial_pools": {"easiest": {"initial_pool": "lowest", "pretext": "denoising"}},
    "strategies": {
        "dense": {"strategy": "information_density", "pretext": "denoising", "beta": 2.0},
        "free_energy": None,
        "normalised_margin": None,
    },
    "pretext": {"denoising": {"epochs": 2, "hidden": 16}},
    "seeds": [0],
    "initial_size": 60,
    "budget": 30,
    "cycles": 1,
    "training": {"epochs": 50, "learning_rate": 0.03},
}
AREA = {"area.csv", "figures/parity/plain/area.png", "figures/parity/balanced/area.png"}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The study with every plugin of the page but the reports, run as far as its curves."""
    project = Project.new(tmp_path_factory.mktemp("adding") / "project", STUDY)
    for path, text in PLUGINS.items():
        if path not in REPORTS:
            project.write(path, text)
    project.snakemake("--cores", "2", "curves")
    return project


@pytest.fixture(scope="module")
def reported(project, tmp_path_factory):
    """A copy with the table and the figure; `unmade` are the study's other reports."""
    reported = project.copy(tmp_path_factory.mktemp("adding") / "reported")
    unmade = reported.planned()
    for path in REPORTS:
        reported.write(path, PLUGINS[path])
    added = reported.planned() - unmade
    reported.snakemake("--cores", "2", *(f"results/adding/{path}" for path in AREA))
    return SimpleNamespace(project=reported, unmade=unmade, added=added, left=reported.planned())


@pytest.fixture
def look_into(monkeypatch):
    """Return a function that lets `plugins` look into the package of another folder."""
    cached = [plugins.names, plugins._tree, plugins.literals, plugins.parameters, plugins.defaults]

    def look(folder):
        monkeypatch.setattr(plugins, "PACKAGE", folder)
        for function in cached:
            function.cache_clear()

    package = plugins.PACKAGE
    yield look
    look(package)


@pytest.fixture
def package(reported, look_into, monkeypatch):
    """Return a function that imports a plugin of the tests' package, or of the page as if it stood there."""
    folder = reported.project.folder / "workflow/poolflow"
    for kind in plugins.KINDS:
        module = import_module(f"poolflow.{kind}")
        monkeypatch.setattr(module, "__path__", [*module.__path__, str(folder / kind)])
    look_into(folder)
    yield lambda kind, name: import_module(f"poolflow.{kind}.{name}")
    for kind, name in NAMES:
        sys.modules.pop(f"poolflow.{kind}.{name}", None)


@pytest.fixture
def results(project):
    return project.folder / "results/adding/parity"


def read(path):
    with h5py.File(path) as file:
        return {name: values[:] for name, values in file.items()}


def pool_images(results):
    """Return the pool's images as a network gets them, (N, 1, 8, 8), and its classes."""
    rows = read(results / "pool/seed0.h5")["indices"]
    with h5py.File(results / "dataset.h5") as file:
        mean, std = (float(file.attrs[name][0]) for name in ("mean", "std"))
        images = torch.from_numpy(file["train/images"][:][rows]).permute(0, 3, 1, 2) / 255
        return (images - mean) / std, file["train/labels"][:][rows]


def logits_of(folder, images):
    """Return the logits of images, (N, classes), by the weights of a cycle, from the definition of the network."""
    (weights,) = torch.load(folder / "model.pt")["states"]
    hidden = F.conv2d(images, weights["features.0.weight"], weights["features.0.bias"], padding=1).relu()
    hidden = F.conv2d(hidden, weights["features.2.weight"], weights["features.2.bias"], stride=2, padding=1).relu()
    return hidden.mean((2, 3)) @ weights["head.1.weight"].T + weights["head.1.bias"]


def test_the_page_has_one_of_each_kind_and_names_each_file_that_there_is():
    assert {kind for kind, _ in NAMES} == set(plugins.KINDS)
    assert all(not (ROOT / path).exists() for path in PLUGINS)
    for kind in plugins.KINDS:
        assert f"`{kind}/<name>.py`" in (ROOT / "docs/adding.md").read_text()


def test_the_data_set_and_the_network(results):
    from sklearn.datasets import load_digits

    with h5py.File(results / "dataset.h5") as file:
        assert list(file.attrs["classes"]) == [b"even", b"odd"]
        labels = np.concatenate([file[f"{part}/labels"][:] for part in ("train", "test")])
    assert np.bincount(labels).tolist() == np.bincount(load_digits().target % 2).tolist()
    images, classes = pool_images(results)
    assert np.bincount(classes)[0] / np.bincount(classes)[1] == pytest.approx(1.5, rel=0.02)
    logits = logits_of(results / "plain/easiest/seed0/cycle0", images)
    probs = read(results / "plain/easiest/seed0/cycle0/probs.h5")["probs"]
    np.testing.assert_allclose(logits.softmax(dim=1), probs, atol=1e-5)
    assert probs.std(axis=0).min() > 0.05


def test_the_pretext_task_and_the_initial_pool(results):
    folder = results / "pretext/denoising/seed0"
    losses = pd.read_csv(folder / "losses.csv").loss
    assert len(losses) == 2
    assert losses[1] < losses[0]
    (weights,) = torch.load(folder / "model.pt")["states"]
    rows = read(results / "pool/seed0.h5")["indices"]
    with h5py.File(results / "dataset.h5") as file:
        pixels = torch.from_numpy(file["train/images"][:][rows]).flatten(1) / 255
    hidden = (pixels @ weights["0.weight"].T + weights["0.bias"]).sigmoid()
    rebuilt = (hidden @ weights["2.weight"].T + weights["2.bias"]).sigmoid()
    scores = read(folder / "scores.h5")["scores"]
    np.testing.assert_allclose(scores, ((rebuilt - pixels) ** 2).mean(1), rtol=1e-4)
    np.testing.assert_allclose(read(folder / "features.h5")["features"], hidden, rtol=1e-4)
    chosen = read(results / "plain/easiest/seed0/cycle0/labeled.h5")
    assert chosen["indices"].tolist() == np.argsort(scores, kind="stable")[:60].tolist()
    np.testing.assert_array_equal(chosen["score"], -scores[chosen["indices"]])


@pytest.mark.parametrize("learner", ["plain", "balanced"])
def test_the_strategies_the_output_and_the_variant(results, learner):
    images, _ = pool_images(results)
    pool = results / learner
    plain = logits_of(pool / "easiest/seed0/cycle0", images).double()
    energy = -np.log(np.exp(plain.numpy()).sum(axis=1))
    np.testing.assert_allclose(read(pool / "easiest/seed0/cycle0/energy.h5")["energy"], energy, atol=1e-5)
    other = logits_of(pool / "easiest+logit_norm/seed0/cycle0", images).double().numpy()
    exponents = np.exp(other / np.linalg.norm(other, axis=1, keepdims=True) / 0.04)
    normalised = exponents / exponents.sum(axis=1, keepdims=True)
    found = read(pool / "easiest+logit_norm/seed0/cycle0/normalised_probs.h5")["normalised_probs"]
    np.testing.assert_allclose(found, normalised, atol=1e-4)

    probs = plain.softmax(dim=1).numpy()
    features = read(results / "pretext/denoising/seed0/features.h5")["features"].astype(float)
    directions = features / np.linalg.norm(features, axis=1, keepdims=True)
    labeled = read(pool / "easiest/seed0/cycle0/labeled.h5")["indices"]
    others = np.setdiff1d(np.arange(len(probs)), labeled)
    density = (directions @ directions[others].T).mean(axis=1)
    expected = {
        "dense": -(probs * np.log(probs)).sum(axis=1) * density**2,
        "free_energy": energy,
        "normalised_margin": 1 - np.abs(normalised[:, 0] - normalised[:, 1]),
    }
    for strategy, scores in expected.items():
        acquired = read(pool / f"easiest/{strategy}/seed0/cycle1/labeled.h5")
        assert acquired["indices"][:60].tolist() == labeled.tolist()
        np.testing.assert_allclose(acquired["score"][60:], scores[acquired["indices"][60:]], atol=1e-4)
        np.testing.assert_allclose(acquired["score"][60:], np.sort(scores[others])[::-1][:30], atol=1e-4)


def test_the_learner_in_a_job_is_the_supervised_one_but_for_its_power(project, results, tmp_path):
    cycle = results / "balanced/easiest/seed0/cycle0"
    metrics = json.loads((cycle / "metrics.json").read_text())
    config, name = json.loads(metrics["provenance"]["config"]), metrics["provenance"]["job"]
    assert config["learner"] == {"learner": "class_balanced", "parameters": {"power": 0.5}}

    def losses(learner, **parameters):
        config["learner"] = {"learner": learner, "parameters": parameters}
        files = {"dataset": results / "dataset.h5", "pool": results / "pool/seed0.h5", "labeled": cycle / "labeled.h5"}
        files |= {"model": tmp_path / "model.pt", "metrics": tmp_path / "metrics.json"}
        files["draws"] = "balanced/easiest/seed0"
        options = [text for option, path in files.items() for text in (f"--{option}", str(path))]
        command = [sys.executable, "-m", "poolflow", "train", "--name", name, "--config", json.dumps(config), *options]
        environment = os.environ | {"PYTHONPATH": str(project.folder / "workflow")}
        subprocess.run(command, check=True, env=environment, stderr=subprocess.DEVNULL)
        found = json.loads((tmp_path / "metrics.json").read_text())
        return found["train_loss"], found["test_loss"]

    assert metrics["classes_labeled"][0] != metrics["classes_labeled"][1]
    supervised = losses("supervised")
    assert losses("class_balanced", power=0) == supervised
    assert (metrics["train_loss"], metrics["test_loss"]) != supervised


def test_the_weights_of_the_learner_and_the_loss_of_the_variant(package):
    labels = torch.tensor([0, 0, 1, 0])
    examples = SimpleNamespace(
        images=torch.zeros(4, 2, 2, 1), labels=labels, new=None, normalise=lambda x: x, classes=3
    )
    training = check({})["training"]
    logits = torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 5.0], [3.0, 1.0, 0.0]])
    rows = torch.tensor([2, 0, 1])
    entropies = -logits.log_softmax(dim=1)[torch.arange(3), labels[rows]]
    for power, weights in ((1, [2, 2 / 3, 2 / 3]), (0, [1, 1, 1])):
        learner = package("learners", "class_balanced").Learner(examples, training, power=power)
        torch.testing.assert_close(learner.losses(lambda _: logits, rows), entropies * torch.tensor(weights).float())

    network = SimpleNamespace(features=lambda images: images, head=lambda features: features)
    loss = package("variants", "logit_norm").loss(
        network, lambda forward: F.cross_entropy(forward(logits), labels[rows], reduction="none"), "float32", 0, 1
    )
    scaled = logits / logits.norm(dim=1, keepdim=True) / 0.04
    torch.testing.assert_close(loss, F.cross_entropy(scaled, labels[rows]))


def test_the_table_and_the_figure(reported, package):
    folder = reported.project.folder / "results/adding"
    curves, areas = pd.read_csv(folder / "curves.csv"), pd.read_csv(folder / "area.csv")
    chains = [(learner, strategy) for learner in STUDY["learners"] for strategy in STUDY["strategies"]]
    assert list(zip(areas.learner, areas.strategy, strict=True)) == chains
    for row in areas.itertuples():
        curve = curves[(curves.learner == row.learner) & (curves.strategy == row.strategy)]
        assert curve.labeled.tolist() == [60, 90]
        assert (row.acquired, row.area) == (30, pytest.approx(curve.test_accuracy.mean(), abs=1e-6))
    assert curves.test_accuracy.nunique() > 4
    for path in AREA - {"area.csv"}:
        assert (folder / path).stat().st_size > 10_000

    chain = dict.fromkeys(["dataset", "learner", "initial_pool", "strategy"], "x") | {"seed": 0}
    curve = pd.DataFrame([chain] * 3).assign(labeled=[10, 20, 50], test_accuracy=[0.2, 0.4, 0.8])
    table = package("tables", "area").table
    row = table(SimpleNamespace(table=lambda name: curve)).iloc[0]
    assert (row.acquired, row.area) == (40, pytest.approx((10 * 0.3 + 30 * 0.6) / 40))
    assert table(SimpleNamespace(table=lambda name: curve.drop(columns="test_accuracy"))).area.isna().all()
    areas = areas[areas.learner == "plain"]
    figure = package("figures", "area").draw(SimpleNamespace(of_names=lambda name: areas, names={"dataset": "parity"}))
    bars = [bar.get_width() for bar in figure.axes[0].patches if bar.get_width()]
    np.testing.assert_allclose(bars, areas.area)


def test_reports_are_found_and_an_edit_of_a_figure_reruns_it_alone(reported, tmp_path):
    assert reported.added == AREA
    assert reported.left == reported.unmade
    project = reported.project.copy(tmp_path / "figure")
    project.edit("workflow/poolflow/figures/area.py", "5.2, 3.4", "5.2, 4.4")
    assert project.planned() == reported.unmade | (AREA - {"area.csv"})
    # Without a cycle there is no area: the table says so, and the figure that is made of it is not there either.
    project.configure(STUDY, cycles=0)
    assert not AREA & project.planned()


def test_an_edit_of_the_learner_reruns_what_it_trained_and_what_follows(reported, tmp_path):
    project = reported.project.copy(tmp_path / "learner")
    project.edit("workflow/poolflow/learners/class_balanced.py", "weights.mean()", "weights.median()")
    trained = {path for path in project.files("parity/balanced/**/*.*") if path.endswith((".h5", ".pt", ".json"))}
    trained.remove("parity/balanced/easiest/seed0/cycle0/labeled.h5")
    assert len(trained) == 2 * 2 + 3 + 3 * 3  # cycle 0 of two kinds of network, their outputs, the three chains
    assert project.planned() == reported.unmade | AREA | {"curves.csv", "summary.csv"} | trained


def test_a_plugin_that_no_config_names_reruns_nothing(reported, tmp_path):
    project = reported.project.copy(tmp_path / "more")
    for path, text in PLUGINS.items():
        if path not in REPORTS:
            project.write(path.replace(".py", "_too.py"), text)
    assert project.planned() == reported.unmade


def test_the_files_keep_the_contract_and_what_the_page_names_is_valid(package):
    known = {"budget": 30, "initial_size": 20, "classes": 10, "pool": 1437}
    for kind, name in NAMES:
        assert name in plugins.names(kind)
        module = package(kind, name)
        assert 20 < len(module.__doc__.splitlines()[0]) <= 120
        assert module.__doc__.splitlines()[0].endswith(".")
        found = plugins.literals(kind, name)
        assert {
            key: value for key, value in vars(module).items() if len(key) > 1 and key.isupper()
        }.items() <= found.items()
        assert set(found.get("BOUNDS", {})) == set(plugins.parameters(kind, name))
        for parameter, default in plugins.defaults(kind, name).items():
            assert refusal(found["BOUNDS"][parameter], default, known) is None
        assert f"`{name}`" in catalogue.markdown([catalogue.columns(kind, name)])
    for language, text in BLOCKS:
        if language == "yaml":
            check({"pretext": {}} | yaml.safe_load(text))


BLOCK = """
class Block(nn.Module):
    def __init__(self, channels, width, stride=2, kernel=3):
        super().__init__()


class Network(nn.Module):
    def __init__(self, shape, classes, width=8, dropout=0.0):
        super().__init__()
"""
INHERITED = """
class Learner(supervised.Learner):
    def losses(self, forward, rows):
        return 2 * super().losses(forward, rows)
"""


def test_what_a_class_takes_is_read_of_it_alone(tmp_path, look_into):
    look_into(tmp_path)
    for path, text in {"networks/blocks.py": BLOCK, "learners/inherited.py": INHERITED, "learners/no.py": ""}.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    assert plugins.defaults("networks", "blocks") == {"width": 8, "dropout": 0.0}
    assert list(plugins.parameters("networks", "blocks")) == ["width", "dropout"]
    assert plugins.parameters("learners", "inherited") == {}
    with pytest.raises(plugins.PluginError, match="has no class Learner"):
        plugins.parameters("learners", "no")


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        ("outputs", 'VARIANT = "drop"', "mine.py: VARIANT: found 'drop', expected one of dropout"),
        ("figures", 'NEEDS = ("curves",)', r"mine.py: NEEDS: found curves, expected some of pools, .*, curves\.csv"),
        ("tables", "", "mine.py: NEEDS: found None, expected some of pools, "),
    ],
)
def test_a_literal_that_names_nothing_is_named(tmp_path, look_into, kind, text, message):
    look_into(tmp_path)
    for path, content in {"variants/dropout.py": "", "tables/curves.py": "", f"{kind}/mine.py": text}.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(content)
    with pytest.raises(plugins.PluginError, match=message):
        (reports if kind in ("tables", "figures") else plugins).literals(kind, "mine")
