"""Every initial pool and query strategy on legal pools that are hard: ties, duplicates, one class, sure networks."""

import re
from importlib import import_module

import h5py
import numpy as np
import pytest
import torch
from conftest import NETWORK
from helpers import write_h5, write_pool
from sklearn.datasets import load_digits

from poolflow.job import Job, StageError
from poolflow.selection import Pool, select
from poolflow.stages import acquire, initial_pool
from poolflow.study import plugins
from poolflow.training import networks

SIZE = 40
SELECTING = [(kind, name) for kind in ("initial_pools", "strategies") for name in plugins.names(kind)]
IDS = [f"{kind}-{name}" for kind, name in SELECTING]
LABELED = [7, 20, 33]
FEWEST = {"bins": 5}  # the images that a rule must choose at least


def one_hot(classes):
    return np.eye(classes, dtype=np.float32)[np.zeros(SIZE, int)]


def outputs(classes=3):
    """Return what networks and pretext tasks say where they tell no image from another, {need: values}."""
    probs = np.full((SIZE, classes), 1 / classes, np.float32)
    passes = np.repeat(probs[:, None], 4, axis=1)
    return {
        "probs": probs,
        "mc_probs": passes,
        "ensemble_probs": passes,
        "features": np.full((SIZE, 5), 0.3, np.float32),
        "predicted_loss": np.full(SIZE, 0.7, np.float32),
        "scores": np.full(SIZE, 0.7),
        "clusters": np.zeros(SIZE, np.int64),
    }


def varied(classes=3):
    rng = np.random.default_rng(0)
    return {
        "probs": rng.dirichlet(np.ones(classes), SIZE).astype(np.float32),
        "mc_probs": rng.dirichlet(np.ones(classes), (SIZE, 4)).astype(np.float32),
        "ensemble_probs": rng.dirichlet(np.ones(classes), (SIZE, 4)).astype(np.float32),
        "features": rng.normal(size=(SIZE, 5)).astype(np.float32),
        "predicted_loss": rng.normal(size=SIZE).astype(np.float32),
        "scores": rng.normal(size=SIZE),
        "clusters": rng.integers(0, 4, SIZE),
    }


def sure(classes=3):
    """Of a network that is sure of one class, in all passes."""
    passes = np.repeat(one_hot(classes)[:, None], 4, axis=1)
    return varied(classes) | {"probs": one_hot(classes), "mc_probs": passes, "ensemble_probs": passes}


def duplicates():
    values = varied()
    return values | {need: values[need][np.arange(SIZE) % 3] for need in values}


def write(folder, values, classes=3, labels=None):
    """Write the files of a pool, whose data set is sorted by class."""
    labels = np.arange(SIZE) * classes // SIZE if labels is None else labels
    images = np.full((SIZE, 8, 8, 1), 9, np.uint8)
    moments = {"mean": np.array([0.5]), "std": np.array([0.25])}
    parts = {"train__images": images, "train__labels": labels}
    parts |= {"test__images": images[:6], "test__labels": np.arange(6) % classes}
    write_h5(folder / "dataset.h5", moments, **parts)
    write_pool(folder / "pool.h5", np.arange(SIZE), class_ids=np.arange(classes))
    with h5py.File(folder / "pool.h5", "a") as file:
        file["given"][:] = True
    torch.manual_seed(0)
    network = networks.build(NETWORK, (8, 8, 1), classes)
    torch.save({"states": [network.state_dict()]}, folder / "model.pt")
    for need, rows in values.items():
        write_h5(folder / f"{need}.h5", **{need: rows})


def chosen(folder, kind, name, count, seed=0, parameters=None):
    """Return what a plugin chooses, as its stage lets it choose."""
    plugin, rng = import_module(f"poolflow.{kind}.{name}"), np.random.default_rng(seed)
    needs = {need: folder / f"{need}.h5" for need in plugin.NEEDS} | {"model": folder / "model.pt"}
    labeled = LABELED if kind == "strategies" else []
    pool = Pool(plugin, folder / "pool.h5", labeled, needs, folder / "dataset.h5", NETWORK, rng)
    return select(plugin, pool, max(count, FEWEST.get(name, 1)), rng, parameters or {})


