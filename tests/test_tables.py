"""Arrays and features, from HDF5 and NPZ files."""

import h5py
import numpy as np
import pytest
from helpers import images

from poolflow.data import content, store
from poolflow.datasets import _tables as tables
from poolflow.datasets import arrays
from poolflow.job import StageError

pytestmark = pytest.mark.usefixtures("no_network")
RNG = np.random.default_rng(0)


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
def test_arrays_with_a_test_set(make_dataset, tmp_path, suffix, separator):
    arrays = {"train_images": OWN, "train_labels": TARGET, "test_images": OWN[:9], "test_labels": TARGET[:9]}
    path = tmp_path / f"root/own{suffix}"
    table(path, {key.replace("_", separator): values for key, values in arrays.items()})
    found = make_dataset("arrays", path=path.name)
    np.testing.assert_array_equal(found.train_images, OWN)
    np.testing.assert_array_equal(found.test_images, OWN[:9])
    assert found.train_labels.tolist() == TARGET.tolist()
    assert found.classes == ["0", "1", "2"]


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_arrays_are_split_with_their_labels(make_dataset, tmp_path, suffix, monkeypatch):
    monkeypatch.setattr(store, "CHUNK", 100)
    monkeypatch.setattr(content, "BLOCK", 1)
    names = np.array(["owl", "", "ape", "elk"])[np.arange(40) % 4]
    table(tmp_path / f"root/own{suffix}", {"images": OWN, "labels": names})
    found = make_dataset("arrays", path=f"own{suffix}")
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
def test_arrays_of_any_layout(make_dataset, tmp_path, values, expected):
    table(
        tmp_path / "root/own.h5",
        {f"{p}_{w}": v for p in ("train", "test") for w, v in (("images", values), ("labels", TARGET))},
    )
    np.testing.assert_array_equal(make_dataset("arrays", path="own.h5").test_images, expected)


def test_labels_may_be_any_integers(make_dataset, tmp_path):
    labels = np.array([7, -1, 3, 10] * 10, np.int8)
    table(tmp_path / "root/own.npz", {"images": OWN, "labels": labels})
    found = make_dataset("arrays", path="own.npz", test_fraction=0.5)
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
def test_wrong_arrays_are_one_line(make_dataset, tmp_path, case):
    arrays, message = WRONG[case]
    table(tmp_path / "root/own.npz", arrays)
    with pytest.raises(StageError, match=message):
        make_dataset("arrays", path="own.npz")


@pytest.mark.parametrize("name", ["arrays", "features"])
@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_a_broken_table_is_named(make_dataset, tmp_path, name, suffix):
    path = tmp_path / f"root/own{suffix}"
    values = OWN if name == "arrays" else RNG.normal(size=(40, 30))
    table(path, {{"arrays": "images", "features": "features"}[name]: values, "labels": TARGET})
    content = path.read_bytes()
    for size in (9, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(StageError, match=rf"{path}"):
            make_dataset(name, path=path.name)
    path.write_bytes(b"a,b\n1,2\n")
    with pytest.raises(StageError, match=rf"{path} is neither an HDF5 nor an NPZ file"):
        make_dataset(name, path=path.name)
    path.unlink()
    with pytest.raises(StageError, match=rf"cannot read {path} \(No such file"):
        make_dataset(name, path=path.name)


@pytest.mark.parametrize("parted", [True, False])
def test_features_keep_their_rows_and_labels(make_dataset, tmp_path, monkeypatch, parted):
    monkeypatch.setattr(store, "CHUNK", 4 * 6 * 5)
    monkeypatch.setattr(content, "BLOCK", 2)
    values = RNG.normal(3, 2, (90, 6))
    labels = np.arange(90) % 3 - 1
    arrays = {"features": values, "labels": labels}
    if parted:
        arrays = {f"train/{key}": array for key, array in arrays.items()}
        arrays |= {"test/features": values[labels >= 0], "test/labels": labels[labels >= 0]}
    table(tmp_path / "root/own.h5", arrays)
    found = make_dataset("features", path="own.h5")
    assert found.train_features.dtype == np.float32
    where = {value.astype(np.float32).tobytes(): row for row, value in enumerate(values)}
    for got, numbers in ((found.train_features, found.train_labels), (found.test_features, found.test_labels)):
        rows = [where[value.tobytes()] for value in got]
        assert labels[rows].tolist() == numbers.tolist()
    assert len(found.train_labels) == (90 if parted else 78)
    np.testing.assert_allclose(found.mean, found.train_features.astype(float).mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.std, found.train_features.astype(float).std(axis=0), rtol=1e-9)


@pytest.mark.parametrize("values", [np.zeros((40, 3), int), np.zeros((40, 3, 2))])
def test_features_are_a_table_of_floats(make_dataset, tmp_path, values):
    table(tmp_path / "root/own.h5", {"features": values, "labels": TARGET})
    with pytest.raises(StageError, match=rf"features: found {values.dtype} .*, expected floats \(N, D\)"):
        make_dataset("features", path="own.h5")


# Values that lie elsewhere


def lying_elsewhere(path, secret):
    """Write a secret of an (8, 3) table, and a file whose values are that: linked, virtual, and in external storage."""
    with h5py.File(secret, "w") as file:
        file["features"] = np.ones((8, 3))
    raw = secret.with_suffix(".raw")
    raw.write_bytes(np.ones((8, 3)).tobytes())
    labels = [0, 1] * 4
    layout = h5py.VirtualLayout((8, 3), "f8")
    layout[:] = h5py.VirtualSource(str(secret), "features", (8, 3))
    with h5py.File(path.with_name("virtual.h5"), "w") as file:
        file.create_virtual_dataset("features", layout)
        file["labels"] = labels
    with h5py.File(path.with_name("external.h5"), "w") as file:
        file.create_dataset("features", (8, 3), "f8", external=[(str(raw), 0, h5py.h5f.UNLIMITED)])
        file["labels"] = labels
    with h5py.File(path.with_name("linked.h5"), "w") as file:
        file["features"] = h5py.ExternalLink(str(secret), "/features")
        file["labels"] = labels
    with h5py.File(path.with_name("soft.h5"), "w") as file:
        file["there"] = h5py.ExternalLink(str(secret), "/")
        file["features"] = h5py.SoftLink("/there/features")
        file["labels"] = labels
    with h5py.File(path.with_name("references.h5"), "w") as file:
        file["features"] = np.ones((8, 3))
        file.create_dataset("labels", data=[file["features"].ref] * 8, dtype=h5py.ref_dtype)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("virtual", "features: found values that lie in other files"),
        ("external", "features: found values that lie in other files"),
        ("linked", "expected features as well"),
        ("soft", "expected features as well"),
        ("references", "labels: found references or lists"),
    ],
)
def test_values_that_lie_in_other_files_are_refused(make_dataset, tmp_path, name, message):
    (tmp_path / "root").mkdir()
    lying_elsewhere(tmp_path / "root/x.h5", tmp_path / "secret.h5")
    with pytest.raises(StageError, match=message):
        make_dataset("features", path=f"{name}.h5")


