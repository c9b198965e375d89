"""Sets of torchvision, in their real formats, with checksums of their own."""

import gzip
import io
import os
import pickle
import struct
import tarfile
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import images, md5, write

from poolflow.job import StageError

pytestmark = pytest.mark.usefixtures("no_network")


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
def test_mnist_is_read_from_archives_and_from_unpacked_files(make_dataset, tmp_path, digits, unpacked):
    unpacked = digits.plain if unpacked == "all" else unpacked
    write(tmp_path / "root" / digits.folder, {name: digits.plain[name] for name in unpacked})
    packed = {name: digits.packed[name] for name in digits.packed if name.removesuffix(".gz") not in unpacked}
    write(tmp_path / "root" / digits.folder, packed)
    found = make_dataset(digits.name)
    np.testing.assert_array_equal(found.train_images[..., 0], digits.arrays["train-images-idx3-ubyte"])
    np.testing.assert_array_equal(found.train_labels, digits.arrays["train-labels-idx1-ubyte"])
    np.testing.assert_array_equal(found.test_images[..., 0], digits.arrays["t10k-images-idx3-ubyte"])
    np.testing.assert_array_equal(found.test_labels, digits.arrays["t10k-labels-idx1-ubyte"])
    assert found.classes[1] == {"mnist": "1", "fashion_mnist": "Trouser"}[digits.name]


def test_a_root_may_be_relative(make_dataset, tmp_path, digits, monkeypatch):
    write(tmp_path / "root" / digits.folder, digits.plain)
    monkeypatch.chdir(tmp_path)
    assert make_dataset(digits.name, root=type(tmp_path)("root")).train_images.shape == (30, 28, 28, 1)


@pytest.mark.parametrize("size", [0, 3, 10, 16, 500, -1])
def test_a_truncated_mnist_file_is_named(make_dataset, tmp_path, digits, size):
    write(tmp_path / "root" / digits.folder, digits.plain)
    path = tmp_path / "root" / digits.folder / "t10k-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(StageError, match=rf"{path} (has|is not)"):
        make_dataset(digits.name)


def test_a_damaged_mnist_file_is_named(make_dataset, tmp_path, digits):
    folder = tmp_path / "root" / digits.folder
    write(folder, digits.packed)
    content = bytearray(digits.packed["train-images-idx3-ubyte.gz"])
    content[-20] ^= 1
    write(folder, {"train-images-idx3-ubyte.gz": content})
    with pytest.raises(StageError, match=r"train-images-idx3-ubyte\.gz has the MD5 .*, expected"):
        make_dataset(digits.name)
    (folder / "train-images-idx3-ubyte.gz").unlink()
    with pytest.raises(StageError, match=r"train-images-idx3-ubyte\.gz is missing; run snakemake again"):
        make_dataset(digits.name)
    content = bytearray(digits.plain["train-images-idx3-ubyte"])
    content[0] = 1
    write(folder, {"train-images-idx3-ubyte": content})
    with pytest.raises(StageError, match=r"train-images-idx3-ubyte (has the MD5|is not a file of MNIST's format)"):
        make_dataset(digits.name)


def test_an_unpacked_mnist_file_has_a_checksum(make_dataset, tmp_path):
    plain = {f"{part}-images-idx3-ubyte": idx(images(30, 28, 28)[..., 0]) for part in ("train", "t10k")}
    plain |= {f"{part}-labels-idx1-ubyte": idx(np.zeros(30, np.uint8)) for part in ("train", "t10k")}
    write(tmp_path / "root/MNIST/raw", plain)
    with pytest.raises(StageError, match=r"has the MD5 .*, expected 6bbc9ace898e44ae57da46a324031adb"):
        make_dataset("mnist")


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
def test_cifar_is_read_from_its_archive_and_unpacked(make_dataset, tmp_path, monkeypatch, name, unpacked):
    from torchvision import datasets

    source = getattr(datasets, name.upper())
    files, archive, arrays = cifar(source, monkeypatch)
    write(tmp_path / "root", files if unpacked else archive)
    found = make_dataset(name)
    expected = np.concatenate([arrays[part] for part, _ in source.train_list])
    np.testing.assert_array_equal(found.train_images, expected)
    np.testing.assert_array_equal(found.test_images, arrays[source.test_list[0][0]])
    assert found.test_labels.tolist() == [0, 1, 2, 3, 4, 5]
    assert found.classes == list("abcdef")
    if name == "cifar100":
        found = make_dataset(name, labels="coarse")
        assert found.classes == ["low", "high"]
        assert found.train_labels.tolist() == found.test_labels.tolist() == [0, 0, 1, 1, 1, 0]


class Trap:
    def __reduce__(self):
        return os.mkdir, (Trap.path,)


@pytest.mark.parametrize("where", ["data_batch_3", "batches.meta", "archive"])
def test_a_pickle_is_read_only_after_its_checksum_matched(make_dataset, tmp_path, monkeypatch, where):
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
        make_dataset("cifar10")
    assert not (tmp_path / "sprung").exists()


def test_svhn_has_its_axes_and_its_zero(make_dataset, tmp_path, monkeypatch):
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
    found = make_dataset("svhn")
    np.testing.assert_array_equal(found.train_images, values["train"])
    np.testing.assert_array_equal(found.test_images, values["test"])
    assert found.test_labels.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 0]
    (tmp_path / "root/test_32x32.mat").write_bytes(b"no")
    with pytest.raises(StageError, match=r"test_32x32\.mat has the MD5"):
        make_dataset("svhn")


def test_what_is_fetched_is_what_torchvision_names():
    from torchvision import datasets

    from poolflow.datasets import cifar10, cifar100, mnist, svhn

    urls = {file.path: file.urls for module in (cifar10, cifar100, mnist, svhn) for file in module.files()}
    assert urls["cifar-10-python.tar.gz"] == (datasets.CIFAR10.url,)
    assert urls["cifar-100-python.tar.gz"] == (datasets.CIFAR100.url,)
    assert urls["MNIST/raw/t10k-labels-idx1-ubyte.gz"] == tuple(
        f"{mirror}t10k-labels-idx1-ubyte.gz" for mirror in datasets.MNIST.mirrors
    )
    assert [file.checksum for file in svhn.files()] == [datasets.SVHN.split_list[part][2] for part in ("train", "test")]
    assert cifar100.files(labels="coarse") == cifar100.files()
