"""The README's plugins and its study run as they stand there."""

import re

import yaml
from conftest import ROOT, TINY, Project

from poolflow.study.config import check

BLOCKS = re.findall(r"```(\w+)\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)


def test_the_plugins_run(tmp_path):
    project = Project.new(tmp_path / "p")
    plugins = [text for language, text in BLOCKS if language == "python" and text.startswith("# workflow/")]
    assert len(plugins) == 2
    for text in plugins:
        project.write(text.split("\n")[0].removeprefix("# "), text)
    soft = {"soft_5": {"strategy": "soft_margin", "temperature": 5.0}}
    study = {"datasets": ["stripes"], "initial_pools": ["random"], "strategies": soft, "cycles": 1}
    project.configure(**study, training={"epochs": 20})
    project.snakemake("--cores", "2")
    rows = (project.folder / "results/tiny/curves.csv").read_text().splitlines()
    assert len(rows) == 1 + 2
    assert all(row.startswith("stripes,small_cnn,") for row in rows[1:])
    assert (project.folder / "results/tiny/figures/stripes/small_cnn/by_pool.png").stat().st_size > 10_000
    # The pool's size was not known beforehand: the stage that runs out of images says so.
    project.configure(**study, budget=50)
    output = project.snakemake("--cores", "2", fails=True)
    assert "budget: found 10 labels and 1 more cycles of 50, expected at most the 54 images in the pool" in output


def test_the_studies_are_valid():
    blocks = [yaml.safe_load(text) for language, text in BLOCKS if language == "yaml"]
    studies = {study["study"]: study for study in blocks}
    assert list(studies) == ["my-study", "settings", "pretrained", "cells-first", "cells-next"]
    assert check(studies["my-study"])["learners"]["wide"]["training"]["epochs"] == 60
    assert check(studies["settings"])["datasets"]["mirrored"]["pool"]["validation"] == 0.2
    assert check(studies["pretrained"])["learners"]["probe"]["features"] == "dino"
    page = (ROOT / "docs/pretrained.md").read_text()
    (text,) = re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)
    assert check(yaml.safe_load(text))["strategies"]["herding"]["pretext"] == "net"
    parameters = {"path": "cells", "size": 64, "classes": ["healthy", "ill"]}
    assert check(studies["cells-first"])["datasets"]["cells"]["parameters"] == parameters
    assert check(studies["cells-next"])["datasets"]["cells"]["parameters"] == parameters | {"test_fraction": 0}


def test_the_notebook_s_lines_read_the_labelled_images(finished, monkeypatch):
    (text,) = [text for language, text in BLOCKS if language == "python" and text.startswith("import h5py")]
    assert len(text.strip().splitlines()) == 5  # the import, and three lines
    monkeypatch.chdir(finished.folder)
    for old, new in (("results/digits/", "results/tiny/"), ("margin", "entropy"), ("cycle3", "cycle2")):
        text = text.replace(old, new)
    names = {}
    exec(text, names)
    assert names["images"].shape == (TINY["initial_size"] + 2 * TINY["budget"], 8, 8, 1)


def test_the_tables_of_plugins_are_made_from_their_files():
    from poolflow.study import catalogue, plugins

    page = (ROOT / "docs/plugins.md").read_text()
    assert page == catalogue.page(), "run: PYTHONPATH=workflow python -m poolflow.study.catalogue > docs/plugins.md"
    for name in plugins.names("strategies"):
        _, text = catalogue.docstring("strategies", name)
        assert catalogue.cost(text), f"{name}: a strategy's docstring says `Cost: ...`"
        assert catalogue.reference(text), f"{name}: a strategy's docstring says where it is from"
