"""One set of versions: requirements.txt, the conda environments, and what the stages import."""

import ast
import re
import sys
from importlib import metadata

import pytest
import yaml
from conda_stand_in import closure
from conftest import ROOT
from packaging.utils import canonicalize_name

from poolflow.study import digest, plugins

PINNED = dict(re.findall(r"^([\w.-]+)==([\w.]+)$", (ROOT / "requirements.txt").read_text(), flags=re.MULTILINE))
RULES = [
    (name, re.search(r'\n    conda:\n +"../../envs/(\w+)\.yaml"\n', text), re.search(r"-m poolflow\.(\w+)", text))
    for path in sorted((ROOT / "workflow/rules").glob("*.smk"))
    for name, text in re.findall(r"^rule (\w+):\n(.*?)(?=^\S|\Z)", path.read_text(), flags=re.MULTILINE | re.DOTALL)
]
ENVIRONMENTS = sorted(path.stem for path in (ROOT / "envs").glob("*.yaml"))
# What a stage never loads, though what it imports could: `Pool.network`, which no initial pool may use.
UNUSED = {"initial_pool": {"poolflow.training.networks"}}


def stages(environment):
    """Return the stages that run in an environment."""
    return sorted({stage[1] for _, conda, stage in RULES if conda[1] == environment})


def modules(stage):
    """Return the modules of the package that a stage may load, with every plugin that it may be asked for."""
    found, todo = set(), [f"poolflow.{stage}"]
    for module in todo:  # grows
        if module in found | UNUSED.get(stage, set()):
            continue
        found.add(module)
        todo += [module.rpartition(".")[0]] if "." in module else []
        todo += digest._imports(module)
        for node in ast.walk(digest._tree(module)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "import_module":
                text = ast.literal_eval(getattr(node.args[0], "values", node.args)[0])
                kind = re.fullmatch(r"poolflow\.(\w+)\.", text)
                todo += [f"{text}{name}" for name in plugins.names(kind[1])] if kind else [text]
    return found


def imported(module):
    """Return the packages that a module imports, anywhere in it, other than its own and Python's."""
    found = set()
    for node in ast.walk(digest._tree(module)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(node.module.split(".")[0])
    return found - sys.stdlib_module_names - {"poolflow"}


def test_requirements_are_plain_pins():
    for line in (ROOT / "requirements.txt").read_text().splitlines():
        assert line.startswith("#") or re.fullmatch(r"[\w.-]+==[\w.]+", line), line


def test_every_rule_names_an_environment_and_runs_a_stage():
    assert len(RULES) > 15
    assert not [name for name, conda, stage in RULES if not conda or not stage]
    assert {conda[1] for _, conda, _ in RULES} == set(ENVIRONMENTS)


def test_what_a_stage_may_load_is_followed():
    assert {"poolflow.networks.vgg16", "poolflow.training.optimizers"} <= modules("train")
    assert {"poolflow.strategies.emoc", "poolflow.networks.vgg16", "poolflow.kernels.emoc"} <= modules("acquire")
    assert "poolflow.pretext.scan" in modules("pretrain")
    assert not [module for module in modules("curves") if module.startswith(("poolflow.networks", "poolflow.datasets"))]


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_an_environment_has_what_its_stages_import_in_the_versions_of_the_requirements(name):
    environment = yaml.safe_load((ROOT / f"envs/{name}.yaml").read_text())
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    python, pip, section = environment["dependencies"]
    assert re.fullmatch(r"python=3\.\d+", python)
    assert pip == "pip"
    packages = metadata.packages_distributions()
    needed = {packages[module][0] for stage in stages(name) for path in modules(stage) for module in imported(path)}
    # And what these need; requirements.txt leaves the versions of its CUDA packages to torch.
    needed = closure(needed)
    assert section["pip"] == list(dict.fromkeys(section["pip"]))
    assert set(section["pip"]) == {f"{p}=={v}" for p, v in PINNED.items() if canonicalize_name(p) in needed}
