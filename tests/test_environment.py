"""One set of versions: requirements.txt, the conda environments, and what the stages import."""

import ast
import re
import sys

import pytest
import yaml
from conftest import ROOT

PINNED = dict(re.findall(r"^([\w.-]+)==([\w.]+)$", (ROOT / "requirements.txt").read_text(), flags=re.MULTILINE))
PACKAGES = {"PIL": "pillow", "sklearn": "scikit-learn", "yaml": "PyYAML"}
STAGES = {
    "training": [
        *("download", "dataset", "files", "archives", "train", "embed", "acquire"),
        *("datasets", "models", "strategies", "kernels"),
    ],
    "analysis": ["pool", "initial_pool", "curves", "figures", "initial_pools"],
}


def test_requirements_are_plain_pins():
    for line in (ROOT / "requirements.txt").read_text().splitlines():
        assert line.startswith("#") or re.fullmatch(r"[\w.-]+==[\w.]+", line), line


def pip_section(name):
    environment = yaml.safe_load((ROOT / f"envs/{name}.yaml").read_text())
    assert environment["channels"] == ["conda-forge"]
    (section,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    return dict(line.split("==") for line in section)


@pytest.mark.parametrize("name", STAGES)
def test_conda_environments_have_the_same_versions(name):
    versions = pip_section(name)
    assert versions == {package: PINNED[package] for package in versions}


@pytest.mark.parametrize("name", STAGES)
def test_an_environment_names_what_its_stages_import(name):
    package = ROOT / "workflow/poolflow"
    shared = ["stage", "store", "selection", "networks" if name == "training" else "selection"]
    files = [package / f"{stage}.py" for stage in [*STAGES[name], *shared] if (package / f"{stage}.py").exists()]
    files += [path for stage in STAGES[name] for path in (package / stage).glob("*.py")]
    imported = set()
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(node.module.split(".")[0])
    needed = {PACKAGES.get(module, module) for module in imported - sys.stdlib_module_names - {"poolflow"}}
    assert needed <= set(pip_section(name)), needed - set(pip_section(name))
