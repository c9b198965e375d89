"""What may not run code: files that jobs read, and files that lie where a study runs."""

import ast
import os
import pickle
import re
import subprocess
import sys

import pytest
import torch
from conftest import ROOT

from poolflow.job import Damaged
from poolflow.training import weights

CHAIN = "results/tiny/digits/small_cnn/random/entropy/seed0/cycle1/metrics.json"


class Harm:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch '{self.path}'",)


@pytest.mark.parametrize("switch", [None, "1"])
def test_a_model_that_would_run_code_runs_none(tmp_path, monkeypatch, switch):
    if switch:
        monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", switch)
    harm = {"states": [{"w": Harm(tmp_path / "ran")}], "provenance": {}}
    torch.save(harm, tmp_path / "zip.pt")
    torch.save(harm, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    (tmp_path / "pickle.pt").write_bytes(pickle.dumps(harm))
    for name in ("zip.pt", "old.pt", "pickle.pt"):
        with pytest.raises(Damaged, match=rf"{name} is damaged or no model"):
            weights.load(tmp_path / name, "cpu")
    assert not (tmp_path / "ran").exists()


def calls(text, name):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(name):
            yield ast.unparse(node)


def test_nothing_is_read_in_a_way_that_runs_code():
    for path in (ROOT / "workflow").rglob("*.py"):
        text = path.read_text("utf-8")
        for call in calls(text, "torch.load"):
            assert "weights_only=True" in call, path
        for call in calls(text, "np.load"):
            assert "allow_pickle=False" in call, path
        for call in calls(text, "yaml.load"):
            assert "LOADER" in call, path
        if path.name != "_torchvision.py":  # it reads published files, their checksums verified before
            assert not re.search(r"\bpickle\.loads?\b|\beval\(|\bexec\(", text.replace(".eval()", "")), path


@pytest.mark.parametrize("warm", ["1", "0"])
def test_modules_that_lie_where_a_study_runs_are_not_taken_for_libraries(finished, tmp_path, warm):
    project = finished.copy(tmp_path / "p")
    chain = project.folder / os.path.dirname(CHAIN)
    for module in ("numpy", "json", "torch", "h5py", "yaml", "poolflow", "pandas", "tqdm"):
        project.write(f"{module}.py", f"open({str(tmp_path / 'taken')!r}, 'w').write({module!r})\n")
    for path in chain.iterdir():
        path.unlink()
    program = f"{os.path.dirname(sys.executable)}/snakemake"
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"POOLFLOW_WARM": warm}
    done = subprocess.run(
        [program, "--cores", "1", CHAIN],
        cwd=project.folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "taken").exists()
    assert (project.folder / CHAIN).exists()
    plan = [sys.executable, "-P", "-m", "poolflow", "plan"]
    done = subprocess.run(plan, cwd=project.folder, env=environment | {"PYTHONPATH": "workflow"}, check=False)
    assert done.returncode == 0
    assert not (tmp_path / "taken").exists()


def test_text_of_a_config_is_no_text_of_a_shell(finished, tmp_path):
    project = finished.copy(tmp_path / "p")
    harm = f"x'; touch {tmp_path / 'ran'}; \"$(touch {tmp_path / 'ran'})`touch {tmp_path / 'ran'}` {{x}}"
    project.configure(data_root=harm, figures={"title": harm, "dpi": 60})
    project.snakemake("--cores", "1")
    assert not (tmp_path / "ran").exists()
