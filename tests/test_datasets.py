"""Data sets: what their files become, and how wrong ones are refused. Nothing here is downloaded."""

import json
import sys
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from helpers import FILES, images, imported, pack
from hypothesis import given, settings
from hypothesis import strategies as st

from poolflow.data import content, store
from poolflow.datasets._split import split
from poolflow.job import StageError

pytestmark = pytest.mark.usefixtures("no_network")
RNG = np.random.default_rng(0)


# The file itself


@pytest.fixture
def written(make_dataset, monkeypatch):
    """Return a function that writes the dataset.h5 of a data set given as a dictionary."""

    def run(data, **constants):
        monkeypatch.setitem(
            sys.modules, "poolflow.datasets.given", SimpleNamespace(load=lambda root: data, **constants)
        )
        return make_dataset("given")

    return run


def test_images_labels_names_and_statistics(written):
    values = images(50, channels=3)
    names = [f"a/{i}é.png" for i in range(49)] + ["b/\udcff.png"]
    data = {"train": (values, np.arange(50) % 4 - 1), "test": (values[:6], np.arange(6, dtype=np.uint8) % 3)}
    found = written(data | {"classes": ["a", "b", "c"], "names": {"train": names, "test": names[:6]}})
    np.testing.assert_array_equal(found.train_images, values)
    assert found.train_labels.tolist() == [i % 4 - 1 for i in range(50)]
    assert found.test_labels.dtype == np.int64
    assert found.train_names == [*names[:49], "b/\\udcff.png"]
    assert found.test_names == names[:6]
    np.testing.assert_allclose(found.mean, (values / 255).mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(found.std, (values / 255).std(axis=(0, 1, 2)), rtol=1e-10)


def test_images_may_be_a_view_in_any_order(written):
    values = images(9, channels=3)
    turned = np.asfortranarray(values.transpose(1, 2, 3, 0)).transpose(3, 0, 1, 2)
    found = written({"train": (turned, np.arange(9) % 2), "test": (turned, np.arange(9) % 2), "classes": ["a", "b"]})
    np.testing.assert_array_equal(found.test_images, values)


class Sliced:
    """Features that are made a slice at a time."""

    dtype = np.dtype(np.float64)

    def __init__(self, values, most):
        self.values, self.most, self.shape, self.read = values, most, values.shape, 0

    def __len__(self):
        return len(self.values)

    def __getitem__(self, part):
        assert part.stop - part.start <= self.most
        self.read += len(self.values[part])
        return self.values[part]


def test_features_are_streamed_once_and_their_statistics_are_exact(written, monkeypatch):
    monkeypatch.setattr(store, "CHUNK", 7 * 4 * 5)
    monkeypatch.setattr(content, "BLOCK", 3)
    values = RNG.normal([0, 1e4, -5, 0.1, 0], [1, 1, 1e-3, 0, 0], (500, 5))
    train, test = Sliced(values, 21), Sliced(values[:50], 21)
    labels = np.arange(500) % 2
    data = {"train": (train, labels), "test": (test, labels[:50]), "classes": ["a", "b"]}
    found = written(data, KIND="features")
    np.testing.assert_array_equal(found.train_features, values.astype(np.float32))
    assert (train.read, test.read) == (500, 50)
    exact = values.astype(np.float32).astype(np.float64)
    np.testing.assert_allclose(found.mean, exact.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.std[:3], exact.std(axis=0)[:3], rtol=1e-9)
    assert found.std[3:].tolist() == [1, 1]
    assert found.mean.dtype == found.std.dtype == np.float64


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_a_feature_that_is_not_finite_is_named(written, value, monkeypatch):
    monkeypatch.setattr(store, "CHUNK", 40)
    values = RNG.normal(size=(300, 3))
    values[271, 2] = value
    data = {"train": (values, np.arange(300) % 2), "test": (values[:9], np.arange(9) % 2), "classes": ["a", "b"]}
    with np.errstate(over="ignore"), pytest.raises(StageError, match=r"train features: found .* in row 271, column 2"):
        written(data, KIND="features")


GOOD = {"train": (images(4), np.arange(4) % 2), "test": (images(4), np.arange(4) % 2), "classes": ["a", "b"]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": ["a"]}, r"classes: found 1 \(a\), expected at least 2"),
        (
            {"train": (images(4).astype(float), np.zeros(4, int))},
            r"train images: found float64 \(4, 4, 5, 1\), expected u",
        ),
        ({"train": (images(4, channels=2), np.zeros(4, int))}, r"uint8 \(4, 4, 5, 2\), expected .* 1 or 3"),
        ({"test": (images(4)[..., 0], np.zeros(4, int))}, r"test images: found uint8 \(4, 4, 5\)"),
        ({"train": (images(0), np.zeros(0, int))}, "expected at least one row"),
        ({"test": (images(4, height=0), np.zeros(4, int))}, "expected at least one row, and none empty"),
        ({"test": (images(4, channels=3), np.zeros(4, int))}, r"expected rows of \(4, 5, 1\) as in train"),
        ({"train": (images(4), np.zeros(3, int))}, r"train labels: found int64 \(3,\), expected integers \(4,\)"),
        ({"train": (images(4), np.zeros(4))}, "train labels: found float64"),
        ({"train": (images(4), np.array([0, 2, 0, 1]))}, r"train labels: found 2 in row 1, expected -1\.\.1"),
        ({"train": (images(4), np.array([0, 1, -2, 1]))}, r"train labels: found -2 in row 2, expected -1\.\.1"),
        ({"test": (images(4), np.array([0, 1, 1, -1]))}, r"test labels: found -1 in row 3, .*every test image needs"),
        ({"names": {"train": ["a"], "test": ["a"] * 4}}, "train names: found 1, expected 4"),
    ],
)
def test_a_data_set_that_breaks_the_contract_is_refused(written, changes, message, tmp_path):
    with pytest.raises(StageError, match=message):
        written(GOOD | changes)
    assert not list(tmp_path.glob("given*"))


