"""Every stage in its conda environment, through Snakemake: with a stand-in for conda, and with conda itself."""

import json
import os
import re
import shutil

import conda_stand_in
import h5py
import numpy as np
import pytest
import timm
import yaml
from conftest import TINY, Project
from helpers import md5
from safetensors.torch import save_file
from test_environment import ENVIRONMENTS, RULES

# A published data set whose images have names, so that `download` and `to_label` have something to do.
STRIPES = '''"""Stripes, upright or lying, from a file."""

import numpy as np

from poolflow.data.published import File

NAMES = True


def files():
    return [File("stripes.npy", ("http://localhost/stripes.npy",), "{md5}")]


def load(root):
    images = np.load(f"{{root}}/stripes.npy")
    labels = np.arange(len(images)) % 2
    data = {{"train": (images, labels), "test": (images[:20], labels[:20])}}
    names = {{part: [f"{{row}}.png" for row in range(len(rows))] for part, (rows, _) in data.items()}}
    return data | {{"classes": ["lying", "upright"], "names": names}}
'''
# The least in which every rule has a job.
MODEL = "test_resnet.r160_in1k"
STUDY = TINY | {
    "datasets": ["stripes"],
    "learners": {"small_cnn": {}, "linear": {"features": "net"}},
    "strategies": ["entropy"],
    "pretext": TINY["pretext"] | {"net": {"task": "pretrained", "model": MODEL, "size": 32}},
    "cycles": 1,
    "training": {"epochs": 1},
}


def new_project(folder):
    """Return a project with the study and its data."""
    project = Project.new(folder, STUDY)
    upright = np.tile([0, 200], (8, 4))
    images = np.array([upright if row % 2 else upright.T for row in range(60)])
    images = (images + np.random.default_rng(0).integers(0, 50, images.shape)).astype(np.uint8)[..., None]
    (project.folder / "data").mkdir()
    np.save(project.folder / "data/stripes.npy", images)
    (project.folder / "data/pretrained").mkdir()
    state = {name: value.contiguous() for name, value in timm.create_model(MODEL).state_dict().items()}
    save_file(state, project.folder / f"data/pretrained/{MODEL}.safetensors")
    checksum = md5((project.folder / "data/stripes.npy").read_bytes())
    project.write("workflow/poolflow/datasets/stripes.py", STRIPES.format(md5=checksum))
    return project


def check(project, output):
    """Check that every stage of the rules ran, each job in an environment and with its versions."""
    jobs = re.findall(r"python -m poolflow (\w+)", output)
    assert set(jobs) == {stage[1] for _, _, stage in RULES}
    assert output.count("Activating conda environment: .snakemake/conda/") == len(jobs)
    for environment, file in {"training": "stripes/dataset.h5", "analysis": "stripes/pool/seed0.h5"}.items():
        section = yaml.safe_load((project.folder / f"envs/{environment}.yaml").read_text())["dependencies"][-1]["pip"]
        with h5py.File(project.folder / "results/tiny" / file) as result:
            versions = json.loads(result.attrs["versions"])
        assert {f"{name}=={versions[name]}" for name in ("h5py", "numpy")} <= set(section)


def test_every_stage_runs_with_nothing_but_what_its_environment_names(tmp_path, monkeypatch):
    conda_stand_in.install(tmp_path / "conda")
    monkeypatch.setenv("PATH", f"{tmp_path}/conda/bin:{os.defpath}")  # and no Python with packages
    project = new_project(tmp_path / "project")
    output = project.snakemake("--cores", "2", "--use-conda", "--printshellcmds")
    check(project, output)
    assert project.planned() == set()  # without conda as well
    for name in ENVIRONMENTS:
        project.edit(f"envs/{name}.yaml", "      - h5py==", "      # - h5py==")
    pool = "results/tiny/stripes/pool/seed0.h5"
    (project.folder / pool).unlink()
    output = project.snakemake("--cores", "1", "--use-conda", pool, fails=True)
    assert "ModuleNotFoundError: No module named 'h5py'" in output


@pytest.mark.skipif(not shutil.which("conda"), reason="no conda on the PATH: the environments are not solved")
def test_the_environments_of_a_real_conda(tmp_path, monkeypatch):
    project = new_project(tmp_path / "project")
    python = yaml.safe_load((project.folder / "envs/training.yaml").read_text())["dependencies"][0]
    # What the user has installed otherwise is not seen.
    site = tmp_path / f"user/lib/{python.replace('=', '')}/site-packages"
    site.mkdir(parents=True)
    (site / "threadpoolctl.py").write_text("raise ImportError('not the one of the environment')\n")
    monkeypatch.setenv("PYTHONUSERBASE", str(tmp_path / "user"))
    process = project.start("--cores", "2", "--use-conda", "--printshellcmds")
    output, _ = process.communicate(timeout=3600)
    assert process.returncode == 0, output
    check(project, output)


def test_apptainer_without_conda_is_refused(tmp_path):
    project = Project.new(tmp_path / "project")
    output = project.snakemake("-n", "--software-deployment-method", "apptainer", fails=True)
    assert "found apptainer, expected conda apptainer" in output
    assert "Traceback" not in output
