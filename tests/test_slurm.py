"""A small study on a real SLURM with three nodes, which tools/slurm starts on this machine and stops again."""

import os
import re
import select
import shutil
import signal
import subprocess
import sys
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
STUDY = TINY | {"initial_pools": ["random"]}
CHAINS = len(STUDY["strategies"])
NO_INTERFACE = 77  # how tools/slurm ends where SLURM cannot run
FASTER = ("--slurm-init-seconds-before-status-checks", "6")


@pytest.fixture(scope="module", autouse=True)
def cluster(tmp_path_factory):
    """A cluster, whose node n1 has two GPUs in name. It ends with its standard input: also if the tests are killed."""
    folder = tmp_path_factory.mktemp("slurm")
    errors = folder / "errors"
    with errors.open("w") as file:
        process = subprocess.Popen(
            [ROOT / "tools/slurm", folder, "sh", "-c", "echo ready; cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=file,
            env=os.environ | {"GPUS": "2"},
        )
    if not (select.select([process.stdout], [], [], 60)[0] and process.stdout.readline()):
        process.stdin.close()
        process.terminate()
        process.wait(60)
        stop = pytest.skip if process.returncode == NO_INTERFACE else pytest.fail
        stop(errors.read_text() or "tools/slurm was not ready after a minute")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
        yield
        process.stdin.close()
        process.wait(60)


def slurm(*command):
    """Return what a command of SLURM prints."""
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout


def jobs(project):
    """Return what SLURM knows of the submissions of a project: a list of {JobId: ..., JobState: ..., ...}."""
    lines = slurm("scontrol", "show", "job", "--oneliner").splitlines()
    found = [dict(re.findall(r"(\w+)=(\S+)", line)) for line in lines]
    return [job for job in found if job.get("WorkDir") == str(project.folder)]


def rule(job):
    """Return the name of the rule of a submission of one job."""
    return re.search(r"/rule_(\w+)/", job["StdOut"])[1]


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


def assert_same(project, finished):
    """Check that a study has made nothing else than the same study without SLURM."""
    assert project.metrics().items() <= finished.metrics().items()
    for pattern in ("digits/**/labeled.h5", "digits/**/model.pt"):
        assert project.files(pattern).items() <= finished.files(pattern).items()


def test_a_chain_is_a_submission_and_lost_ones_are_recovered(tmp_path, finished):
    project = Project.new(tmp_path / "project", STUDY)
    process = project.start("--profile", "profiles/slurm", *FASTER)
    try:
        cancelled = running(project, "group_random/entropy")
        slurm("scancel", cancelled["JobId"])
        lost = running(project, "group_random/coreset")
        slurm("scontrol", "update", f"nodename={lost['NodeList']}", "state=down", "reason=test")
        output, _ = process.communicate(timeout=400)
    finally:
        process.kill()
    assert process.returncode == 0, output
    assert len(project.metrics()) == 1 + CHAINS * STUDY["cycles"]
    assert_same(project, finished)
    chains = [job for job in jobs(project) if "acquire" in job["StdOut"]]
    states = [job["JobState"] for job in chains]
    # The node that went down may have had more than one of them.
    assert (states.count("COMPLETED"), states.count("CANCELLED")) == (CHAINS, 1)
    assert set(states) == {"COMPLETED", "CANCELLED", "NODE_FAIL"}
    assert {job["JobId"]: job["JobState"] for job in chains}.items() >= {
        (cancelled["JobId"], "CANCELLED"),
        (lost["JobId"], "NODE_FAIL"),
    }
    # A job asks for what its largest member needs, for the time of all, and for more after a failure.
    first, second, *_ = (
        job for job in chains if job["StdOut"].rpartition("/")[0] == cancelled["StdOut"].rpartition("/")[0]
    )
    assert (first["NumCPUs"], first["MinMemoryNode"], first["TimeLimit"]) == ("1", "4000M", "01:50:00")
    assert (second["NumCPUs"], second["MinMemoryNode"], second["TimeLimit"]) == ("1", "8000M", "03:40:00")
    assert not any("TresPerJob" in job for job in jobs(project))
    # A cycle 0 is one submission, and everything else is in a group too.
    assert [job["JobState"] for job in jobs(project) if "initial_pool" in job["StdOut"]] == ["COMPLETED"]
    assert not any("/rule_" in job["StdOut"] for job in jobs(project))


def test_job_by_job_with_gpus_interrupted_and_started_again(tmp_path, finished):
    project = Project.new(tmp_path / "project", STUDY | {"cycles": 1, "strategies": ["random", "coreset"]})
    profile(project, groups=None, resources=["turn=1", "gpu=2"])
    start = ("--profile", "profiles/slurm", *FASTER, "results/tiny/curves.csv")
    process = project.start(*start)
    try:
        running(project, "rule_predict")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=100)
    finally:
        process.kill()
    assert all(job["JobState"] in ("CANCELLED", "COMPLETED") for job in jobs(project))
    done = project.files("digits/**/metrics.json")
    assert done
    output = project.snakemake(*start)
    assert done.items() <= project.files("digits/**/metrics.json").items(), output
    assert len(project.metrics()) == 1 + 2
    assert_same(project, finished)
    asked = {rule(job): job.get("TresPerJob") for job in jobs(project)}
    networks = {name: gpus for name, gpus in asked.items() if gpus}
    assert networks == dict.fromkeys(["train", "predict"], "gres:gpu:1"), asked
    assert asked.keys() == {"dataset", "pool", "initial_pool", "acquire", "train", "predict", "table"}


