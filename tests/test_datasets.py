"""Data sets: what their files become, and how wrong ones are refused. Nothing here is downloaded."""

import gc
import gzip
import hashlib
import io
import json
import os
import pickle
import socket
import stat
import struct
import sys
import tarfile
import tracemalloc
import zipfile
from collections import Counter
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from poolflow import archives, dataset
from poolflow.datasets import _images, tiny_imagenet
from poolflow.datasets._split import split
from poolflow.stage import Job, StageError

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def connect(*args):
        raise AssertionError("a data set used the network")

    monkeypatch.setattr(socket.socket, "connect", connect)


@pytest.fixture
def make(tmp_path):
    """Return a function that runs the stage in this process; it returns the content of dataset.h5.

    What lies in the root must be the same afterwards.
    """

    def run(name, root=tmp_path / "root", **parameters):
        before = snapshot(root)
        out = tmp_path / f"{name}.h5"
        dataset.main(Job("dataset", name, {"dataset": name, "parameters": parameters}, "abc"), str(root), str(out))
        assert snapshot(root) == before
        content = SimpleNamespace()
        with h5py.File(out) as file:
            content.classes = list(file.attrs["classes"])
            content.mean, content.std = file.attrs["mean"], file.attrs["std"]
            for part in ("train", "test"):
                for what, values in file[part].items():
                    values = values.asstr()[:].tolist() if what == "names" else values[:]
                    setattr(content, f"{part}_{what}", values)
        return content

    return run


def snapshot(root):
    return {str(path): path.lstat().st_mtime_ns for path in root.rglob("*")} if root.exists() else {}


def md5(content):
    return hashlib.md5(content).hexdigest()


