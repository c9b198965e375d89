"""The same study gives the same bytes, whatever the cores, and after a kill."""

import os
import random
import signal
import time

from conftest import Project


def assert_same(project, other):
    for pattern in ("digits/**/labeled.h5", "digits/pool/*.h5", "digits/dataset.h5", "digits/**/*.h5"):
        files, others = project.files(pattern), other.files(pattern)
        assert files.keys() == others.keys() != set()
        assert [path for path in files if files[path] != others[path]] == []
    assert project.metrics() == other.metrics()


def test_two_cores_give_the_same_bytes_as_one(finished, tmp_path):
    project = Project.new(tmp_path / "two cores")
    project.snakemake("--cores", "2")
    assert_same(project, finished)


def test_a_killed_study_resumes_to_the_same_bytes(finished, tmp_path):
    project = Project.new(tmp_path / "killed")
    moment = random.uniform(0.05, 0.75)
    print(f"kill when {moment:.2f} of the metrics are there")
    total = len(finished.metrics())
    process = project.start("--cores", "2")
    while len(list(project.folder.glob("results/tiny/digits/**/metrics.json"))) < moment * total:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    time.sleep(random.uniform(0, 1))
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (project.folder / "results/tiny/curves.csv").exists()
    project.snakemake("--unlock")
    project.snakemake("--cores", "2")
    assert_same(project, finished)
    assert project.planned() == set()