@pytest.mark.parametrize(("kind", "name"), SELECTING, ids=IDS)
@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
def test_equal_images_are_drawn_at_random(tmp_path, kind, name):
    write(tmp_path, outputs())
    found = [chosen(tmp_path, kind, name, 5, seed)[0].tolist() for seed in range(6)]
    assert len({tuple(rows) for rows in found}) == 6
    # 6 draws of 5 of 37 or 40: that as many as 16 of the 30 are among the first ten rows has p = 1e-3
    assert sum(row < 10 for rows in found for row in rows) < 16


# Each case: what it says of the pool, the facts of the pool, and the needs that it concerns.
NEEDS = {(kind, name): set(plugins.literals(kind, name)["NEEDS"]) for kind, name in SELECTING}
PROBS = {"probs", "mc_probs", "ensemble_probs"}
CASES = {
    "all equal": (outputs, {}, set().union(*NEEDS.values())),
    "sure of one class": (sure, {}, PROBS),
    "sure, two classes": (lambda: sure(2), {"classes": 2}, PROBS),
    "two classes": (lambda: varied(2), {"classes": 2}, {*PROBS, "model", "labels", "oracle"}),
    "duplicates": (duplicates, {}, {*PROBS, "features", "scores", "clusters", "predicted_loss"}),
    "zeros": (lambda: varied() | {"features": np.zeros((SIZE, 5), np.float32)}, {}, {"features"}),
    "large features": (lambda: varied() | {"features": varied()["features"] * np.float32(1e15)}, {}, {"features"}),
    "small features": (lambda: varied() | {"features": varied()["features"] * np.float32(1e-30)}, {}, {"features"}),
    "one labelled class": (varied, {"labels": np.repeat(0, SIZE)}, {"labels", "oracle"}),
    "no answers": (varied, {"labels": np.repeat(-1, SIZE)}, {"labels", "oracle"}),
}
PAIRS = [(case, *entry) for case, (_, _, needs) in CASES.items() for entry in SELECTING if NEEDS[entry] & needs]
REFUSED = {
    ("large features", "bait"): "bait: regularisation: found 1.0, too small for features of this size",
    ("one labelled class", "svm_distance"): "svm_distance: found 1 class among the 3 labelled images",
    ("no answers", "svm_distance"): "svm_distance: found 0 class among the 0 labelled images",
    ("no answers", "class_balanced"): "initial_size: found 6, expected at most the 0 images with a label",
} | {
    ("no answers", name): "budget: found 6, expected at most the 0 images with a known class"
    for kind, name in SELECTING
    # The others take an image without an answer for one that is not of the class.
    if kind == "strategies" and "oracle" in NEEDS[kind, name] and name not in ("galaxy", "direct")
}


@pytest.mark.parametrize(("case", "kind", "name"), PAIRS, ids=["-".join(pair) for pair in PAIRS])
@pytest.mark.filterwarnings("ignore:Number of distinct clusters", "error::RuntimeWarning")
# BLAS may raise the flag for the padding of a small matrix, of which nothing is kept; `select` looks at the scores.
@pytest.mark.filterwarnings("ignore:invalid value encountered in matmul")
def test_a_hard_pool_gives_a_selection_or_one_line(tmp_path, case, kind, name):
    make, facts, _ = CASES[case]
    write(tmp_path, make(), **facts)
    if (case, name) in REFUSED:
        with pytest.raises(StageError, match=f"^{re.escape(REFUSED[case, name])}"):
            chosen(tmp_path, kind, name, 6)
        return
    for count in (6, SIZE - len(LABELED) * (kind == "strategies")):
        rows, _ = chosen(tmp_path, kind, name, count)  # `select` checks rows and scores
        assert len(rows) == count


def test_the_order_of_the_rows_is_drawn_and_everything_follows_it(tmp_path):
    class Plugin:
        __name__ = "mine"
        NEEDS = ("probs", "features", "scores", "clusters", "given", "images", "labels", "oracle")

    values, labels = varied(), np.arange(SIZE) % 4 - 1
    write(tmp_path, values, labels=labels)
    with h5py.File(tmp_path / "dataset.h5", "a") as file:
        file["train/images"][:] = np.arange(SIZE, dtype=np.uint8)[:, None, None, None]
    needs = {need: tmp_path / f"{need}.h5" for need in values}

    def view(rng):
        return Pool(Plugin(), tmp_path / "pool.h5", LABELED, needs, tmp_path / "dataset.h5", NETWORK, rng)

    pool = view(np.random.default_rng(0))
    assert sorted(pool.order) == list(range(SIZE))
    assert (pool.order != np.arange(SIZE)).any()
    for need in ("probs", "features", "scores", "clusters"):
        np.testing.assert_array_equal(getattr(pool, need), values[need][pool.order])
    np.testing.assert_array_equal(pool.images[:, 0, 0, 0], pool.order)
    np.testing.assert_array_equal(pool.oracle, labels[pool.order])
    np.testing.assert_array_equal(pool.labels, labels[LABELED])
    assert pool.order[pool.labeled].tolist() == LABELED
    assert sorted(pool.order[pool.unlabeled]) == [row for row in range(SIZE) if row not in LABELED]
    assert (np.diff(pool.unlabeled) > 0).all()
    assert view(None).order.tolist() == list(range(SIZE))


