"""Damaged files: whichever bit changes and wherever a file is cut, its reader says so, or reads what was written."""

import fcntl
import re

import h5py
import numpy as np
import pytest
from helpers import write_h5
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import write_labeled

from poolflow.data import store
from poolflow.data.candidates import Candidates
from poolflow.data.labeled import read_labeled
from poolflow.data.rows import take
from poolflow.job import Damaged, Job, StageError
from poolflow.results import read_table
from poolflow.training import weights

JOB = Job("train", "digits/random/seed0", {"seed": 3, "name": "ä"}, "abc")


def content_of_hdf5(path):
    found = {}
    with store.read(path) as file:
        found |= {f"@{name}": repr(value) for name, value in file.attrs.items()}
        file.visititems(lambda name, item: found.update({name: item[()].tobytes()} if hasattr(item, "shape") else {}))
    return found


def content_of_model(path):
    return [{key: values.tolist() for key, values in state.items()} for state in weights.load(path, "cpu")]


FILES = {
    "dataset.h5": content_of_hdf5,
    "pool/seed0.h5": content_of_hdf5,
    "pretext/simclr/seed0/features.h5": content_of_hdf5,
    "pretext/kmeans/seed0/clusters.h5": content_of_hdf5,
    "pretext/simclr/seed0/tsne.h5": content_of_hdf5,
    "small_cnn/random/seed0/cycle0/labeled.h5": content_of_hdf5,
    "small_cnn/random/seed0/cycle0/probs.h5": content_of_hdf5,
    "small_cnn/random/seed0/cycle0/model.pt": content_of_model,
    "small_cnn/random/seed0/cycle0/metrics.json": lambda path: store.read_json(path) | {"seconds": 0},
}


@pytest.mark.parametrize("name", FILES)
def test_whichever_bit_changes_it_is_said_or_means_nothing(study, tmp_path, name):
    whole, read = (study / name).read_bytes(), FILES[name]
    expected, path = read(study / name), tmp_path / "file"
    rng, found = np.random.default_rng(0), 0
    for place in rng.choice(len(whole), 150, replace=False).tolist():
        broken = bytearray(whole)
        broken[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(broken)
        try:
            same = read(path) == expected  # a byte that nothing reads
        except Damaged as error:
            same, found = str(path) in str(error), found + 1
        assert same, place
    assert found >= 50


@pytest.mark.parametrize("name", FILES)
def test_wherever_it_is_cut_it_is_said(study, tmp_path, name):
    whole, path = (study / name).read_bytes(), tmp_path / "file"
    for size in sorted({0, 1, 100, 1000, len(whole) // 2, len(whole) - 1000, len(whole) - 1} & set(range(len(whole)))):
        path.write_bytes(whole[:size])
        with pytest.raises(Damaged, match=str(path)):
            FILES[name](path)


@pytest.mark.parametrize("name", FILES)
def test_another_file_in_its_place_is_said(study, tmp_path, name):
    kind = name.partition(".")[2]
    for other in FILES:
        if other.partition(".")[2] != kind:
            with pytest.raises(Damaged, match=str(study / other)):
                FILES[name](study / other)
    for content in (b"{}", b"[]", b"null", b"\x80\x04.", b"PK\5\6" + bytes(18)):
        (tmp_path / "file").write_bytes(content)
        with pytest.raises(Damaged):
            FILES[name](tmp_path / "file")
    with pytest.raises(Damaged, match="no is missing"):
        FILES[name](tmp_path / "no")
    with pytest.raises(StageError, match=r"cannot read .*Is a directory"):
        FILES[name](tmp_path)


@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=40), number=st.floats(allow_nan=False))
def test_any_text_comes_back_from_json_and_from_hdf5(tmp_path_factory, text, number):
    folder = tmp_path_factory.mktemp("any")
    store.write_json(folder / "a.json", JOB, {"text": text, "number": number})
    assert store.read_json(folder / "a.json")["text"] == text
    with store.create(folder / "a.h5", JOB) as file:
        store.put(file, "texts", store.fixed([text, "b"]))
    with store.read(folder / "a.h5") as file:
        expected = text.encode("utf-8", "backslashreplace").decode().rstrip("\0")
        assert file["texts"].asstr()[:].tolist() == [expected, "b"]


def test_every_data_set_has_a_checksum_and_no_text_lies_where_none_is(finished):
    for path in (finished.folder / "results").rglob("*.h5"):
        with h5py.File(path) as file:
            sets = []
            file.visititems(lambda name, item, sets=sets: sets.append(item) if isinstance(item, h5py.Dataset) else None)
            assert all(item.fletcher32 for item in sets if item.size), path
            types = [item.dtype for item in sets] + [file.attrs.get_id(name).dtype for name in file.attrs]
            assert not any(h5py.check_vlen_dtype(kind) or kind.kind == "O" for kind in types), path


def test_a_file_is_read_where_the_file_system_has_no_locks(study, monkeypatch):
    monkeypatch.setenv("HDF5_USE_FILE_LOCKING", "TRUE")
    path = study / "small_cnn/random/seed0/cycle0/labeled.h5"
    with open(path, "rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(OSError, match="unable to lock file"):
            h5py.File(path)
        with store.read(path) as file:
            assert len(file["indices"]) == 10


# Rows that cannot be


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"indices": [0, 1, 60]}, "found row 60, expected 0..59"),
        ({"indices": [-1, 1, 2]}, "found row -1"),
        ({"indices": [1, 2, 1]}, "found 1 rows twice"),
        ({"indices": [0.0, 1.0, 2.0]}, "expected integers (L,) with a score and a cycle each"),
        ({"indices": [0, 1]}, "expected integers (L,) with a score and a cycle each"),
        ({"indices": np.arange(0), "score": [], "cycle": np.arange(0)}, "found no rows"),
        ({"indices": 3, "score": 1.0, "cycle": 0}, "expected integers (L,)"),
        ({"score": [0.1, np.nan, 0.2]}, "scores that are not finite"),
        ({"cycle": [0, 1, 0]}, "found cycles 0..0, expected 0, 1, ... in order"),
        ({"cycle": [0, 0, 2]}, "found cycles 0..2, expected 0, 1, ... in order"),
        ({"cycle": [1, 1, 1]}, "found cycles 1..1, expected 0, 1, ... in order"),
        ({"cycle": [0.0, 0.0, 0.0]}, "expected integers (L,)"),
    ],
)
def test_a_labelled_set_that_cannot_be(tmp_path, change, message):
    good = {"indices": [0, 1, 2], "score": [0.1, 0.2, 0.3], "cycle": [0, 0, 1]}
    path = write_h5(tmp_path / "labeled.h5", **{key: np.array(value) for key, value in (good | change).items()})
    with pytest.raises(Damaged, match=rf"labeled\.h5: .*{re.escape(message)}"):
        read_labeled(path, 60)


