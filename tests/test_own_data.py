"""A user's own images from the folder to what to label next, and the data that a workflow fetches first."""

import copy
import http.server
import os
import re
import shutil
import threading

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import ROOT, Project
from helpers import md5, report
from PIL import Image

from poolflow.figures import learning_curves
from poolflow.study.config import check

BLOCKS = re.findall(r"```(\w+)\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)


STUDIES = {study["study"]: study for study in (yaml.safe_load(text) for name, text in BLOCKS if name == "yaml")}


@pytest.fixture
def cells(tmp_path):
    """A project, and a folder of 40 images without a label."""
    rng = np.random.default_rng(0)
    (tmp_path / "data/cells").mkdir(parents=True)
    for number in range(40):
        pixels = rng.normal(60 + 100 * (number % 2), 30, (12, 10, 3)).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"data/cells/{number:02}.png")
    return Project.new(tmp_path / "p"), tmp_path / "data"


def small(name, data, **changes):
    """Return a study of the README in a small form."""
    study = copy.deepcopy(STUDIES[name]) | {"data_root": str(data)} | changes
    study["datasets"]["cells"]["size"] = 10
    return study | {"learners": {"resnet18": {"network": "small_cnn", "training": {"epochs": 3}}}}


def label(data, files):
    """Move images into the folders of their classes."""
    for file in files:
        folder = data / "cells" / ("healthy", "ill")[int(file.removesuffix(".png")) % 2]
        folder.mkdir(exist_ok=True)
        (data / "cells" / file).rename(folder / file)


def counted(output):
    """Return the rules whose jobs Snakemake counts."""
    return set(re.findall(r"^(\w+) +\d+$", output, flags=re.MULTILINE)) - {"total"}


def asked(project, name, chain, cycle):
    """Return what a cycle asks for by its labeled.h5: data-set rows, scores, names and labels."""
    folder = project.folder / f"results/{name}/cells"
    with h5py.File(folder / f"resnet18/{chain}/seed0/cycle{cycle}/labeled.h5") as file:
        last = file["cycle"][:] == cycle
        rows, scores = file["indices"][:][last], file["score"][:][last]
    with h5py.File(folder / "pool/seed0.h5") as file:
        rows = file["indices"][:][rows]
    with h5py.File(folder / "dataset.h5") as file:
        return scores, file["train/names"].asstr()[:][rows].tolist(), file["train/labels"][:][rows].tolist()


def test_from_no_label_to_what_to_label_next(cells, tmp_path):
    project, data = cells
    # First: nothing is trained but the pretext task.
    project.configure(small("cells-first", data, initial_size=8, pretext={"simclr": {"epochs": 1, "negatives": 20}}))
    project.snakemake("to_label", "--cores", "2")
    table = pd.read_csv(project.folder / "results/cells-first/to_label.csv", dtype={"file": str})
    assert list(table.columns) == ["dataset", "initial_pool", "seed", "rank", "file", "score", "label"]
    assert table[["dataset", "initial_pool", "seed"]].drop_duplicates().values.tolist() == [["cells", "typiclust", 0]]
    assert table["rank"].tolist() == list(range(1, 9))
    scores, names, labels = asked(project, "cells-first", "typiclust", 0)
    assert table.file.tolist() == names
    assert set(names) <= {f"{number:02}.png" for number in range(40)}
    np.testing.assert_allclose(table.score, scores, rtol=1e-5)
    assert labels == [-1] * 8
    assert table.label.isna().all()
    assert (project.folder / "results/cells-first/figures/cells/pools/first_typiclust.png").exists()
    assert not project.files("cells/**/metrics.json")

    # Next, before there is a label, and after.
    study = small("cells-next", data, budget=3)
    project.configure(study)
    output = project.snakemake("to_label", "--cores", "2", fails=True)
    assert "initial_size: 0 takes all images that have a label, but none has" in output
    assert "Traceback" not in output
    label(data, names)
    project.snakemake("to_label", "--cores", "2")
    results = project.folder / "results/cells-next"
    table = pd.read_csv(results / "to_label.csv", dtype={"file": str}).set_index("strategy")
    chain = ["dataset", "learner", "initial_pool", "strategy", "seed"]
    assert (results / "to_label.csv").read_text().split("\n")[0] == ",".join([*chain, "rank", "file", "score", "label"])
    for strategy in ("margin", "coreset"):
        scores, following, labels = asked(project, "cells-next", f"given/{strategy}", 1)
        assert table.loc[strategy].file.tolist() == following
        assert len(following) == 3
        assert all((data / "cells" / file).exists() for file in following)
        assert labels == [-1] * 3
        assert (results / f"figures/cells/resnet18/to_label/given/{strategy}.png").exists()
    assert sorted(asked(project, "cells-next", "given", 0)[1]) == sorted(
        f"{('healthy', 'ill')[int(file[:2]) % 2]}/{file}" for file in names
    )
    # The last cycle's networks are not trained for it.
    assert [str(path.relative_to(results / "cells")) for path in results.rglob("metrics.json")] == [
        "resnet18/given/seed0/cycle0/metrics.json"
    ]
    # A label that is there already is in the table.
    shutil.copytree(results, tmp_path / "copy")
    given = pd.read_csv(report(check(study | {"cycles": 0}), tmp_path / "copy", "tables", "to_label"))
    assert len(given) == 8
    assert (given.label == given.file.str.split("/").str[0]).all()

    assert "Nothing to be done" in project.snakemake("to_label", "-n")
    label(data, table.loc["margin"].file)
    again = {"dataset", "pool", "initial_pool", "train", "predict", "acquire", "table", "figure"}
    assert counted(project.snakemake("to_label", "-n")) == again | {"to_label"}
    # Without a test set there is nothing to draw; all else is made.
    output = project.snakemake("--cores", "2", "--keep-going", fails=True)
    assert "found no test_accuracy, as there are no such images; write another figures.metric" in output
    assert "Traceback" not in output
    hard = pd.read_csv(results / "hard_classes.csv")
    assert hard.compared.tolist() == [0, 0]
    assert hard.chance.isna().all()
    table = pd.read_csv(results / "to_label.csv")
    assert not set(table.file) & {path.name for path in (data / "cells").rglob("*/*.png")}