@pytest.mark.parametrize("kind", ["initial_pools", "strategies"])
def test_prob_cover_takes_all_classes_of_a_sorted_pool(tmp_path, kind):
    data = load_digits()
    rows = np.argsort(data.target, kind="stable")
    features, labels = data.data[rows].astype(np.float32), data.target[rows]
    write_h5(tmp_path / "features.h5", features=features)
    write_pool(tmp_path / "pool.h5", np.arange(len(labels)), class_ids=np.arange(10))
    plugin, rng = import_module(f"poolflow.{kind}.prob_cover"), np.random.default_rng(0)
    pool = Pool(plugin, tmp_path / "pool.h5", [], {"features": tmp_path / "features.h5"}, rng=rng)
    picked, gains = select(plugin, pool, 60, rng, {"delta": 0.05})  # no ball covers more than its centre
    assert set(gains) == {1}
    assert len(set(labels[picked])) == 10


def run(folder, kind, name, count):
    """Run the stage of a plugin; return the attribute `tied` of its file and its rows and scores."""
    out, needs = folder / "labeled.h5", [str(folder / f"{need}.h5") for need in NEEDS[kind, name]]
    if kind == "strategies":
        before = write_h5(folder / "before.h5", indices=LABELED, cycle=np.zeros(3, int), score=np.zeros(3))
        config = {"strategy": name, "budget": count, "parameters": {}, "seed": 0}
        files = folder / "dataset.h5", folder / "pool.h5", before, out
        acquire.main(Job("acquire", "toy/cycle1", config, ""), *files, needs)
    else:
        config = {"initial_pool": name, "size": count, "parameters": {}, "seed": 0}
        job = Job("initial_pool", "toy/cycle0", config, "")
        initial_pool.main(job, folder / "dataset.h5", folder / "pool.h5", out, needs)
    with h5py.File(out) as file:
        return int(file.attrs["tied"]), file["indices"][-count:], file["score"][-count:]


@pytest.mark.parametrize(("kind", "name"), [("strategies", "margin"), ("initial_pools", "highest")])
def test_scores_that_are_all_equal_are_a_line_in_the_log_and_counted(tmp_path, capsys, kind, name):
    (need,) = NEEDS[kind, name]
    write(tmp_path, outputs())
    assert run(tmp_path, kind, name, 6)[0] == 6
    stage = {"strategies": "acquire toy/cycle1", "initial_pools": "initial_pool toy/cycle0"}[kind]
    assert capsys.readouterr().err == f"{stage}: all 6 scores are equal: the choice among equals is random\n"
    write(tmp_path, varied())
    assert run(tmp_path, kind, name, 6)[0] == 0
    values = varied()[need]
    values[[0, 10, 30]] = 9 if values.ndim == 1 else 1 / 3  # the three best
    write(tmp_path, {need: values})
    tied, rows, _ = run(tmp_path, kind, name, 6)
    assert tied == 3
    assert set(rows[:3]) == {0, 10, 30}
    assert capsys.readouterr().err == ""
    assert run(tmp_path, kind, "random", 6)[0] == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("kind", "name"), SELECTING, ids=IDS)
def test_a_plugin_that_does_not_score_says_so(tmp_path, kind, name):
    write(tmp_path, varied())
    with h5py.File(tmp_path / "dataset.h5", "a") as file:
        file["train/images"][:] = np.random.default_rng(0).integers(0, 256, (SIZE, 8, 8, 1))
    if plugins.literals(kind, name).get("SCORED", True):
        assert any(len(set(chosen(tmp_path, kind, name, count)[1])) > 1 for count in (20, SIZE - len(LABELED)))
    else:
        assert len(set(chosen(tmp_path, kind, name, 3)[1])) == 1  # none, or that of a set of 25