def test_gpus_are_asked_for_where_profile_and_study_agree(tmp_path):
    project = Project.new(tmp_path / "project")
    networks = {"train", "predict", "pretrain", "pretext_output"}
    for device, resources, expected in [
        ("cuda", ["turn=1", "gpu=2"], networks),
        ("cpu", ["turn=1", "gpu=2"], set()),
        ("cuda", ["turn=1", "gpu=0"], set()),
    ]:
        project.configure(device=device)
        profile(project, resources=resources)
        found = {rule for rule, _ in project.asking("gpu=1", "--profile", "profiles/slurm")}
        assert found == expected, (device, resources)


def test_each_choice_of_groups_in_the_profile_can_be_planned(tmp_path):
    text = (ROOT / "profiles/slurm/config.yaml").read_text()
    text = text[text.index("groups:") : text.index("  # The short jobs")]
    choices = [re.findall(r"- (\w+=\S+)", part) for part in text.split("# Instead")]
    assert [len(choice) for choice in choices] == [6, 6, 4]
    project = Project.new(tmp_path / "project")
    for choice in choices:
        profile(project, groups=choice)
        project.snakemake("-n", "--profile", "profiles/slurm")


@pytest.mark.skipif(
    not all(shutil.which(program, path=PATH) for program in ("slurmdbd", "mariadbd")),
    reason="no SLURM with accounting here: apt-get install slurmdbd mariadb-server-core",
)
def test_a_wrong_account_ends_a_grouped_study(tmp_path):
    project = Project.new(tmp_path / "project", STUDY)
    defaults = ["slurm_partition=main", "turn=1"]
    run = ("snakemake", "--profile", "profiles/slurm", *FASTER, "results/tiny/digits/pool/seed0.h5")
    for account, fails in [("mistyped", True), ("lab", False)]:
        profile(project, **{"default-resources": [*defaults, f"slurm_extra=\"'-A{account}'\""]})
        process = subprocess.run(
            [ROOT / "tools/slurm", tmp_path / account, sys.executable, "-m", *run],
            cwd=project.folder,
            env=os.environ | {"ACCOUNTING": "1", "NODES": "1"},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert bool(process.returncode) == fails, process.stdout + process.stderr
        assert ("has been submitted" in process.stderr) == (not fails)