def test_a_training_without_any_label_says_what_to_do(cells):
    project, data = cells
    project.configure(small("cells-first", data, initial_pools=["random"], strategies=["margin"], cycles=1))
    output = project.snakemake("to_label", "--cores", "2", fails=True)
    assert "none of the 20 images to learn from has a label; label those of to_label.csv" in output
    assert "Traceback" not in output


def test_no_cycles_draw_the_initial_pools_alone(finished, tmp_path):
    project = finished.copy(tmp_path / "p")
    project.configure(cycles=0)
    (project.folder / "results/tiny/hard_classes.csv").unlink()
    shutil.rmtree(project.folder / "results/tiny/figures")
    output = project.snakemake("--cores", "2")
    assert counted(output) == {"table", "figure", "report", "all"}
    assert not (project.folder / "results/tiny/hard_classes.csv").exists()
    assert not (project.folder / "results/tiny/figures/digits/small_cnn/overlap_cycles.png").exists()
    table = pd.read_csv(project.folder / "results/tiny/curves.csv")
    assert len(table) == 2 * 4
    assert (table.cycle == 0).all()
    assert set(project.files("figures/digits/small_cnn/*")) == {
        f"figures/digits/small_cnn/{name}.png" for name in ("by_pool", "by_strategy")
    }
    figure = learning_curves.curves(table, "strategy", "initial_pool", "test_accuracy", "digits")
    assert [text.get_text() for text in figure.axes[-1].get_xticklabels()] == ["random", "kmeans"]
    assert project.planned() == set()
    project.snakemake("--cores", "1", "results/tiny/figures/digits/small_cnn/by_pool.svg")
    assert "initial pool" in (project.folder / "results/tiny/figures/digits/small_cnn/by_pool.svg").read_text()
    output = project.snakemake("to_label", "--cores", "1", fails=True)
    assert "no data set of the study knows the files of its images" in output


def test_moved_data_rerun_nothing_and_missing_data_are_named(cells, tmp_path):
    project, data = cells
    study = small("cells-first", data)
    project.configure(study)
    project.snakemake("--cores", "2", "results/cells-first/cells/pool/seed0.h5")
    os.rename(tmp_path / "data", tmp_path / "elsewhere")
    output = project.snakemake("--cores", "1", fails=True)
    assert f"datasets.cells.path: found nothing at {tmp_path}/data/cells, expected a file or folder there" in output
    assert "Traceback" not in output
    assert (project.folder / "results/cells-first/cells/dataset.h5").exists()
    project.configure(study, data_root=str(tmp_path / "elsewhere"))
    assert "cells/dataset.h5" not in project.planned()


SERVED = '''"""Noise that a server has."""

import numpy as np

from poolflow.data.published import File


def files(shift=0):
    return [File("noise.npy", ("{url}",), "{md5}")]


def load(root, shift: int = 0):
    labels = (np.arange(60) + shift) % 2
    images = np.load(f"{{root}}/noise.npy") + 90 * labels[:, None, None, None].astype("u1")
    return {{"train": (images, labels), "test": (images, labels), "classes": ["a", "b"]}}
'''


def test_published_files_are_fetched_first_and_once(tmp_path):
    (tmp_path / "www").mkdir()
    np.save(tmp_path / "www/noise.npy", np.random.default_rng(0).integers(0, 99, (60, 8, 8, 1), dtype=np.uint8))
    checksum = md5((tmp_path / "www/noise.npy").read_bytes())

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), lambda *a: Quiet(*a, directory=tmp_path / "www"))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    project = Project.new(tmp_path / "p")
    url = f"http://127.0.0.1:{server.server_port}/noise.npy"
    project.write("workflow/poolflow/datasets/served.py", SERVED.format(url=url, md5=checksum))
    project.configure(datasets=["served"], strategies=["random"], initial_pools=["random"], cycles=1)
    project.snakemake("--cores", "2")
    server.shutdown()
    server.server_close()
    assert (project.folder / "data/noise.npy").exists()
    assert project.planned() == set()
    # What is fetched with other parameters is read with them.
    tiny = {"strategies": ["random"], "initial_pools": ["random"], "cycles": 1}
    project.configure(datasets={"served": {"shift": 1}}, **tiny)
    assert {"served/source.json", "served/dataset.h5", "curves.csv"} < project.planned()
    project.configure(datasets=["served"], **tiny)
    # The checksum says what was fetched, not the moment or the code that fetched it.
    project.edit("workflow/poolflow/data/fetching.py", "ATTEMPTS = 5", "ATTEMPTS = 4")
    assert project.planned() == set()
    shutil.rmtree(project.folder / "data")
    for name in ("source.json", "dataset.h5"):
        (project.folder / "results/tiny/served" / name).unlink()
    output = project.snakemake("--cores", "1", "results/tiny/served/dataset.h5", fails=True)
    assert "noise.npy cannot be downloaded" in output
    assert f"put it in data/noise.npy (MD5 {checksum})" in output
    assert "Traceback" not in output
