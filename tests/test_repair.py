"""What is missing or damaged of a finished study: a run refuses it, and one command makes it again, the same."""

import os
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
import yaml
from conftest import ROOT, TINY

from poolflow.data import store
from poolflow.running import cost, repair

CHAIN = "digits/small_cnn/random"


def results(project):
    return project.folder / "results/tiny"


def content(project):
    """Return {path: bytes} of all results but what has the seconds of a training in it, and that in full digits."""
    files = {str(path.relative_to(results(project))): path for path in results(project).rglob("*.*") if path.is_file()}
    timed = ("metrics.json", "curves.csv", "summary.csv", "report.html")
    kept = {name: path.read_bytes() for name, path in files.items() if not name.startswith(("logs/", "benchmarks/"))}
    return {name: b"" if name.endswith(timed) else data for name, data in kept.items()} | {"metrics": project.metrics()}


def mended(project, *args, **environment):
    """Repair the study; return what that says."""
    done = project.poolflow("repair", "--cores", "2", *args, **environment)
    assert done.returncode == 0, done.stdout
    return done.stdout


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    """Change a bit, and no time."""
    whole, status = bytearray(path.read_bytes()), path.stat()
    whole[len(whole) // 2] ^= 4
    path.write_bytes(whole)
    os.utime(path, ns=(status.st_mtime_ns,) * 2)


def test_every_kind_of_file_is_made_again_as_it_was(finished, tmp_path):
    project = finished.copy(tmp_path / "p")
    before, top = content(project), results(project)
    kinds = {path.name if path.suffix != ".png" else ".png": path for path in top.rglob("*.*") if path.is_file()}
    harmed = {path.relative_to(top): path for name, path in kinds.items() if not name.endswith((".log", ".tsv"))}
    assert {".h5", ".pt", ".json", ".csv", ".png", ".html"} == {path.suffix for path in harmed}
    for number, path in enumerate(harmed.values()):
        (os.remove, cut, flip)[number % 3](path)
    said = mended(project)
    unsaid = [path for path in harmed if f": results/tiny/{path}\n" not in said]
    assert len(unsaid) <= 2, unsaid  # what a job needs that makes another one again is made without being missed
    assert content(project) == before
    assert project.planned() == set()


def test_a_run_refuses_a_damaged_file_before_its_first_job(finished, tmp_path):
    project = finished.copy(tmp_path / "p")
    before, top = content(project), results(project)
    cut(top / CHAIN / "seed0/cycle0/probs.h5")
    cut(top / "digits/small_cnn/kmeans/coreset/seed0/cycle1/metrics.json")
    damaged = project.files("[!lb]*/**/*.*")
    (project.folder / "study.yaml").write_text(yaml.safe_dump(TINY, sort_keys=False))
    output = project.snakemake("--cores", "2", "--configfile", "study.yaml", fails=True)
    lines = [line for line in output.splitlines() if line.startswith("results/")]
    assert [line.partition(" ")[0] for line in lines] == [
        "results/tiny/digits/small_cnn/kmeans/coreset/seed0/cycle1/metrics.json",
        f"results/tiny/{CHAIN}/seed0/cycle0/probs.h5",
    ]
    repairs = "is not what its job wrote; make repair CONFIG=study.yaml makes it again, with the same results"
    assert all(line.endswith(repairs) for line in lines), lines
    assert "Traceback" not in output
    assert project.files("[!lb]*/**/*.*") == damaged  # nothing that was whole is gone
    assert not (project.folder / ".snakemake/locks").exists() or not list(
        (project.folder / ".snakemake/locks").iterdir()
    )
    mended(project, "--configfile", "study.yaml")
    assert content(project) == before
    assert project.planned() == set()


def test_it_says_what_it_would_do_and_waits_for_a_snakemake_that_runs(finished, tmp_path):
    project = finished.copy(tmp_path / "p")
    cut(results(project) / CHAIN / "seed0/cycle0/probs.h5")
    (results(project) / "curves.csv").unlink()
    before = project.files("**/*.h5")
    said = mended(project, "--dry-run")
    assert f"damaged: results/tiny/{CHAIN}/seed0/cycle0/probs.h5\n" in said
    assert "Found 1 files that are damaged or missing; nothing was changed." in said  # curves.csv is made by any run
    assert project.files("**/*.h5") == before
    (locks := project.folder / ".snakemake/locks").mkdir(exist_ok=True)
    (locks / "0.output.lock").write_text(f"results/tiny/{CHAIN}/seed0/cycle0/probs.h5\n")
    done = project.poolflow("repair", "--cores", "2")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].startswith("Snakemake is running this study, or was killed")
    assert project.files("**/*.h5") == before