@pytest.mark.parametrize("kind", ["fixed", "variable", "npz"])
def test_labels_that_are_no_text_are_one_line(make_dataset, tmp_path, kind):
    root = tmp_path / "root"
    root.mkdir()
    if kind == "npz":
        np.savez(root / "x.npz", features=np.ones((4, 2)), labels=np.array([b"a", b"\xff", b"a", b"a"]))
    else:
        dtype = {"fixed": "S2", "variable": h5py.string_dtype()}[kind]
        with h5py.File(root / "x.h5", "w") as file:
            file["features"] = np.ones((4, 2))
            file.create_dataset("labels", data=[b"a", b"\xff", b"a", b"a"], dtype=dtype)
    with pytest.raises(StageError, match=r"labels: found the label b'.*\\xff', expected text in UTF-8"):
        make_dataset("features", path=f"x.{'npz' if kind == 'npz' else 'h5'}")


# Files that a library cannot read, or only this one can


def packed_by(file, number):
    """Write images packed by an HDF5 filter that is not there."""
    layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    layout.set_chunk((8, 4, 5, 3))
    layout.set_filter(number, h5py.h5z.FLAG_OPTIONAL, (1,))
    space = h5py.h5s.create_simple((8, 4, 5, 3))
    h5py.h5d.create(file.id, b"images", h5py.h5t.NATIVE_UINT8, space, layout).write_direct_chunk(
        (0, 0, 0, 0), b"packed"
    )


STRANGE = {
    "a filter that is not there": (
        lambda file: packed_by(file, 32001),
        "images: found values packed by the HDF5 filter 32001",
    ),
    "labels without a value": (
        lambda file: file.update({"images": OWN[:8], "labels": h5py.Empty("S3")}),
        "labels: found nothing, expected integers or strings",
    ),
    "a key that is no text": (
        lambda file: file.update({b"\xff": OWN[:8]}),
        r"found labels, \\xff, expected images as well",
    ),
}


@pytest.mark.parametrize("case", STRANGE)
def test_what_cannot_be_read_is_one_line(make_dataset, tmp_path, case):
    write, message = STRANGE[case]
    (tmp_path / "root").mkdir()
    with h5py.File(tmp_path / "root/own.h5", "w") as file:
        write(file)
        if "labels" not in file:
            file["labels"] = TARGET[:8]
    with pytest.raises(StageError, match=message):
        make_dataset("arrays", path="own.h5")


def test_damage_anywhere_in_a_header_is_one_line(make_dataset, tmp_path):
    path = tmp_path / "root/own.h5"
    table(path, {"images": OWN, "labels": TARGET})
    whole, refused = path.read_bytes(), 0
    for place in range(8, 2400, 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x5B]) + whole[place + 1 :])
        try:
            tables.load(str(path), "images", arrays.understand, 0.2, 0)
        except StageError:
            refused += 1
    assert refused > 50


def test_a_file_may_have_a_block_of_its_maker_s_before_it(make_dataset, tmp_path):
    table(tmp_path / "root/own.h5", {"images": OWN, "labels": TARGET})
    content = (tmp_path / "root/own.h5").read_bytes()
    (tmp_path / "root/own.mat").write_bytes(b"MATLAB 7.3".ljust(512, b"\0") + content)
    found, expected = (make_dataset("arrays", path=f"own.{ending}") for ending in ("mat", "h5"))
    np.testing.assert_array_equal(found.train_images, expected.train_images)