def write(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def same(one, other):
    for name, value in vars(one).items():
        np.testing.assert_array_equal(value, getattr(other, name), err_msg=name)


# The file itself


@pytest.fixture
def written(make, monkeypatch):
    """Return a function that writes the dataset.h5 of a data set given as a dictionary."""

    def run(data, **constants):
        monkeypatch.setitem(
            sys.modules, "poolflow.datasets.given", SimpleNamespace(load=lambda root: data, **constants)
        )
        return make("given")

    return run


def images(count, height=4, width=5, channels=1):
    return RNG.integers(0, 256, (count, height, width, channels), dtype=np.uint8)


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
    monkeypatch.setattr(dataset, "CHUNK", 7 * 4 * 5)
    monkeypatch.setattr(dataset, "BLOCK", 3)
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
    monkeypatch.setattr(dataset, "CHUNK", 40)
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


# Sets of torchvision, in their real formats, with checksums of their own


def idx(array):
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture(params=["mnist", "fashion_mnist"])
def digits(request, monkeypatch):
    """The name, class, arrays and files of a small MNIST or Fashion-MNIST."""
    from torchvision import datasets

    from poolflow.datasets import mnist

    source = {"mnist": datasets.MNIST, "fashion_mnist": datasets.FashionMNIST}[request.param]
    arrays = {}
    for part, count in (("train", 30), ("t10k", 12)):
        arrays[f"{part}-images-idx3-ubyte"] = images(count, 28, 28)[..., 0]
        arrays[f"{part}-labels-idx1-ubyte"] = np.arange(count, dtype=np.uint8) % 10
    plain = {name: idx(array) for name, array in arrays.items()}
    packed = {f"{name}.gz": gzip.compress(content) for name, content in plain.items()}
    monkeypatch.setattr(source, "resources", [(name, md5(packed[name])) for name, _ in source.resources])
    monkeypatch.setattr(mnist, "UNPACKED", {name: md5(content) for name, content in plain.items()})
    return SimpleNamespace(
        name=request.param, folder=f"{source.__name__}/raw", arrays=arrays, plain=plain, packed=packed
    )


@pytest.mark.parametrize("unpacked", [(), ("train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"), "all"])
def test_mnist_is_read_from_archives_and_from_unpacked_files(make, tmp_path, digits, unpacked):
    unpacked = digits.plain if unpacked == "all" else unpacked
    write(tmp_path / "root" / digits.folder, {name: digits.plain[name] for name in unpacked})
    packed = {name: digits.packed[name] for name in digits.packed if name.removesuffix(".gz") not in unpacked}
    write(tmp_path / "root" / digits.folder, packed)
    found = make(digits.name)
    np.testing.assert_array_equal(found.train_images[..., 0], digits.arrays["train-images-idx3-ubyte"])
    np.testing.assert_array_equal(found.train_labels, digits.arrays["train-labels-idx1-ubyte"])
    np.testing.assert_array_equal(found.test_images[..., 0], digits.arrays["t10k-images-idx3-ubyte"])
    np.testing.assert_array_equal(found.test_labels, digits.arrays["t10k-labels-idx1-ubyte"])
    assert found.classes[1] == {"mnist": "1", "fashion_mnist": "Trouser"}[digits.name]


def test_a_root_may_be_relative(make, tmp_path, digits, monkeypatch):
    write(tmp_path / "root" / digits.folder, digits.plain)
    monkeypatch.chdir(tmp_path)
    assert make(digits.name, root=type(tmp_path)("root")).train_images.shape == (30, 28, 28, 1)


@pytest.mark.parametrize("size", [0, 3, 10, 16, 500, -1])
def test_a_truncated_mnist_file_is_named(make, tmp_path, digits, size):
    write(tmp_path / "root" / digits.folder, digits.plain)
    path = tmp_path / "root" / digits.folder / "t10k-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(StageError, match=rf"{path} (has|is not)"):
        make(digits.name)


def test_a_damaged_mnist_file_is_named(make, tmp_path, digits):
    folder = tmp_path / "root" / digits.folder
    write(folder, digits.packed)
    content = bytearray(digits.packed["train-images-idx3-ubyte.gz"])
    content[-20] ^= 1
    write(folder, {"train-images-idx3-ubyte.gz": content})
    with pytest.raises(StageError, match=r"train-images-idx3-ubyte\.gz has the MD5 .*, expected"):
        make(digits.name)
    (folder / "train-images-idx3-ubyte.gz").unlink()
    with pytest.raises(StageError, match=r"train-images-idx3-ubyte\.gz is missing; run snakemake again"):
        make(digits.name)
    content = bytearray(digits.plain["train-images-idx3-ubyte"])
    content[0] = 1
    write(folder, {"train-images-idx3-ubyte": content})
    with pytest.raises(StageError, match=r"train-images-idx3-ubyte (has the MD5|is not a file of MNIST's format)"):
        make(digits.name)


def test_an_unpacked_mnist_file_has_a_checksum(make, tmp_path):
    plain = {f"{part}-images-idx3-ubyte": idx(images(30, 28, 28)[..., 0]) for part in ("train", "t10k")}
    plain |= {f"{part}-labels-idx1-ubyte": idx(np.zeros(30, np.uint8)) for part in ("train", "t10k")}
    write(tmp_path / "root/MNIST/raw", plain)
    with pytest.raises(StageError, match=r"has the MD5 .*, expected 6bbc9ace898e44ae57da46a324031adb"):
        make("mnist")


def cifar(source, monkeypatch):
    """Return the unpacked files and the archive of a small CIFAR, whose checksums `source` gets."""
    files, arrays = {}, {}
    hundred = "100" in source.__name__
    fine, coarse = ("fine_labels", "coarse_labels") if hundred else ("labels", None)
    for name, _ in source.train_list + source.test_list:
        data = images(6, 3, 32, 32).reshape(6, -1)
        arrays[name] = data.reshape(6, 3, 32, 32).transpose(0, 2, 3, 1)
        entry = {"data": data, fine: list(range(6))} | ({coarse: [0, 0, 1, 1, 1, 0]} if coarse else {})
        files[name] = pickle.dumps(entry)
    names = {"fine_label_names": list("abcdef"), "coarse_label_names": ["low", "high"], "label_names": list("abcdef")}
    files[source.meta["filename"]] = pickle.dumps(names)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(f"{source.base_folder}/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    for attribute in ("train_list", "test_list"):
        monkeypatch.setattr(source, attribute, [[name, md5(files[name])] for name, _ in getattr(source, attribute)])
    monkeypatch.setattr(source, "meta", source.meta | {"md5": md5(files[source.meta["filename"]])})
    monkeypatch.setattr(source, "tgz_md5", md5(packed.getvalue()))
    files = {f"{source.base_folder}/{name}": content for name, content in files.items()}
    return files, {source.filename: packed.getvalue()}, arrays


@pytest.mark.parametrize("unpacked", [True, False])
@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_cifar_is_read_from_its_archive_and_unpacked(make, tmp_path, monkeypatch, name, unpacked):
    from torchvision import datasets

    source = getattr(datasets, name.upper())
    files, archive, arrays = cifar(source, monkeypatch)
    write(tmp_path / "root", files if unpacked else archive)
    found = make(name)
    expected = np.concatenate([arrays[part] for part, _ in source.train_list])
    np.testing.assert_array_equal(found.train_images, expected)
    np.testing.assert_array_equal(found.test_images, arrays[source.test_list[0][0]])
    assert found.test_labels.tolist() == [0, 1, 2, 3, 4, 5]
    assert found.classes == list("abcdef")
    if name == "cifar100":
        found = make(name, labels="coarse")
        assert found.classes == ["low", "high"]
        assert found.train_labels.tolist() == found.test_labels.tolist() == [0, 0, 1, 1, 1, 0]


class Trap:
    def __reduce__(self):
        return os.mkdir, (Trap.path,)


@pytest.mark.parametrize("where", ["data_batch_3", "batches.meta", "archive"])
def test_a_pickle_is_read_only_after_its_checksum_matched(make, tmp_path, monkeypatch, where):
    from torchvision.datasets import CIFAR10

    Trap.path = str(tmp_path / "sprung")
    files, archive, _ = cifar(CIFAR10, monkeypatch)
    if where == "archive":
        good, (_, files, _) = CIFAR10.tgz_md5, ({}, archive, 0)
        monkeypatch.setattr(CIFAR10, "tgz_md5", "0" * 32)
        write(tmp_path / "root", files)
        message = rf"cifar-10-python.tar.gz has the MD5 {good}, expected 0{{32}}"
    else:
        write(tmp_path / "root", files | {f"cifar-10-batches-py/{where}": pickle.dumps(Trap())})
        message = rf"cifar-10-batches-py/{where} has the MD5"
    with pytest.raises(StageError, match=message):
        make("cifar10")
    assert not (tmp_path / "sprung").exists()


def test_svhn_has_its_axes_and_its_zero(make, tmp_path, monkeypatch):
    from scipy.io import savemat
    from torchvision.datasets import SVHN

    values, listed = {}, dict(SVHN.split_list)
    for part in ("train", "test"):
        values[part] = images(11, 32, 32, 3)
        content = io.BytesIO()
        savemat(content, {"X": values[part].transpose(1, 2, 3, 0), "y": np.r_[1:11, 10][:, None].astype(np.uint8)})
        write(tmp_path / "root", {f"{part}_32x32.mat": content.getvalue()})
        listed[part] = [*listed[part][:2], md5(content.getvalue())]
    monkeypatch.setattr(SVHN, "split_list", listed)
    found = make("svhn")
    np.testing.assert_array_equal(found.train_images, values["train"])
    np.testing.assert_array_equal(found.test_images, values["test"])
    assert found.test_labels.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 0]
    (tmp_path / "root/test_32x32.mat").write_bytes(b"no")
    with pytest.raises(StageError, match=r"test_32x32\.mat has the MD5"):
        make("svhn")


def test_what_is_fetched_is_what_torchvision_names():
    from torchvision import datasets

    from poolflow.datasets import cifar10, cifar100, mnist, svhn

    urls = {file.path: file.urls for module in (cifar10, cifar100, mnist, svhn) for file in module.files()}
    assert urls["cifar-10-python.tar.gz"] == (datasets.CIFAR10.url,)
    assert urls["cifar-100-python.tar.gz"] == (datasets.CIFAR100.url,)
    assert urls["MNIST/raw/t10k-labels-idx1-ubyte.gz"] == tuple(
        f"{mirror}t10k-labels-idx1-ubyte.gz" for mirror in datasets.MNIST.mirrors
    )
    assert [file.md5 for file in svhn.files()] == [datasets.SVHN.split_list[part][2] for part in ("train", "test")]
    assert cifar100.files(labels="coarse") == cifar100.files()


def test_digits_are_scikit_learn_s_with_a_fixed_stratified_test_set(make):
    from sklearn.datasets import load_digits

    found = make("digits")
    assert found.train_images.shape == (1437, 8, 8, 1)
    assert found.test_images.shape == (360, 8, 8, 1)
    assert np.bincount(found.test_labels).min() >= 34
    both = np.concatenate([found.train_images, found.test_images])[..., 0].reshape(-1, 64)
    original = np.rint(load_digits().data * 255 / 16)
    assert sorted(map(tuple, both)) == sorted(map(tuple, original.astype(np.uint8)))
    assert np.concatenate([found.train_labels, found.test_labels]).sum() == load_digits().target.sum()


# Images in folders and archives


def encoded(pixels, kind="png", **options):
    content = io.BytesIO()
    if isinstance(pixels, np.ndarray):
        pixels = Image.fromarray(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels)
    pixels.save(content, kind, **options)
    return content.getvalue()


def pack(path, files, order=None):
    """Write files into an archive, or a folder, by the name of `path`."""
    names = list(files) if order is None else [list(files)[i] for i in order]
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in names:
                archive.writestr(name, files[name])
    elif ".tar" in path.name:
        with tarfile.open(path, "w:" + {".tar": ""}.get(path.suffix, path.suffix[1:])) as archive:
            for name in names:
                info = tarfile.TarInfo(name)
                info.size = len(files[name])
                archive.addfile(info, io.BytesIO(files[name]))
    else:
        for name in names:
            write(path, {name: files[name]})
    return path


FORMS = ["own", "own.zip", "own.tar", "own.tar.gz", "own.tar.xz", "own.tar.bz2"]
PIXELS = {
    f"{part}/{label}/{i}.png": images(1, 6, 6, 3)[0]
    for part in ("train", "test")
    for label in ("cat", "dog/deep")
    for i in (2, 10, 1)
}
FILES = {name: encoded(pixels) for name, pixels in PIXELS.items()}


@pytest.mark.parametrize("top", ["", "photos/", "./photos/"])
@pytest.mark.parametrize("form", FORMS)
def test_the_form_and_the_order_of_an_image_folder_do_not_matter(make, tmp_path, form, top):
    files = {f"{top}{name}": content for name, content in FILES.items()}
    pack(tmp_path / "root" / form, files, order=RNG.permutation(len(files)))
    found = make("image_folder", path=form)
    top = top.removeprefix("./")
    names = [f"train/cat/{i}.png" for i in (1, 10, 2)] + [f"train/dog/deep/{i}.png" for i in (1, 10, 2)]
    assert found.train_names == [top + name for name in names]
    np.testing.assert_array_equal(found.train_images, [PIXELS[name] for name in names])
    np.testing.assert_array_equal(found.test_images, [PIXELS[name.replace("train", "test", 1)] for name in names])
    assert found.train_labels.tolist() == found.test_labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert found.classes == ["cat", "dog"]


def test_an_absolute_path_is_taken_as_it_is(make, tmp_path):
    path = pack(tmp_path / "elsewhere/own.zip", FILES)
    assert make("image_folder", path=str(path)).train_images.shape == (6, 6, 6, 3)


def test_other_files_are_skipped_and_counted(make, tmp_path, capsys):
    strange = {"train/cat/.hidden.png": b"", "__MACOSX/train/cat/._1.png": b"", "train/Thumbs.db": b"", "README": b""}
    pack(tmp_path / "root/own.zip", FILES | strange)
    assert len(make("image_folder", path="own.zip").train_labels) == 6
    assert "skipped 4 files" in capsys.readouterr().err


def test_images_without_a_label_come_last(make, tmp_path):
    extra = {f"unlabeled/{name}": encoded(images(1, 6, 6, 3)[0]) for name in ("b.png", "x/a.png")}
    pack(tmp_path / "root/own", FILES | extra)
    found = make("image_folder", path="own")
    assert found.train_names[-2:] == ["unlabeled/b.png", "unlabeled/x/a.png"]
    assert found.train_labels.tolist() == [0, 0, 0, 1, 1, 1, -1, -1]
    assert found.classes == ["cat", "dog"]


def test_class_folders_at_the_top_are_split(make, tmp_path):
    files = {f"{label}/{i:02}.png": encoded(images(1)[0]) for label, n in (("a", 20), ("b", 11)) for i in range(n)}
    files |= {"unsorted/x.png": encoded(images(1)[0])}
    pack(tmp_path / "root/own.tar", files)
    found = make("image_folder", path="own.tar", unlabeled="unsorted")
    assert np.bincount(found.test_labels).tolist() == [4, 2]
    assert np.bincount(found.train_labels[:-1]).tolist() == [16, 9]
    assert found.train_labels[-1] == -1
    assert sorted(found.train_names + found.test_names) == sorted(files)
    for names, labels in ((found.train_names[:-1], found.train_labels), (found.test_names, found.test_labels)):
        assert names == sorted(names)
        assert [found.classes[label] for label in labels[: len(names)]] == [name[0] for name in names]
    same(found, make("image_folder", path="own.tar", unlabeled="unsorted"))
    other = make("image_folder", path="own.tar", unlabeled="unsorted", split_seed=1, test_fraction=0.5)
    assert np.bincount(other.test_labels).tolist() == [10, 6]


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


LAYOUTS = {
    "nothing": ([], "found no image"),
    "no class folder": (["a/1.png", "b/1.png", "1.png"], r"found 1\.png outside the class folders"),
    "no class folder in train": (["train/1.png", "test/a/1.png"], r"found train/1\.png outside the class folders"),
    "a third part": (["train/a/1.png", "test/a/1.png", "val/a/1.png"], "found the folder val beside train and test"),
    "no test": (["train/a/1.png", "train/b/1.png"], "found no images in test/, expected train/ and test/"),
    "no train": (["test/a/1.png", "unlabeled/1.png"], "found no images in train/"),
    "no labels": (["unlabeled/1.png", "unlabeled/2.png"], "found images without a class only"),
    "one class": (["a/1.png", "a/2.png", "a/3.png"], r"classes: found 1 \(a\)"),
    "a class of the test": (
        ["train/a/1.png", "train/b/1.png", "test/c/1.png"],
        r"no training image of the class of test/c/1\.png",
    ),
    "single images": (["a/1.png", "b/1.png"], "no class has two labelled images"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_wrong_layout_is_one_line(make, tmp_path, layout):
    names, message = LAYOUTS[layout]
    pack(tmp_path / "root/own.zip", dict.fromkeys(names, encoded(images(1)[0])))
    with pytest.raises(StageError, match=message) as error:
        make("image_folder", path="own.zip")
    assert "\n" not in str(error.value)


NAMED = {
    "at the top": (["1.png", "2.png"], ["1.png", "2.png"], [-1, -1], []),
    "in a folder": (["unlabeled/1.png", "unlabeled/x/2.png"], ["unlabeled/1.png", "unlabeled/x/2.png"], [-1, -1], []),
    "with one folder around": (["photos/1.png", "photos/2.png"], ["photos/1.png", "photos/2.png"], [-1, -1], []),
    "one label": (["1.png", "a/2.png"], ["a/2.png", "1.png"], [1, -1], []),
    "one of each class": (["1.png", "b/2.png", "a/3.png"], ["a/3.png", "b/2.png", "1.png"], [1, 0, -1], []),
    "a test set alone": (["1.png", "test/a/2.png", "test/b/3.png"], ["1.png"], [-1], [1, 0]),
    "no test set": (["unlabeled/1.png", "train/a/2.png"], ["train/a/2.png", "unlabeled/1.png"], [1, -1], []),
    "enough to split": (["1.png", *(f"a/{i}.png" for i in range(5))], None, [1, 1, 1, 1, -1], [1]),
}


@pytest.mark.parametrize("form", ["own", "own.zip"])
@pytest.mark.parametrize("case", NAMED)
def test_named_classes_need_no_images(make, tmp_path, case, form):
    files, names, labels, test_labels = NAMED[case]
    pack(tmp_path / "root" / form, {name: encoded(images(1)[0]) for name in files})
    found = make("image_folder", path=form, classes=["b", "a", "c"])
    assert names is None or found.train_names == names
    assert found.train_labels.tolist() == labels
    assert found.test_labels.tolist() == test_labels
    assert found.classes == ["b", "a", "c"]
    assert sorted(found.train_names + found.test_names) == sorted(files)


def test_a_test_fraction_of_0_leaves_all_for_training(make, tmp_path):
    pack(tmp_path / "root/own", {f"{label}/{i}.png": encoded(images(1)[0]) for label in "ab" for i in range(5)})
    found = make("image_folder", path="own", test_fraction=0)
    assert found.train_labels.tolist() == [0] * 5 + [1] * 5
    assert found.test_images.shape == (0, 4, 5, 1)


@pytest.mark.parametrize(
    ("files", "classes", "message"),
    [
        (
            ["d/1.png", "a/1.png"],
            ["a", "b"],
            "found d/1.png in the folder d, expected one of the classes a, b; add d",
        ),
        (["test/d/1.png", "1.png"], ["a", "b"], "found test/d/1.png in the folder d, expected one of the classes a, b"),
        (["1.png", "train/2.png"], ["a", "b"], "found train/2.png outside the class folders"),
        (["test/a/1.png"], ["a", "b"], "found images in test/ only"),
        (["1.png"], ["a"], r"classes: found 1 \(a\), expected at least 2"),
        (["1.png"], ["a", "a"], "classes: found a, expected each class once"),
        (["1.png"], ["a", "unlabeled"], "classes: found unlabeled, expected each class once, and none of test, train"),
        (["1.png"], [0, 1], "classes: found 0, expected the names of folders; write it in quotes"),
        (["1.png"], None, r"found 1\.png outside the class folders.* write classes: \[their names\]"),
        (["unlabeled/1.png"], None, r"found images without a class only.* write classes: \[their names\]"),
    ],
)
def test_wrong_classes_are_one_line(make, tmp_path, files, classes, message):
    pack(tmp_path / "root/own", dict.fromkeys(files, encoded(images(1)[0])))
    with pytest.raises(StageError, match=message) as error:
        make("image_folder", path="own", classes=classes)
    assert "\n" not in str(error.value)


def test_sizes_must_agree_or_be_brought_to_one(make, tmp_path):
    wide = np.zeros((4, 8), np.uint8)
    wide[:, 4:] = 255
    board = np.uint8(np.indices((64, 64)).sum(axis=0) % 2 * 255)
    files = {"a/1.png": wide, "a/2.png": wide.T, "b/1.png": board, "b/2.png": board}
    pack(tmp_path / "root/own", {name: encoded(pixels) for name, pixels in files.items()})
    message = r"found a/1\.png of 8 x 4 pixels and a/2\.png of 4 x 8, .*write size: N"
    with pytest.raises(StageError, match=message):
        make("image_folder", path="own")
    found = make("image_folder", path="own", size=4)
    both = dict(zip(found.train_names + found.test_names, [*found.train_images, *found.test_images], strict=True))
    np.testing.assert_array_equal(both["a/1.png"][..., 0], [[0, 0, 255, 255]] * 4)  # the centre
    np.testing.assert_array_equal(both["a/2.png"][..., 0], np.transpose([[0, 0, 255, 255]] * 4))
    np.testing.assert_allclose(both["b/1.png"], 127.5, atol=2)  # antialiased


def one(content, colour=True, size=None):
    return _images.decode("x/1.png", content, colour, size)


def test_modes_are_brought_to_one(make, tmp_path):
    grey, colour = encoded(images(1)[0]), encoded(images(1, channels=3)[0])
    pack(tmp_path / "root/grey", {"a/1.png": grey, "a/2.png": grey, "b/1.png": grey})
    pack(tmp_path / "root/mixed", {"a/1.png": grey, "a/2.png": grey, "b/1.png": colour})
    for path, mode, channels in (
        ("grey", "auto", 1),
        ("grey", "rgb", 3),
        ("grey", "grey", 1),
        ("mixed", "auto", 3),
        ("mixed", "grey", 1),
    ):
        assert make("image_folder", path=path, mode=mode).train_images.shape[-1] == channels, (path, mode)


def test_palettes_are_what_they_look_like():
    pixels = np.uint8([[0, 1], [2, 2]])
    for palette, coloured in (([0, 0, 0, 9, 9, 9, 200, 200, 200], False), ([0, 0, 0, 9, 9, 9, 200, 0, 0], True)):
        image = Image.fromarray(pixels)
        image.putpalette(palette)
        for kind in ("png", "gif"):
            content = encoded(image, kind)
            assert _images.in_colour("x", content) == coloured
            np.testing.assert_array_equal(one(content), np.reshape(palette, (3, 3))[pixels])


def test_16_bits_are_scaled():
    values = np.uint16([[0, 128, 129], [256, 32896, 65535]])
    for kind in ("png", "tiff"):
        content = encoded(Image.fromarray(values), kind)
        assert not _images.in_colour("x", content)
        assert one(content, colour=False)[..., 0].tolist() == [[0, 0, 1], [1, 128, 255]]
        assert one(content).shape == (2, 3, 3)
    with pytest.raises(StageError, match=r"x/1\.png has pixels of -5\.\.70000; save it with 8 or 16 bits"):
        one(encoded(Image.fromarray(np.int32([[-5, 70000]])), "tiff"))
    with pytest.raises(StageError, match=r"x/1\.png has floating-point pixels"):
        one(encoded(Image.fromarray(np.float32([[0.5, 1]])), "tiff"))


def test_transparency_is_laid_on_white():
    pixels = np.uint8([[[10, 20, 30, 255], [10, 20, 30, 0], [0, 0, 0, 51]]])
    assert one(encoded(pixels)).tolist() == [[[10, 20, 30], [255, 255, 255], [204, 204, 204]]]
    assert one(encoded(np.uint8([[[7, 255], [7, 0]]])), colour=False)[..., 0].tolist() == [[7, 255]]
    assert not _images.in_colour("x", encoded(np.uint8([[[7, 255], [7, 0]]])))
    image = Image.fromarray(np.uint8([[0, 1]]))
    image.putpalette([1, 2, 3, 4, 5, 6])
    assert one(encoded(image, transparency=1)).tolist() == [[[1, 2, 3], [255, 255, 255]]]


def test_luma_black_and_white_and_cmyk():
    pixels = np.uint8([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]])
    assert one(encoded(pixels), colour=False)[..., 0].tolist() == [[76, 150, 29]]
    bits = Image.fromarray(np.uint8([[0, 255]])).convert("1")
    assert one(encoded(bits), colour=False)[..., 0].tolist() == [[0, 255]]
    assert _images.in_colour("x", encoded(Image.new("CMYK", (2, 2)), "jpeg"))
    assert one(encoded(Image.new("CMYK", (2, 2)), "jpeg")).tolist() == [[[255] * 3] * 2] * 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation):
    pixels = images(1, 8, 16, 3)[0].repeat(8, axis=0).repeat(8, axis=1)
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = one(encoded(pixels, "png", exif=exif))
    expected = {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.transpose(1, 0, 2),
        6: np.rot90(pixels, -1),
        7: pixels[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(pixels),
    }[orientation]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("mode", ["auto", "rgb"])
@pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "bmp", "tiff", "webp"])
def test_an_image_that_cannot_be_read_is_named(make, tmp_path, kind, mode):
    good = encoded(images(1, 40, 40)[0])
    whole = encoded(images(1, 40, 40)[0], kind)
    for broken in (whole[: len(whole) // 2], whole[:20], b"", b"text"):
        pack(tmp_path / "root/own.zip", {"a/1.png": good, "a/2.png": good, "b/1.png": broken})
        with pytest.raises(StageError, match=r"b/1\.png cannot be read \("):
            make("image_folder", path="own.zip", mode=mode)


@pytest.mark.parametrize("side", [11, 20])  # a warning of Pillow's, and its error
def test_a_decompression_bomb_is_named(make, tmp_path, monkeypatch, side):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    files = {"a/1.png": images(1)[0], "a/2.png": images(1)[0], "b/1.png": images(1, side, side)[0]}
    pack(tmp_path / "root/own.zip", {name: encoded(pixels) for name, pixels in files.items()})
    with pytest.raises(StageError, match=rf"b/1\.png cannot be read \(Image size \({side**2} pixels\) exceeds"):
        make("image_folder", path="own.zip", size=4)


def test_more_pixels_than_memory_are_one_line():
    with pytest.raises(StageError, match=r"own: 1000000000 images of 5000 x 4000 pixels take 55,879,354 GiB of memory"):
        _images.allocated("own", Counter(train=10**9), (4000, 5000, 3))


# Tiny ImageNet


def tiny(top="tiny-imagenet-200/", grey=True):
    """Return the files of a small Tiny ImageNet, and the pixels of its images."""
    pixels = {f"train/n{c}/images/n{c}_{i}.JPEG": images(1, 8, 8, 3)[0] for c in (3, 1, 2) for i in (0, 10, 2)}
    pixels |= {f"val/images/val_{i}.JPEG": images(1, 8, 8, 3)[0] for i in range(4)}
    pixels["train/n1/images/n1_0.JPEG"] = images(1, 8, 8)[0].repeat(3, axis=-1)
    files = {name: encoded(value[..., 0] if "n1_0" in name else value, "png") for name, value in pixels.items()}
    files |= {f"test/images/test_{i}.JPEG": b"not read" for i in range(3)}
    files["wnids.txt"] = b"n3\nn1\nn2\n"
    files["words.txt"] = b"n1\tgoldfish, Carassius auratus\nn3\tbell cote\nn9\tother\n"
    lines = [f"val_{i}.JPEG\tn{c}\t0\t0\t9\t9\n" for i, c in ((2, 1), (0, 2), (1, 3), (3, 3))]
    files["val/val_annotations.txt"] = "".join(lines).encode()
    files["train/n1/n1_boxes.txt"] = b""
    return {top + name: content for name, content in files.items()}, pixels


@pytest.mark.parametrize("form", ["tiny-imagenet-200.zip", "small.tar.xz", "small", "", "tiny-imagenet-200"])
def test_tiny_imagenet_has_its_validation_part_as_test_set(make, tmp_path, monkeypatch, form):
    files, pixels = tiny(top="" if form in ("small", "tiny-imagenet-200") else "tiny-imagenet-200/")
    path = pack(tmp_path / "root" / (form or "tiny-imagenet-200.zip"), files)
    if form == "tiny-imagenet-200.zip":
        monkeypatch.setattr(tiny_imagenet, "MD5", md5(path.read_bytes()))
    if form == "":
        with pytest.raises(StageError, match=rf"zip has the MD5 .*, expected {tiny_imagenet.MD5}"):
            make("tiny_imagenet")
        return
    found = make("tiny_imagenet", **({} if form.startswith("tiny") else {"path": form}))
    assert found.classes == ["bell cote", "goldfish", "n2"]
    assert found.test_labels.tolist() == [2, 0, 1, 0]
    assert found.train_labels.tolist() == [1] * 3 + [2] * 3 + [0] * 3
    names = [name.removeprefix("tiny-imagenet-200/") for name in found.train_names]
    assert names[:3] == [f"train/n1/images/n1_{i}.JPEG" for i in (0, 10, 2)]
    np.testing.assert_array_equal(found.train_images, [pixels[name] for name in names])
    np.testing.assert_array_equal(found.test_images, [pixels[f"val/images/val_{i}.JPEG"] for i in range(4)])


def test_only_the_original_tiny_imagenet_is_fetched():
    (file,) = tiny_imagenet.files()
    assert file.md5 == "90528d7ca1a48142e341f4ef8d21d0de"
    assert file.path == "tiny-imagenet-200.zip"
    assert all(url.endswith("//cs231n.stanford.edu/tiny-imagenet-200.zip") for url in file.urls)
    assert tiny_imagenet.files(path="small.zip") == []


def test_an_incomplete_tiny_imagenet_is_refused(make, tmp_path):
    files, _ = tiny(top="")
    cases = [
        ({"words.txt": None}, r"found no words\.txt"),
        ({"val/images/val_1.JPEG": None}, "found 9 images in train and 3 in val, .* the 4 of"),
        ({"wnids.txt": b"n1\nn2\n"}, "found no class for train/n3/images"),
        ({"val/images/val_9.JPEG": b""}, r"found no class for val/images/val_9\.JPEG"),
    ]
    for changes, message in cases:
        changed = {name: content for name, content in (files | changes).items() if content is not None}
        pack(tmp_path / "root/small.zip", changed)
        with pytest.raises(StageError, match=message):
            make("tiny_imagenet", path="small.zip")


# Archives that lie, lead outside or are broken


def everything(path):
    return dict(archives.members(str(path), lambda name: True))


@pytest.mark.parametrize("form", FORMS)
def test_only_what_is_wanted_is_read(tmp_path, form):
    path = pack(tmp_path / form, {"a/1": b"one", "b": b"", "./c//d": b"x" * 2000})
    found = dict(archives.members(str(path), lambda name: name != "a/1"))
    assert found == {"a/1": None, "b": b"", "c/d": b"x" * 2000}


def tar_with(path, **changes):
    with tarfile.open(path, "w") as archive:
        archive.addfile(tarfile.TarInfo("good/1.png"))
        info = tarfile.TarInfo("bad/2.png")
        for attribute, value in changes.items():
            setattr(info, attribute, value)
        archive.addfile(info, io.BytesIO(bytes(info.size)) if info.isreg() else None)


TAR = {
    "absolute": ({"name": "/etc/passwd"}, "'/etc/passwd', a name that leads out"),
    "parent": ({"name": "a/../../b.png"}, "'a/../../b.png', a name that leads out"),
    "drive": ({"name": "C:\\b.png"}, "leads out"),
    "parent folder": ({"name": "a/..", "type": tarfile.DIRTYPE}, "leads out"),
    "symbolic link": ({"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}, "'bad/2.png', a link"),
    "hard link": ({"type": tarfile.LNKTYPE, "linkname": "good/1.png"}, "'bad/2.png', a link"),
    "FIFO": ({"type": tarfile.FIFOTYPE}, "'bad/2.png', a FIFO"),
    "device": ({"type": tarfile.BLKTYPE}, "'bad/2.png', a device"),
    "terminal": ({"type": tarfile.CHRTYPE}, "'bad/2.png', a device"),
    "twice": ({"name": "./good//1.png"}, "'./good//1.png', a name that is in the archive twice"),
}


@pytest.mark.parametrize("wanted", [True, False])
@pytest.mark.parametrize("case", TAR)
def test_a_tar_archive_holds_plain_files_only(tmp_path, case, wanted):
    changes, message = TAR[case]
    tar_with(tmp_path / "a.tar", **changes)
    with pytest.raises(StageError, match=rf"a\.tar: refused {message}" if message[0] == "'" else message):
        list(archives.members(str(tmp_path / "a.tar"), lambda name: wanted))


ZIP = {
    "absolute": ("/etc/passwd", {}, "'/etc/passwd', a name that leads out"),
    "parent": ("a/../../b.png", {}, "leads out"),
    "parent of Windows": ("a\\..\\..\\b.png", {}, "leads out"),
    "drive": ("C:\\b.png", {}, "leads out"),
    "link": ("b.png", {"external_attr": (stat.S_IFLNK | 0o777) << 16}, "'b.png', a link"),
    "FIFO": ("b.png", {"external_attr": (stat.S_IFIFO | 0o777) << 16}, "neither a file nor a directory"),
    "method": ("b.png", {"compress_type": zipfile.ZIP_BZIP2}, "another method than deflate"),
}


@pytest.mark.parametrize("case", ZIP)
def test_a_zip_archive_holds_plain_files_only(tmp_path, case):
    name, changes, message = ZIP[case]
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        info = zipfile.ZipInfo("x")
        info.filename = name
        for attribute, value in changes.items():
            setattr(info, attribute, value)
        archive.writestr(info, b"content")
    with pytest.raises(StageError, match=message):
        everything(tmp_path / "a.zip")


def test_an_encrypted_member_is_refused(tmp_path):
    path = pack(tmp_path / "a.zip", {"secret.png": b"content"})
    content = bytearray(path.read_bytes())
    content[6] |= 1  # the flag in the file's own header, and in the directory
    content[content.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(StageError, match=r"refused 'secret\.png', encrypted"):
        everything(path)


def test_names_of_windows_are_understood(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        info = zipfile.ZipInfo("x")
        info.filename = "a\\b.png"
        archive.writestr(info, b"content")
    assert everything(tmp_path / "a.zip") == {"a/b.png": b"content"}


@pytest.mark.parametrize("form", FORMS)
def test_a_file_of_more_than_the_limit_is_refused(tmp_path, monkeypatch, form):
    path = pack(tmp_path / form, {"a/1.png": bytes(5000), "a/2.png": bytes(5001)})
    monkeypatch.setattr(archives, "MEMBER_LIMIT", 5000)
    with pytest.raises(StageError, match=r"refused 'a/2\.png' of 5,001 bytes, expected at most 5,000"):
        everything(path)


@pytest.mark.parametrize("form", FORMS[1:])
def test_an_archive_of_more_than_the_limit_is_refused(tmp_path, monkeypatch, form):
    path = pack(tmp_path / form, {f"{i}.png": bytes(5000) for i in range(10)})
    monkeypatch.setattr(archives, "TOTAL_LIMIT", 40_000)
    with pytest.raises(StageError, match=r"refused at '7\.png': the archive unpacks to more than 40,000 bytes"):
        list(archives.members(str(path), lambda name: False))


def test_a_zip_header_that_lies_is_found_out(tmp_path):
    path = pack(tmp_path / "a.zip", {"a/1.png": bytes(2**26)})
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"PK\1\2")
    content[22:26] = content[entry + 24 : entry + 28] = struct.pack("<I", 1000)
    path.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(StageError, match=r"a\.zip is damaged or truncated \(Bad CRC-32 for file 'a/1\.png'\)"):
        everything(path)
    assert tracemalloc.get_traced_memory()[1] < 2**23
    tracemalloc.stop()


def test_a_zip_header_that_claims_too_much_is_found_out(tmp_path):
    path = pack(tmp_path / "a.zip", {"a/1.png": b"content"})
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"PK\1\2")
    content[22:26] = content[entry + 24 : entry + 28] = struct.pack("<I", 1000)
    path.write_bytes(content)
    with pytest.raises(StageError, match=r"a\.zip is damaged or truncated \(it ends within 'a/1\.png'\)"):
        everything(path)


def test_a_zip_directory_that_leaves_files_out_is_found_out(tmp_path):
    path = pack(tmp_path / "a.zip", MANY)
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\1\2") + 32] = 51  # the length of a comment, which hides the next entry
    path.write_bytes(content)
    with pytest.raises(StageError, match=r"a\.zip is damaged or truncated \(5 of 6 files are listed\)"):
        everything(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.comment = b"a comment"
        archive.writestr("1.png", b"content")
    assert everything(path) == {"1.png": b"content"}


def test_what_was_seen_of_a_tar_archive_is_forgotten(tmp_path):
    path = pack(tmp_path / "a.tar", {f"{i}": b"" for i in range(100)})
    for _ in archives.members(str(path), lambda name: True):
        kept = sum(type(thing) is tarfile.TarInfo for thing in gc.get_objects())
    assert kept < 10


@pytest.mark.parametrize("size", [2**34, 2**60])
@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_tar_header_that_claims_too_much_is_refused(tmp_path, kind, size):
    """A comment or a long name is read by tarfile in one piece."""
    info = tarfile.TarInfo("a/1.png")
    info.type, info.size = kind, size
    (tmp_path / "a.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(4096))
    with pytest.raises(StageError, match=rf"a\.tar: refused '.*' of {size:,} bytes"):
        everything(tmp_path / "a.tar")


MANY = {f"{i}.png": RNG.bytes(700) for i in range(6)}


@pytest.mark.parametrize("form", FORMS[1:])
def test_a_truncated_archive_is_one_line(tmp_path, form):
    path = pack(tmp_path / form, MANY)
    content = path.read_bytes()
    end = 6 * (512 + 1024) if form.endswith(".tar") else len(content)  # a plain tar ends in more zeros than it must
    for size in sorted({*range(600, end, 97), *range(512, end, 512), end - 1, end}):
        path.write_bytes(content[:size])
        if size == len(content):
            assert everything(path) == MANY
            continue
        with pytest.raises(StageError, match=rf"{form} is damaged or truncated") as error:
            for name, value in archives.members(str(path), lambda name: True):
                assert value == MANY[name]
        assert "\n" not in str(error.value)
    for start in (b"", b"text", bytes(600)):
        path.write_bytes(start)
        with pytest.raises(StageError, match="is neither a folder nor a zip or tar archive"):
            everything(path)


@settings(deadline=None, max_examples=60)
@given(form=st.sampled_from(FORMS[1:]), place=st.floats(0, 1, exclude_max=True), value=st.integers(1, 255))
def test_a_changed_byte_never_gives_other_content_or_a_traceback(tmp_path_factory, form, place, value):
    path = pack(tmp_path_factory.mktemp("a") / form, MANY)
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= value
    path.write_bytes(content)
    try:
        found = everything(path)
    except StageError:
        return
    assert len(found) == len(MANY)
    if form != "own.tar":  # whose content has no checksum
        assert list(found.values()) == list(MANY.values())


def test_a_folder_s_links_are_followed_but_not_in_circles(tmp_path):
    pack(tmp_path / "real", {"1.png": b"one"})
    pack(tmp_path / "own", {"a/2.png": b"two"})
    (tmp_path / "own/b").symlink_to(tmp_path / "real")
    assert everything(tmp_path / "own") == {"a/2.png": b"two", "b/1.png": b"one"}
    (tmp_path / "own/a/again").symlink_to(tmp_path / "own")
    with pytest.raises(StageError, match=r"own/a/again is the same folder as .*own; remove the link"):
        everything(tmp_path / "own")


def test_a_fifo_in_a_folder_is_named_not_waited_for(tmp_path):
    pack(tmp_path / "own", {"a/1.png": b"one"})
    os.mkfifo(tmp_path / "own/a/2.png")
    with pytest.raises(StageError, match=r"own/a/2\.png is not a file"):
        everything(tmp_path / "own")


# Arrays and features


def table(path, arrays):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npz":
        np.savez_compressed(path, **arrays)
    else:
        with h5py.File(path, "w") as file:
            for key, values in arrays.items():
                file[key] = values.tolist() if values.dtype.kind == "U" else values


OWN = images(40, 4, 5, 3)
TARGET = np.arange(40) % 3


@pytest.mark.parametrize("separator", ["_", "/"])
@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_arrays_with_a_test_set(make, tmp_path, suffix, separator):
    arrays = {"train_images": OWN, "train_labels": TARGET, "test_images": OWN[:9], "test_labels": TARGET[:9]}
    path = tmp_path / f"root/own{suffix}"
    table(path, {key.replace("_", separator): values for key, values in arrays.items()})
    found = make("arrays", path=path.name)
    np.testing.assert_array_equal(found.train_images, OWN)
    np.testing.assert_array_equal(found.test_images, OWN[:9])
    assert found.train_labels.tolist() == TARGET.tolist()
    assert found.classes == ["0", "1", "2"]


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_arrays_are_split_with_their_labels(make, tmp_path, suffix, monkeypatch):
    monkeypatch.setattr(dataset, "CHUNK", 100)
    monkeypatch.setattr(dataset, "BLOCK", 1)
    names = np.array(["owl", "", "ape", "elk"])[np.arange(40) % 4]
    table(tmp_path / f"root/own{suffix}", {"images": OWN, "labels": names})
    found = make("arrays", path=f"own{suffix}")
    assert found.classes == ["ape", "elk", "owl"]
    assert np.bincount(found.test_labels).tolist() == [2, 2, 2]
    assert np.bincount(found.train_labels + 1).tolist() == [10, 8, 8, 8]
    where = {values.tobytes(): row for row, values in enumerate(OWN)}
    for values, labels in ((found.train_images, found.train_labels), (found.test_images, found.test_labels)):
        rows = [where[value.tobytes()] for value in values]
        assert rows == sorted(rows)
        assert [[*found.classes, ""][label] for label in labels] == names[rows].tolist()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (OWN[..., 0], OWN[..., :1]),
        (OWN.transpose(0, 3, 1, 2), OWN),
        (OWN[:, :3, :, :1], OWN[:, :3, :, :1]),  # the last axis goes first
        (OWN / 255, OWN),
        ((OWN / 255).astype(np.float32)[..., 0], OWN[..., :1]),
        ((OWN / 255).astype(np.float32).transpose(0, 3, 1, 2), OWN),
    ],
)
def test_arrays_of_any_layout(make, tmp_path, values, expected):
    table(
        tmp_path / "root/own.h5",
        {f"{p}_{w}": v for p in ("train", "test") for w, v in (("images", values), ("labels", TARGET))},
    )
    np.testing.assert_array_equal(make("arrays", path="own.h5").test_images, expected)


def test_labels_may_be_any_integers(make, tmp_path):
    labels = np.array([7, -1, 3, 10] * 10, np.int8)
    table(tmp_path / "root/own.npz", {"images": OWN, "labels": labels})
    found = make("arrays", path="own.npz", test_fraction=0.5)
    assert found.classes == ["3", "7", "10"]
    assert sorted(found.train_labels) == [-1] * 10 + [0] * 5 + [1] * 5 + [2] * 5


WRONG = {
    "objects": (
        {"images": OWN.astype(object), "labels": TARGET},
        "images cannot be read .Object arrays cannot be loaded",
    ),
    "objects as labels": ({"images": OWN, "labels": TARGET.astype(object)}, "labels cannot be read .Object arrays"),
    "lengths": ({"images": OWN, "labels": TARGET[:9]}, "labels: found 9 labels for the 40 rows of images"),
    "no labels": ({"images": OWN}, "found images, expected labels as well; the keys are train_images"),
    "nothing": ({"x": OWN}, "found x, expected images, labels as well"),
    "no test": ({"train_images": OWN, "train_labels": TARGET}, "expected test_images, test_labels as well"),
    "integers": (
        {"images": OWN.astype(int), "labels": TARGET},
        "images: found int64, expected uint8, or floats in 0..1",
    ),
    "floats to 255": ({"images": OWN * 1.0, "labels": TARGET}, "images: found floats from 0.0 to 255.0, expected 0..1"),
    "NaN": ({"images": OWN * np.nan, "labels": TARGET}, "images: found floats from nan to nan"),
    "shape": ({"images": OWN[..., :2], "labels": TARGET}, r"images: found the shape \(40, 4, 5, 2\), expected"),
    "a number": ({"images": np.uint8(3), "labels": TARGET}, "images: found a single value"),
    "float labels": (
        {"images": OWN, "labels": TARGET / 1},
        r"labels: found float64 \(40,\), expected integers or strings",
    ),
    "one-hot": ({"images": OWN, "labels": np.eye(40, dtype=int)}, r"labels: found int64 \(40, 40\)"),
    "below": ({"images": OWN, "labels": TARGET - 2}, "labels: found -2, expected 0 or more, or -1"),
    "one class": ({"images": OWN, "labels": TARGET * 0}, r"classes: found 1 \(0\)"),
    "strings and integers": (
        {"train_images": OWN, "train_labels": TARGET, "test_images": OWN, "test_labels": TARGET.astype(str)},
        "found strings and integers among the labels",
    ),
    "a class of the test": (
        {"train_images": OWN, "train_labels": TARGET, "test_images": OWN, "test_labels": np.r_[TARGET[:39], 3]},
        "test_labels: found 3 in row 39, which no training row has",
    ),
    "no label in the test": (
        {"train_images": OWN, "train_labels": TARGET, "test_images": OWN, "test_labels": np.r_[TARGET[:39], -1]},
        "test labels: found -1 in row 39",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_arrays_are_one_line(make, tmp_path, case):
    arrays, message = WRONG[case]
    table(tmp_path / "root/own.npz", arrays)
    with pytest.raises(StageError, match=message):
        make("arrays", path="own.npz")


@pytest.mark.parametrize("name", ["arrays", "features"])
@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_a_broken_table_is_named(make, tmp_path, name, suffix):
    path = tmp_path / f"root/own{suffix}"
    values = OWN if name == "arrays" else RNG.normal(size=(40, 30))
    table(path, {{"arrays": "images", "features": "features"}[name]: values, "labels": TARGET})
    content = path.read_bytes()
    for size in (9, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(StageError, match=rf"{path}"):
            make(name, path=path.name)
    path.write_bytes(b"a,b\n1,2\n")
    with pytest.raises(StageError, match=rf"{path} is neither an HDF5 nor an NPZ file"):
        make(name, path=path.name)
    path.unlink()
    with pytest.raises(StageError, match=rf"cannot read {path} \(No such file"):
        make(name, path=path.name)


@pytest.mark.parametrize("parted", [True, False])
def test_features_keep_their_rows_and_labels(make, tmp_path, monkeypatch, parted):
    monkeypatch.setattr(dataset, "CHUNK", 4 * 6 * 5)
    monkeypatch.setattr(dataset, "BLOCK", 2)
    values = RNG.normal(3, 2, (90, 6))
    labels = np.arange(90) % 3 - 1
    arrays = {"features": values, "labels": labels}
    if parted:
        arrays = {f"train/{key}": array for key, array in arrays.items()}
        arrays |= {"test/features": values[labels >= 0], "test/labels": labels[labels >= 0]}
    table(tmp_path / "root/own.h5", arrays)
    found = make("features", path="own.h5")
    assert found.train_features.dtype == np.float32
    where = {value.astype(np.float32).tobytes(): row for row, value in enumerate(values)}
    for got, numbers in ((found.train_features, found.train_labels), (found.test_features, found.test_labels)):
        rows = [where[value.tobytes()] for value in got]
        assert labels[rows].tolist() == numbers.tolist()
    assert len(found.train_labels) == (90 if parted else 78)
    np.testing.assert_allclose(found.mean, found.train_features.astype(float).mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.std, found.train_features.astype(float).std(axis=0), rtol=1e-9)


@pytest.mark.parametrize("values", [np.zeros((40, 3), int), np.zeros((40, 3, 2))])
def test_features_are_a_table_of_floats(make, tmp_path, values):
    table(tmp_path / "root/own.h5", {"features": values, "labels": TARGET})
    with pytest.raises(StageError, match=rf"features: found {values.dtype} .*, expected floats \(N, D\)"):
        make("features", path="own.h5")


# The stage as a process


def test_own_data_import_neither_torch_nor_scikit_learn(stage, tmp_path):
    pack(tmp_path / "own.zip", FILES)
    config = {"dataset": "image_folder", "parameters": {"path": "own.zip"}}
    done = stage("dataset", config, python=["-X", "importtime"], root=tmp_path, out=tmp_path / "out.h5")
    assert done.returncode == 0, done.stderr
    imported = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines() if line.startswith("import time")}
    assert "PIL.Image" in imported
    assert imported.isdisjoint({"torch", "torchvision", "sklearn", "pandas", "requests"})
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
