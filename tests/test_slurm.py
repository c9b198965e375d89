"""A small study on a real SLURM with three nodes, which tools/slurm starts on this machine and stops again."""

import os
import re
import shutil
import signal
import subprocess
import time

import pytest
import yaml
from conftest import ROOT, TINY, Project

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
MISSING = [program for program in PROGRAMS if not shutil.which(program, path=PATH)]
pytestmark = pytest.mark.skipif(
    bool(MISSING),
    reason=f"no SLURM here ({', '.join(MISSING)}): apt-get install slurmctld slurmd slurm-client munge",
)
STUDY = TINY | {
    "initial_pools": {"random": None, "second": {"initial_pool": "random"}},
    "strategies": {"random": None, "entropy": None},
    "cycles": 2,
}
CHAINS = 4
FASTER = ("--slurm-init-seconds-before-status-checks", "6")


@pytest.fixture(scope="module", autouse=True)
def cluster(tmp_path_factory):
    """A cluster, whose node n1 has two GPUs in name. It ends with its standard input: also if the tests are killed."""
    folder = tmp_path_factory.mktemp("slurm")
    process = subprocess.Popen(
        [ROOT / "tools/slurm", folder, "sh", "-c", "echo ready; cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"GPUS": "2"},
    )
    assert process.stdout.readline() == "ready\n"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
        yield
        process.stdin.close()
        process.wait(60)


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """The study, run without SLURM."""
    project = Project.new(tmp_path_factory.mktemp("local") / "project", STUDY)
    project.snakemake("--cores", "2", "results/tiny/curves.csv")
    return project


def slurm(*command):
    """Return what a command of SLURM prints."""
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout


def jobs(project):
    """Return what SLURM knows of the submissions of a project: a list of {JobId: ..., JobState: ..., ...}."""
    lines = slurm("scontrol", "show", "job", "--oneliner").splitlines()
    found = [dict(re.findall(r"(\w+)=(\S+)", line)) for line in lines]
    return [job for job in found if job.get("WorkDir") == str(project.folder)]


def running(project, name):
    """Wait for a submission that runs and has the name in the path of its log."""
    for _ in range(900):
        for job in jobs(project):
            if job["JobState"] == "RUNNING" and f"/{name}" in job["StdOut"]:
                return job
        time.sleep(0.1)
    raise AssertionError(f"no job {name} runs")


def profile(project, **changes):
    """Change keys of the profile of a project; None removes one."""
    path = project.folder / "profiles/slurm/config.yaml"
    settings = yaml.safe_load(path.read_text()) | changes
    path.write_text(yaml.safe_dump({key: value for key, value in settings.items() if value is not None}))


def test_a_chain_is_a_submission_and_lost_ones_are_recovered(tmp_path, local):
    project = Project.new(tmp_path / "project", STUDY)
    process = project.start("--profile", "profiles/slurm", *FASTER)
    try:
        cancelled = running(project, "group_random/entropy")
        slurm("scancel", cancelled["JobId"])
        lost = running(project, "group_second/entropy")
        slurm("scontrol", "update", f"nodename={lost['NodeList']}", "state=down", "reason=test")
        output, _ = process.communicate(timeout=400)
    finally:
        process.kill()
    assert process.returncode == 0, output
    assert project.files("digits/**/labeled.h5") == local.files("digits/**/labeled.h5")
    assert project.metrics() == local.metrics()
    chains = [job for job in jobs(project) if "acquire" in job["StdOut"]]
    states = [job["JobState"] for job in chains]
    assert sorted(states) == ["CANCELLED", *["COMPLETED"] * CHAINS, "NODE_FAIL"]
    assert {job["JobId"]: job["JobState"] for job in chains}.items() >= {
        (cancelled["JobId"], "CANCELLED"),
        (lost["JobId"], "NODE_FAIL"),
    }
    assert not any("gres/gpu" in job["TRES"] for job in jobs(project))
    print(
        [
            (job["StdOut"].split("slurm_logs/")[1], job["JobState"], job["TRES"], job["TimeLimit"])
            for job in jobs(project)
        ]
    )


def test_job_by_job_with_gpus_and_a_second_start(tmp_path, local):
    project = Project.new(tmp_path / "project", STUDY)
    profile(project, groups=None, resources=["turn=1", "gpu=2"])
    start = ("--profile", "profiles/slurm", *FASTER, "results/tiny/curves.csv")
    process = project.start(*start)
    try:
        running(project, "rule_embed")
        process.send_signal(signal.SIGINT)
        first, _ = process.communicate(timeout=100)
    finally:
        process.kill()
    assert not slurm("squeue", "-h")
    done = project.files("digits/**/metrics.json")
    assert done
    second = project.snakemake(*start)
    assert project.files("digits/**/labeled.h5") == local.files("digits/**/labeled.h5")
    assert project.metrics() == local.metrics()
    assert done.items() <= project.files("digits/**/metrics.json").items()
    asked = {job["StdOut"].split("/")[-3]: "gres/gpu=1" in job["TRES"] for job in jobs(project)}
    print(first, second, asked)
    print(
        [
            (job["StdOut"].split("slurm_logs/")[1], job["JobState"], job["TRES"], job["TimeLimit"])
            for job in jobs(project)
        ]
    )