def test_every_stage_that_reads_a_labelled_set_refuses_it(stage, study, cycle0, tmp_path):
    from conftest import TRAIN, TRAINING

    broken = write_labeled(tmp_path / "labeled.h5", [0, -1, 5])
    inputs = cycle0 | {"labeled": broken}
    select = {"strategy": "random", "parameters": {}, "budget": 2, "seed": 0, "threads": 1}
    files = {"model": tmp_path / "m.pt", "metrics": tmp_path / "m.json"}
    features = study / "pretext/simclr/seed0/features.h5"
    for done in (
        stage("acquire", select, **inputs, out=tmp_path / "o.h5"),
        stage("train", TRAIN | {"training": TRAINING}, **inputs, **files),
        stage("tsne", {"rows": 9, "seed": 0}, pool=cycle0["pool"], features=features, labeled=broken, out="o.h5"),
    ):
        assert done.returncode == 1
        assert "labeled.h5: found row -1, expected 0.." in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("change", [{"flip": [0]}, {"indices": [0.5, 1]}, {"validation": [1]}, {"indices": []}])
def test_a_pool_that_cannot_be(tmp_path, change):
    good = {"indices": [0, 1], "flip": [False] * 2, "given": [False] * 2, "validation": [2]}
    attributes = {"classes": 2, "class_ids": [0, 1], "noise": 0.0, "noise_seed": 0}
    arrays = {key: np.array(value) for key, value in (good | change).items()}
    with pytest.raises(Damaged, match=r"p\.h5: "):
        Candidates(write_h5(tmp_path / "p.h5", attributes, **arrays))


@pytest.mark.parametrize("rows", [[-1], [0, 5]])
def test_rows_that_an_array_does_not_have(tmp_path, rows):
    path = write_h5(tmp_path / "a.h5", values=np.arange(5))
    with store.read(path) as file, pytest.raises(Damaged, match=r"a\.h5: /values has 5 rows; another file asks for"):
        take(file["values"], rows)


def test_the_weights_of_another_network(study):
    from poolflow.training import networks

    path = study / "small_cnn/random/seed0/cycle0/model.pt"
    config = {"network": "small_cnn", "parameters": {"width": 3}}
    with pytest.raises(Damaged, match=r"model\.pt holds the weights of another network \(.*size mismatch"):
        weights.give(networks.build(config, (8, 8, 1), 10), weights.load(path, "cpu")[0], path)


# Tables


def test_a_table_that_is_cut_anywhere(finished, tmp_path):
    whole, path = (finished.folder / "results/tiny/curves.csv").read_bytes(), tmp_path / "curves.csv"
    rows = len(read_table(finished.folder / "results/tiny/curves.csv"))
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        if whole[:size].endswith(b"\n") and whole[:size].count(b"\n") > 1:
            assert len(read_table(path)) < rows
        else:
            with pytest.raises(Damaged, match=r"curves\.csv is no whole table"):
                read_table(path)


@pytest.mark.parametrize("lines", [1, 2, 7, -1])
def test_a_table_that_lacks_rows_is_not_drawn(toy, lines):
    toy.table("curves")
    path = toy.root / "curves.csv"
    whole = path.read_text().splitlines(keepends=True)
    path.write_text("".join(whole[:lines]))
    with pytest.raises(Damaged, match=r"curves\.csv(: found| is no whole table)"):
        from helpers import report

        report(toy.study(), toy.root, "figures", "toy/net/by_strategy", "png")
    assert not (toy.root / "figures/toy/net/by_strategy.png").exists()