def test_a_file_that_is_touched_is_no_damaged_one(finished, tmp_path):
    project = finished.copy(tmp_path / "p")
    os.utime(results(project) / CHAIN / "seed0/cycle0/probs.h5")
    assert "is not what its job wrote" not in project.snakemake("--cores", "2")


def test_what_nothing_was_written_down_of_is_read(finished, tmp_path):
    project = finished.copy(tmp_path / "p")
    before, top = content(project), results(project)
    for path in (top / "benchmarks").rglob("*.tsv"):
        path.unlink()
    flip(top / "digits/dataset.h5")
    flip(top / CHAIN / "seed0/cycle0/model.pt")
    cut(top / CHAIN / "seed0/cycle0/metrics.json")
    assert "Repaired: 3 files made again" in mended(project)
    assert content(project) == before


def test_deleted_temporary_files_are_not_missed(tmp_path, finished):
    project = finished.copy(tmp_path / "p")
    project.configure(keep=False)
    project.snakemake("--cores", "2", "--delete-temp-output")
    assert not list(results(project).rglob("small_cnn/**/model.pt"))
    assert "Repaired: 0 files made again" in mended(project)
    assert not list(results(project).rglob("small_cnn/**/model.pt"))


# Unfinished files


def test_the_unfinished_files_of_killed_jobs_are_removed_and_no_others(tmp_path, finished):
    project = finished.copy(tmp_path / "p")
    folder = results(project) / CHAIN
    ended = subprocess.Popen(["true"])
    ended.wait()
    here = store.machine()
    gone, old = folder / f"a.h5.{here}-{ended.pid}-0a1b.part", folder / "b.h5.0123abcd.part"
    running, elsewhere = folder / f"c.h5.{here}-{os.getpid()}-0a1b.part", folder / "d.h5.01234567-1-0a1b.part"
    for path in (gone, old, running, elsewhere):
        path.touch()
    os.utime(old, (time.time() - 2 * repair.DAY,) * 2)
    (results(project) / "curves.csv").unlink()
    project.snakemake("--cores", "1")
    assert sorted(folder.glob("*.part")) == [running, elsewhere]
    gone.touch()
    assert "1 unfinished ones of killed jobs removed" in mended(project)
    assert sorted(folder.glob("*.part")) == [running, elsewhere]


def test_a_killed_writer_leaves_what_is_known_to_be_abandoned(tmp_path):
    code = "import os, sys\nfrom poolflow.data import store\nwith store.replacing(sys.argv[1]) as part:\n"
    code += "    open(part, 'w').close()\n    os.kill(os.getpid(), 9)"
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow")}
    subprocess.run([sys.executable, "-c", code, tmp_path / "x.h5"], env=environment, check=False)
    (part,) = tmp_path.iterdir()
    assert repair.abandoned(str(part))


# What jobs write down


def test_a_job_writes_down_what_it_wrote(finished):
    folder = results(finished)
    name = f"{CHAIN}/seed0/cycle0"
    wrote = cost.wrote(folder / f"benchmarks/{name}/train.tsv")
    assert list(wrote) == [f"results/tiny/{name}/{file}" for file in ("model.pt", "metrics.json")]
    for path, facts in wrote.items():
        assert facts == cost.facts(finished.folder / path)


@pytest.mark.parametrize(
    "text", [None, "", "s\twrote\n", "s\n1\n", "s\twrote\n1\tx\n", "s\twrote\n1\t[1]\n", 's\twrote\n1\t{"a": [1]}\n']
)
def test_nothing_is_known_where_nothing_is_written_down(tmp_path, text):
    path = tmp_path / "a.tsv"
    if text is not None:
        path.write_text(text)
    assert cost.wrote(path) == {}


def test_first_things_first():
    dag = SimpleNamespace(depending={"a": {"b": 1}, "b": {"c": 1}, "c": {}, "d": {"c": 1}})
    assert repair.first_things(dag, {"c": [], "a": [], "d": []}) == ["a", "d"]
    assert repair.first_things(dag, {"c": []}) == ["c"]
