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

from poolflow.__main__ import stages as every_stage
from poolflow.study import digest, plugins

PACKAGE = ROOT / "workflow/poolflow"
PINNED = dict(re.findall(r"^([\w.-]+)==([\w.]+)$", (ROOT / "requirements.txt").read_text(), flags=re.MULTILINE))
RULES = [
    (name, re.search(r'\n +conda:\n +"../../envs/(\w+)\.yaml"\n', text), re.search(r"-m poolflow (\w+)", text))
    for path in sorted((ROOT / "workflow/rules").glob("*.smk"))
    for name, text in re.findall(r"^ *rule ?(\w*):\n(.*?)(?=^\S|\Z)", path.read_text(), flags=re.MULTILINE | re.DOTALL)
]
ENVIRONMENTS = sorted(path.stem for path in (ROOT / "envs").glob("*.yaml"))
# Through which every stage is started. In their functions they import what that stage, or its GPU, asks for.
OPTIONAL = {"pillow_heif"}  # used where it is installed
DOOR = ["poolflow.__main__", "poolflow.running.run", "poolflow.running.cost", "poolflow.running.gpus"]


def stages(environment):
    """Return the stages that run in an environment."""
    return sorted({stage[1] for _, conda, stage in RULES if conda[1] == environment})


def tree(module):
    """Return the tree of a module of the package."""
    path = PACKAGE.joinpath(*module.split(".")[1:])
    return ast.parse(
        next(file for file in (path.with_suffix(".py"), path / "__init__.py") if file.exists()).read_text()
    )


def modules(stage):
    """Return the modules of the package that a stage may load, with every plugin that it may be asked for."""
    found, todo = set(), [f"poolflow.stages.{stage}"]
    for module in todo:  # grows
        if module in found:
            continue
        found.add(module)
        parent = module.rpartition(".")[0]
        todo += [parent] if parent and PACKAGE.joinpath(*parent.split(".")[1:], "__init__.py").exists() else []
        todo += digest.imports(module)
        for node in ast.walk(tree(module)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "import_module":
                text = ast.literal_eval(getattr(node.args[0], "values", node.args)[0])
                kind = re.fullmatch(r"poolflow\.(\w+)\.", text)
                todo += [f"{text}{name}" for name in plugins.names(kind[1])] if kind else [text]
    return found


def imported(module):
    """Return the packages that a module imports, anywhere in it, other than its own and Python's."""
    found = set()
    for node in tree(module).body if module in DOOR else ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(node.module.split(".")[0])
    return found - sys.stdlib_module_names - {"poolflow"} - OPTIONAL


def test_requirements_are_plain_pins():
    for line in (ROOT / "requirements.txt").read_text().splitlines():
        assert line.startswith("#") or re.fullmatch(r"[\w.-]+==[\w.]+", line), line


def test_every_rule_names_an_environment_and_runs_a_stage():
    assert not [name for name, conda, stage in RULES if not conda or not stage]
    assert {stage[1] for _, _, stage in RULES} == set(every_stage())
    assert {conda[1] for _, conda, _ in RULES if "gpu=" in conda.string} == {"training"}  # there is torch
    assert {conda[1] for _, conda, _ in RULES} == set(ENVIRONMENTS)


def test_what_a_stage_may_load_is_followed():
    assert {"poolflow.networks.vgg16", "poolflow.training.optimizers"} <= modules("train")
    assert {"poolflow.strategies.emoc", "poolflow.networks.vgg16", "poolflow.kernels.emoc"} <= modules("acquire")
    assert "poolflow.pretext.scan" in modules("pretrain")
    assert not [module for module in modules("table") if module.startswith(("poolflow.networks", "poolflow.datasets"))]
    assert {"poolflow.tables.curves", "poolflow.tables", "poolflow.results"} <= modules("table")
    assert "poolflow.training.networks" not in modules("initial_pool")


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_an_environment_has_what_its_stages_import_in_the_versions_of_the_requirements(name):
    environment = yaml.safe_load((ROOT / f"envs/{name}.yaml").read_text())
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    python, pip, section = environment["dependencies"]
    assert re.fullmatch(r"python=3\.\d+", python)
    assert pip == "pip"
    packages = metadata.packages_distributions()
    needed = {
        packages[module][0] for stage in stages(name) for path in {*modules(stage), *DOOR} for module in imported(path)
    }
    # And what these need; requirements.txt leaves the versions of its CUDA packages to torch.
    needed = closure(needed)
    assert section["pip"] == list(dict.fromkeys(section["pip"]))
    assert set(section["pip"]) == {f"{p}=={v}" for p, v in PINNED.items() if canonicalize_name(p) in needed}
