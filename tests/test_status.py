"""How far a study is, from its files alone."""

import os
import subprocess
import sys
import time

import pytest

from poolflow.running import status

ENTROPY = "digits, small_cnn, random, entropy"


def lines(project, *arguments, **environment):
    """Return what `status` prints, {chain: line}, and its last line."""
    done = project.poolflow("status", *arguments, **environment)
    assert done.returncode == 0, done.stdout
    found = done.stdout.splitlines()
    return {line.split("  ")[1]: line for line in found[1:-1] if ", small_cnn" in line}, found


@pytest.fixture
def project(finished, tmp_path):
    return finished.copy(tmp_path / "project")


def test_a_finished_study(project):
    chains, found = lines(project)
    assert len(chains) == 8
    assert all(" 3 of 3 " in line for line in chains.values())
    assert found[0].startswith("results/tiny: data sets and pools 2 of 2, pretext tasks ")
    # 2 pools, cycle 0 once and 2 cycles of 4 strategies
    assert found[-1] == "18 done of 18 cycles; test accuracy; nothing left"
    assert "Traceback" not in "".join(found)


def test_what_is_left_failed_and_runs(project):
    root = project.folder / "results/tiny"
    chain = "digits/small_cnn/random/entropy/seed0"
    for cycle in (1, 2):
        (root / chain / f"cycle{cycle}/metrics.json").unlink()
        (root / "benchmarks" / chain / f"cycle{cycle}/train.tsv").unlink()
    log = root / "logs" / chain / "cycle1/train.log"
    (root / "logs" / chain / "cycle2/train.log").unlink()
    log.write_text("0%|   | 0/9\r50%|  | 5/9\npoolflow train digits/x: out of memory; lower training.batch_size\n\n")
    chains, found = lines(project, "--cores", "1")
    assert "   1 of 3, 1 failed" in chains[ENTROPY]
    assert found[-2].endswith("cycle1/train.log: poolflow train digits/x: out of memory; lower training.batch_size")
    assert found[-1].startswith("16 done, 1 failed of 18 cycles; test accuracy; about ")
    log.write_text("0%|   | 0/9\r50%|  | 5/9")
    chains, found = lines(project)
    assert "   1 of 3, 1 running" in chains[ENTROPY]
    assert found[-2].endswith("cycle1/train.log")
    old = time.time() - status.FRESH - 60
    os.utime(log, (old, old))
    assert "running" not in lines(project)[0][ENTROPY]


def test_a_file_that_is_half_written_is_said(project):
    path = project.folder / "results/tiny/digits/small_cnn/random/entropy/seed0/cycle1/metrics.json"
    path.write_text(path.read_text()[:40])
    chains, found = lines(project)
    assert "   2 of 3, 1 failed" in chains[ENTROPY]
    assert "metrics.json cannot be read" in found[-2]


def test_a_seed_that_is_not_there_is_said(project):
    chains, found = lines(project, "--config", "seeds=[0,1]")
    assert "   3 of 6" in chains[ENTROPY]
    assert chains[ENTROPY].endswith("(of 1 of 2 seeds at least)")
    assert found[-1].startswith("18 done of 36 cycles; test accuracy; about ")


def test_nothing_is_there_yet_and_letters_that_a_terminal_lacks(project):
    chains, found = lines(project, "--config", "study=other")
    assert found[-1] == "0 done of 18 cycles; test accuracy; time to the end unknown"
    assert "0 of 3" in chains[ENTROPY]
    assert not any(letter in "".join(lines(project, PYTHONIOENCODING="ascii")[1]) for letter in status.BLOCKS)
    assert any(letter in "".join(lines(project, PYTHONIOENCODING="utf-8")[1]) for letter in status.BLOCKS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--configfile", "nowhere.yaml"], "nowhere.yaml: found nothing there"),
        (["--config", "cycles=many"], "cycles: found 'many', expected a whole number"),
        (["--config", "cycles"], "--config: found cycles, expected KEY=VALUE"),
    ],
)
def test_a_mistake_is_one_line(project, arguments, message):
    done = project.poolflow("status", *arguments)
    assert done.returncode == 1
    assert done.stdout.startswith(message)
    assert done.stdout.count("\n") == 1


def test_nothing_of_the_workflow_engine_is_loaded():
    """A look at files has to be quick."""
    code = "import sys, poolflow.running.status; sys.exit('snakemake' in sys.modules or 'torch' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": "workflow"}
    assert subprocess.run([sys.executable, "-c", code], check=False, env=environment).returncode == 0


def test_a_spark_line_by_hand():
    assert status.spark([0, 0.5, 1], 0, 1, "abc") == "abc"
    assert status.spark([0.5, 0.5], 0.5, 0.5, "abc") == "aa"