def test_there_may_be_no_label_and_no_test_set(written):
    shown = images(4)
    found = written(GOOD | {"train": (shown, np.full(4, -1)), "test": (images(0), np.zeros(0, int))})
    assert found.train_labels.tolist() == [-1] * 4
    assert found.test_images.shape == (0, 4, 5, 1)
    assert found.test_labels.shape == (0,)
    np.testing.assert_allclose(found.mean, shown.mean() / 255)


# A stratified test set


def test_digits_are_scikit_learn_s_with_a_fixed_stratified_test_set(make_dataset):
    from sklearn.datasets import load_digits

    found = make_dataset("digits")
    assert found.train_images.shape == (1437, 8, 8, 1)
    assert found.test_images.shape == (360, 8, 8, 1)
    assert np.bincount(found.test_labels).min() >= 34
    both = np.concatenate([found.train_images, found.test_images])[..., 0].reshape(-1, 64)
    original = np.rint(load_digits().data * 255 / 16)
    assert sorted(map(tuple, both)) == sorted(map(tuple, original.astype(np.uint8)))
    assert np.concatenate([found.train_labels, found.test_labels]).sum() == load_digits().target.sum()


@settings(deadline=None)
@given(
    counts=st.lists(st.integers(0, 40), min_size=1, max_size=6),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**32),
)
def test_a_split_is_stratified_complete_and_reproducible(counts, fraction, seed):
    labels = np.random.default_rng(1).permutation(np.repeat(np.arange(len(counts)) - 1, counts))
    labelled = labels[labels >= 0]
    if not len(labelled) or np.bincount(labelled).max() < 2:
        with pytest.raises(StageError, match="no class has two labelled images"):
            split(labels, fraction, seed)
        return
    train, test = split(labels, fraction, seed)
    assert sorted([*train, *test]) == list(range(len(labels)))
    assert (np.diff(train) > 0).all()
    assert (np.diff(test) > 0).all()
    assert (labels[test] >= 0).all()
    for label, count in enumerate(counts[1:]):
        kept = int((labels[test] == label).sum())
        assert abs(kept - fraction * count) <= 1
        assert count < 2 or 1 <= kept < count
    # What another class has does not matter.
    fewer = labels.copy()
    fewer[labels == labels.max()] = -1
    if labelled.max() > 0 and np.bincount(fewer[fewer >= 0], minlength=1).max() > 1:
        assert split(fewer, fraction, seed)[1].tolist() == [row for row in test if labels[row] < labels.max()]


# The stage as a process


def test_own_data_import_neither_torch_nor_scikit_learn(stage, tmp_path):
    pack(tmp_path / "own.zip", FILES)
    config = {"dataset": "image_folder", "parameters": {"path": "own.zip"}}
    done = stage("dataset", config, python=["-X", "importtime"], root=tmp_path, out=tmp_path / "out.h5")
    assert done.returncode == 0, done.stderr
    assert "PIL.Image" in imported(done)
    assert imported(done).isdisjoint({"torch", "torchvision", "sklearn", "pandas", "requests"})
    with h5py.File(tmp_path / "out.h5") as file:
        assert json.loads(file.attrs["config"]) == config


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("mnist", {}, "train-images-idx3-ubyte.gz is missing; run snakemake again to fetch it, or put it there"),
        ("tiny_imagenet", {}, "tiny-imagenet-200.zip is missing"),
        ("image_folder", {"path": "none.zip"}, "none.zip is missing; put it there, or correct path or data_root"),
        ("image_folder", {"path": "cut.tar.xz"}, "cut.tar.xz is damaged or truncated"),
        ("arrays", {"path": "cut.tar.xz"}, "cut.tar.xz is neither an HDF5 nor an NPZ file"),
    ],
)
def test_a_user_s_mistake_is_one_line(stage, tmp_path, name, parameters, message):
    path = pack(tmp_path / "root/cut.tar.xz", FILES)
    path.write_bytes(path.read_bytes()[:-100])
    config = {"dataset": name, "parameters": parameters}
    done = stage("dataset", config, job="own", root="root", out=tmp_path / "out.h5")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert message in done.stderr.strip().splitlines()[-1]
    assert done.stderr.strip().splitlines()[-1].startswith("poolflow dataset own: ")
    assert not list(tmp_path.glob("out*"))
