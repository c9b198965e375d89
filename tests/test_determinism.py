"""The same study gives the same bytes, whatever the cores, and after a kill."""

import os
import random
import re
import signal
import time

from conftest import TINY, Project

STUDY = TINY | {"strategies": {"coreset": None, "sharpened": {"power": 2.0}}}
LEFT_OUT = re.compile("/(random|kmeans)/(random|entropy)/")  # chains of the finished study
PATTERNS = ("digits/**/labeled.h5", "digits/pool/*.h5", "digits/dataset.h5", "digits/**/*.h5")


def test_one_core_gives_the_same_bytes_as_two(finished, tmp_path):
    project = Project.new(tmp_path / "one core")
    project.snakemake("--cores", "1", "results/tiny/digits/small_cnn/kmeans/coreset/seed0/cycle2/metrics.json")
    for pattern in PATTERNS:
        files, others = project.files(pattern), finished.files(pattern)
        assert files
        assert [path for path in files if files[path] != others[path]] == []
    assert len(project.metrics()) == 1 + TINY["cycles"]
    assert project.metrics().items() <= finished.metrics().items()


def test_a_killed_study_resumes_to_the_same_bytes(finished, tmp_path):
    project = Project.new(tmp_path / "killed", STUDY)
    metrics = {path: m for path, m in finished.metrics().items() if not LEFT_OUT.search(path)}
    moment = random.uniform(0.05, 0.75)
    print(f"kill when {moment:.2f} of the metrics are there")
    process = project.start("--cores", "2")
    while len(list(project.folder.glob("results/tiny/digits/**/metrics.json"))) < moment * len(metrics):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    time.sleep(random.uniform(0, 1))
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (project.folder / "results/tiny/curves.csv").exists()
    project.snakemake("--unlock")
    project.snakemake("--cores", "2")
    for pattern in PATTERNS:
        files, others = project.files(pattern), finished.files(pattern)
        assert files.keys() == {path for path in others if not LEFT_OUT.search(path)} != set()
        assert [path for path in files if files[path] != others[path]] == []
    assert project.metrics() == metrics
    assert project.planned() == set()
