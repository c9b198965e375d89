"""A small study whose jobs see no file of the folder they were submitted from, and get all of it from a storage."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, SHARPENED, TINY, Project

MISSING = [program for program in ("rsync", "git") if not shutil.which(program)]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"Snakemake's fs storage needs {' and '.join(MISSING)}")
STUDY = TINY | {"initial_pools": ["random"], "strategies": {"sharpened": {"power": 2.0}}}
# A scheduler: each job in an empty folder and with an empty environment, one after another.
SUBMIT = f"""#!/bin/sh
set -e
job=$(mktemp -d "$(dirname "$0")/job.XXXX")
cp "$1" $job/script
mkdir $job/work
cd $job/work
if env -i PATH={Path(sys.executable).parent}:/usr/bin:/bin HOME=$job sh ../script >../log 2>&1
then echo success; else echo failed; fi >../state
echo $job/state
"""


@pytest.fixture
def project(tmp_path):
    """A project in git, and a profile for that scheduler, made of the one for SLURM as docs/cluster.md says."""
    project = Project.new(tmp_path / "project", STUDY)
    shutil.copy(ROOT / ".gitignore", project.folder)
    subprocess.run(["git", "init", "-q"], cwd=project.folder, check=True)
    subprocess.run(["git", "add", "--all"], cwd=project.folder, check=True)
    submit = tmp_path / "submit"
    submit.write_text(SUBMIT)
    submit.chmod(0o755)
    settings = yaml.safe_load((project.folder / "profiles/slurm/config.yaml").read_text())
    settings = {key: value for key, value in settings.items() if not key.startswith("slurm")} | {
        "executor": "cluster-generic",
        "groups": [group for group in settings["groups"] if not group.startswith("dataset=")],
        "cluster-generic-submit-cmd": str(submit),
        "cluster-generic-status-cmd": "cat",
        "default-resources": ["turn=1"],
        "default-storage-provider": "fs",
        "default-storage-prefix": str(tmp_path / "store"),
        "shared-fs-usage": "none",
        "job-deploy-sources": True,
        "jobname": "{jobid}",
        "seconds-between-status-checks": 1,
        "retries": 0,
    }
    (project.folder / "profiles/other").mkdir()
    (project.folder / "profiles/other/config.yaml").write_text(yaml.safe_dump(settings))
    return project


def test_the_results_are_those_of_a_run_with_shared_files(project, finished):
    output = project.snakemake("--profile", "profiles/other", "results/tiny/curves.csv")
    nodes = [log.read_text() for log in project.folder.parent.glob("job.*/log")]
    assert not (project.folder / "results").exists()
    stored = Project(project.folder.parent / "store")
    assert len(stored.metrics()) == 1 + STUDY["cycles"]
    assert stored.metrics().items() <= finished.metrics().items()
    for files in ("digits/**/labeled.h5", "digits/**/probs.h5", "digits/*.h5", "digits/pool/*.h5"):
        assert stored.files(files).items() <= finished.files(files).items()
    # The pool, cycle 0, the other cycles, the tables. What reads data_root runs where Snakemake does.
    assert len(nodes) == 4, output
    assert not any("data set digits" in log for log in nodes)
    assert "Nothing to be done" in project.snakemake("--profile", "profiles/other", "results/tiny/curves.csv")


def test_a_strategy_that_nodes_would_not_get_is_named(project):
    project.write("workflow/poolflow/strategies/own.py", SHARPENED)
    output = project.snakemake("-n", "--profile", "profiles/other", fails=True)
    assert "git add workflow/poolflow/strategies/own.py" in output
    shutil.rmtree(project.folder / ".git")
    assert "not a git repository" in project.snakemake("-n", "--profile", "profiles/other", fails=True)
