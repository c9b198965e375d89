"""A user's own images from the folder to what to label next, and the data that a workflow fetches first."""

import http.server
import os
import re
import shutil
import threading

import numpy as np
import pytest
import yaml
from conftest import ROOT, Project
from PIL import Image

BLOCKS = re.findall(r"```(\w+)\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)


@pytest.fixture
def cells(tmp_path):
    """A project with the README's study of own images, in a small form."""
    rng = np.random.default_rng(0)
    for folder, count, level in (("healthy", 25, 60), ("infected", 25, 160), ("unlabeled", 30, 110)):
        (tmp_path / "data/cells" / folder).mkdir(parents=True)
        for number in range(count):
            pixels = rng.normal(level, 30, (12, 10, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / f"data/cells/{folder}/{number}.png")
    (study,) = [yaml.safe_load(text) for language, text in BLOCKS if language == "yaml" and "study: cells" in text]
    study["datasets"]["cells"]["size"] = 10
    study |= {"data_root": str(tmp_path / "data"), "initial_size": 40, "budget": 10}
    study["learners"] = {"resnet18": {"network": "small_cnn", "training": {"recipe": "fast", "epochs": 10}}}
    return Project.new(tmp_path / "p", study), study


def test_own_images_to_what_to_label_next(cells, tmp_path, monkeypatch):
    project, _ = cells
    project.snakemake("--cores", "2")
    _, text = [text for language, text in BLOCKS if language == "python" and text.startswith("import h5py")]
    monkeypatch.chdir(project.folder)
    names = {}
    exec(text.replace("-50", "-10"), names)
    assert len(set(names["files"])) == 10
    assert all((tmp_path / "data/cells" / name).exists() for name in names["files"])
    assert any(name.startswith("unlabeled/") for name in names["files"])

    assert project.planned() == set()
    everything = {"cells/dataset.h5", "cells/pool/seed0.h5", "curves.csv"}
    (tmp_path / "data/cells/healthy/3.png").unlink()
    assert everything <= project.planned()
    shutil.copy2(tmp_path / "data/cells/healthy/4.png", tmp_path / "data/cells/healthy/3.png")
    assert everything <= project.planned()


def test_moved_data_rerun_nothing_and_missing_data_are_named(cells, tmp_path):
    project, study = cells
    project.snakemake("--cores", "2", "results/cells/cells/pool/seed0.h5")
    os.rename(tmp_path / "data", tmp_path / "elsewhere")
    output = project.snakemake("--cores", "1", fails=True)
    assert f"datasets.cells.path: found nothing at {tmp_path}/data/cells, expected a file or folder there" in output
    assert "Traceback" not in output
    assert (project.folder / "results/cells/cells/dataset.h5").exists()
    project.configure(study, data_root=str(tmp_path / "elsewhere"))
    assert "cells/dataset.h5" not in project.planned()


SERVED = '''"""Noise that a server has."""

import numpy as np

from poolflow.files import File


def files():
    return [File("noise.npy", ("{url}",), "{md5}")]


def load(root):
    labels = np.arange(60) % 2
    images = np.load(f"{{root}}/noise.npy") + 90 * labels[:, None, None, None].astype("u1")
    return {{"train": (images, labels), "test": (images, labels), "classes": ["a", "b"]}}
'''


def test_published_files_are_fetched_first_and_once(tmp_path):
    import hashlib

    (tmp_path / "www").mkdir()
    np.save(tmp_path / "www/noise.npy", np.random.default_rng(0).integers(0, 99, (60, 8, 8, 1), dtype=np.uint8))
    md5 = hashlib.md5((tmp_path / "www/noise.npy").read_bytes()).hexdigest()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), lambda *a: Quiet(*a, directory=tmp_path / "www"))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    project = Project.new(tmp_path / "p")
    url = f"http://127.0.0.1:{server.server_port}/noise.npy"
    project.write("workflow/poolflow/datasets/served.py", SERVED.format(url=url, md5=md5))
    project.configure(datasets=["served"], strategies=["random"], initial_pools=["random"], cycles=1)
    project.snakemake("--cores", "2")
    server.shutdown()
    server.server_close()
    assert (project.folder / "data/noise.npy").exists()
    assert project.planned() == set()
    # The checksum says what was fetched, not the moment or the code that fetched it.
    project.edit("workflow/poolflow/download.py", "ATTEMPTS = 5", "ATTEMPTS = 4")
    assert project.planned() == {"served/source.json"}
    project.snakemake("--cores", "1")
    assert project.planned() == set()
    shutil.rmtree(project.folder / "data")
    for name in ("source.json", "dataset.h5"):
        (project.folder / "results/tiny/served" / name).unlink()
    output = project.snakemake("--cores", "1", "results/tiny/served/dataset.h5", fails=True)
    assert "noise.npy cannot be downloaded" in output
    assert f"put it in data/noise.npy (MD5 {md5})" in output
    assert "Traceback" not in output
