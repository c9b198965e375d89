"""What a run would cost: against the benchmark files of the finished tiny study, worked by hand."""

import csv
import os
import re
import subprocess
import sys
from collections import Counter

import pytest
from conftest import TINY
from test_reruns import EDITS, WHOLE

from poolflow.running import forecast
from poolflow.running.forecast import Earlier, History, Planned

UNITS = {"s": 1, "min": 60, "h": 3600}


def plan(project, *args, fails=False):
    """Run the forecast in a project, return what it prints."""
    command = [sys.executable, "-m", "poolflow", "plan", "--cores", "2", *args]
    environment = os.environ | {"PYTHONPATH": "workflow"}
    process = subprocess.run(
        command, cwd=project.folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert bool(process.returncode) == fails, process.stdout + process.stderr
    return process.stdout + (process.stderr if fails else "")


def rows(text):
    """Return {rule: {column: text}} of a printed table."""
    header, *lines = (re.split(" {2,}", line.strip()) for line in text.split("\n\n")[0].splitlines())
    return {line[0]: dict(zip(header, line, strict=True)) for line in lines}


def seconds(text):
    number, unit = text.removeprefix(">= ").split()
    return float(number) * UNITS[unit]


def benchmark(project, path, column):
    """Return a number of the benchmark file at a path below results/tiny/benchmarks."""
    with open(project.folder / "results/tiny/benchmarks" / path) as file:
        (row,) = csv.DictReader(file, delimiter="\t")
    return float(row[column])


def job(cycle=1, rule="train", inputs=(), outputs=(), threads=1, gpu=False, **names):
    names = {"study": "a", "dataset": "d", "learner": "l", "chain": "p/s", "seed": "0", "cycle": str(cycle)} | names
    return Planned(rule, tuple(sorted(names.items())), inputs, outputs, threads, "missing", gpu)


def ran(cpu, cycle=1, **names):
    return Earlier("train", job(cycle, **names).names, cpu, cpu, 1.0, 1.0)


def test_after_an_edit_of_a_strategy_its_earlier_jobs_are_counted_and_added(finished, tmp_path):
    project = finished.copy(tmp_path / "copy")
    change, expected = EDITS["code of a strategy"]
    expected = expected | {"report.html"}
    change(project)
    text = plan(project)
    table = rows(text)
    folders = {path.rpartition("/")[0] for path in expected if "/entropy/" in path}
    # In each of two cycles of two initial pools: acquire and train, and predict in all but the last.
    assert len(folders) == 4
    tables, figures = ([path for path in expected if path.endswith(ending)] for ending in (".csv", ".png"))
    counts = {"acquire": 4, "train": 4, "predict": 2, "table": len(tables), "figure": len(figures), "report": 1}
    assert {rule: int(row["jobs"]) for rule, row in table.items()} == counts | {"all": sum(counts.values())}
    files = {
        "acquire": [f"{folder}/acquire.tsv" for folder in folders],
        "train": [f"{folder}/train.tsv" for folder in folders],
        "predict": [f"{folder}/probs.tsv" for folder in folders if folder.endswith("cycle1")],
        "table": [path.replace(".csv", ".tsv") for path in tables],
        "figure": [f"{path}.tsv" for path in figures],
        "report": ["report.tsv"],
    }
    whole = 0
    for rule, paths in files.items():
        cpu = sum(benchmark(project, path, "cpu_time") for path in paths)
        assert seconds(table[rule]["CPU time"]) == pytest.approx(cpu, abs=0.06)
        assert table[rule]["earlier jobs"] == f"{len(paths)}: own"
        whole += cpu
    assert seconds(table["all"]["CPU time"]) == pytest.approx(whole, abs=0.06 if whole < 120 else 3)
    assert whole > 1
    # The edited strategy's first acquisition is its own doing; what comes after follows.
    assert table["acquire"]["why"] == "2 code changed, 2 follows"
    assert {table[rule]["why"] for rule in files if rule != "acquire"} == {"follows"}
    sizes = [(project.folder / "results/tiny" / path).stat().st_size for path in expected]
    assert f"it replaces {forecast.bytes_(sum(sizes))} of files that are there" in text
    assert table["all"]["disk"] == forecast.bytes_(sum(sizes))
    assert project.planned() == expected  # nothing was made, or marked as made


@pytest.mark.parametrize("edit", ["nothing", "all files touched"])
def test_nothing_to_do(finished, tmp_path, edit):
    project = finished.copy(tmp_path / "copy")
    EDITS[edit][0](project)
    assert plan(project) == "Nothing to be done.\n"


def test_a_changed_config_reruns_for_its_reasons(finished, tmp_path):
    project = finished.copy(tmp_path / "copy")
    project.configure(strategies=TINY["strategies"] | {"sharpened": {"power": 3.0}, "margin": None})
    table = rows(plan(project))
    counted = Counter(int(row["jobs"]) for row in (table["acquire"], table["train"], table["predict"]))
    assert counted == {8: 2, 4: 1}
    assert set(table["acquire"]["why"].split(", ")) == {"2 params changed", "2 follows", "4 missing"}
    assert set(table["train"]["why"].split(", ")) == {"4 follows", "4 missing"}
    # No margin was ever asked for; its training is like that of other strategies of the same learner.
    assert table["acquire"]["earlier jobs"] == "16: 4 own, 4 rule"
    assert set(table["train"]["earlier jobs"].partition(": ")[2].split(", ")) == {"4 own", "4 alike"}


def test_a_study_of_another_name_learns_from_the_finished_one(finished, tmp_path):
    project = finished.copy(tmp_path / "copy")
    project.configure(study="other")
    table = rows(plan(project))
    of = {rule: row["earlier jobs"].partition(": ")[2] for rule, row in table.items()}
    assert {of[rule] for rule in ("dataset", "pretrain", "train", "acquire", "table", "figure")} == {"alike"}
    for rule, path in (("dataset", "digits/dataset.tsv"), ("pretrain", "digits/pretext/simclr/seed0/pretrain.tsv")):
        assert seconds(table[rule]["CPU time"]) == pytest.approx(benchmark(project, path, "cpu_time"), abs=0.06)


def test_a_study_never_run_is_unknown(finished, tmp_path):
    project = finished.copy(tmp_path / "copy")
    (project.folder / "results").rename(project.folder / "elsewhere")
    text = plan(project)
    table = rows(text)
    for row in table.values():
        assert (row["CPU time"], row["memory"], row["disk"], row["earlier jobs"]) == ("unknown",) * 4
        assert row["why"] in ("missing", "-")
    assert "Wall time: unknown" in text
    assert len(text.splitlines()) <= 40


# The jobs that the forecast finds in a project, as a process there: it has plugins of its own.
FIND = """
from poolflow.running.forecast import dry_run, earlier_jobs, rule_files
rules = dry_run(["--cores", "1"]).rules
print(repr(earlier_jobs("results", rule_files(rules))))
"""


def test_every_output_of_a_study_is_found_again(finished):
    command = [sys.executable, "-c", FIND]
    environment = os.environ | {"PYTHONPATH": "workflow"}
    done = subprocess.run(command, cwd=finished.folder, env=environment, capture_output=True, text=True, check=True)
    jobs = eval(done.stdout.splitlines()[-1], {"Earlier": Earlier})
    assert all(earlier.size for earlier in jobs)
    files = list((finished.folder / "results/tiny/benchmarks").rglob("*.tsv"))
    assert len(jobs) == len(files)
    assert sum(earlier.size for earlier in jobs) == sum(
        (finished.folder / "results/tiny" / path).stat().st_size for path in WHOLE
    )
    acquired = {path for path in WHOLE if path.endswith("labeled.h5") and "cycle0" not in path}
    assert Counter(earlier.rule for earlier in jobs)["acquire"] == len(acquired)


def test_a_mistake_in_the_config_is_one_line(finished, tmp_path):
    project = finished.copy(tmp_path / "copy")
    project.configure(budget="many")
    said = plan(project, fails=True)
    assert "budget: found 'many', expected a whole number" in said
    assert "Traceback" not in said
    assert "CPU time" not in said


def test_similar_jobs_in_their_order():
    others = [ran(9.0, chain="q/s"), ran(30.0, dataset="e"), ran(50.0, dataset="e", study="b")]
    same_names = [ran(4.0, seed="1"), ran(6.0, seed="2")]
    elsewhere = [ran(8.0, study="b", seed="5")]
    own = [ran(5.5)]
    for jobs, expected in (
        ([*others, *elsewhere, *same_names, *own], (5.5, "own")),
        ([*others, *elsewhere, *same_names], (5.0, "alike")),
        ([*others, *elsewhere], (8.0, "alike")),
        (others, (9.0, "alike")),
        (others[1:], (40.0, "rule")),
        ([], (None, "unknown")),
    ):
        assert History(jobs).estimate(job(), "cpu")[:2] == expected
    assert len(History([*others, *same_names]).estimate(job(), "cpu")[2]) == 2


def test_other_cycles_give_a_line_or_the_nearest():
    # 2 s and 3 s a cycle, two seeds each: 2 + 3 c.
    jobs = [
        ran(2 + 3 * cycle + shift, cycle, seed=seed) for cycle in (0, 1, 2) for seed, shift in (("1", 1), ("2", -1))
    ]
    assert History(jobs).estimate(job(7), "cpu")[0] == pytest.approx(23)
    assert History(jobs).estimate(job(1), "cpu")[0] == 5
    assert History(jobs[:4]).estimate(job(7), "cpu")[0] == 5
    falling = [ran(3.0 - cycle, cycle, seed="1") for cycle in (0, 1, 2)]
    assert History(falling).estimate(job(9), "cpu")[0] == 0


def test_what_was_not_measured_is_not_taken_for_zero():
    assert History([ran(None, seed="1"), ran(7.0, seed="2")]).estimate(job(), "cpu")[0] == 7
    assert History([ran(None), ran(7.0, seed="2")]).estimate(job(), "cpu")[:2] == (7, "alike")
    assert forecast.number("NA") is None


def test_the_wall_time_is_that_of_a_schedule():
    # a (2 s) -> b (4 s, two threads); c (3 s) and d (1 s) stand alone.
    jobs = [
        job(outputs=("a",)),
        job(inputs=("a", "given"), outputs=("b",), threads=2),
        job(outputs=("c",)),
        job(outputs=("d",)),
    ]
    times = [2.0, 4.0, 3.0, 1.0]
    assert forecast.schedule(jobs, times, 1, 0) == 10
    # a and c at once; at 2 b is next but needs both cores, which are free when c ends at 3; d follows at 7.
    assert forecast.schedule(jobs, times, 2, 0) == 8
    assert forecast.schedule(jobs, times, 100, 0) == 6
    assert forecast.schedule([], [], 2, 0) == 0


def test_jobs_wait_for_a_gpu_and_others_pass_them():
    # a (2 s), b (3 s) and d (4 s) ask for a GPU, c (5 s) does not.
    jobs = [job(gpu=name != "c", outputs=(name,)) for name in "abcd"]
    times = [2.0, 3.0, 5.0, 4.0]
    # With one GPU and many cores a, b, d one after another, c beside them.
    assert forecast.schedule(jobs, times, 100, 1) == 9
    # With two, d follows a.
    assert forecast.schedule(jobs, times, 100, 2) == 6
    assert forecast.schedule(jobs, times, 100, 3) == 5
    assert forecast.schedule(jobs, times, 1, 3) == 14


def test_cached_jobs_cost_nothing_and_gpus_are_counted():
    on_gpu = Planned("train", job().names, (), ("x",), 1, "missing", True)
    cached = Planned("train", job(2).names, (), ("y",), 1, "missing", True)
    history = History([ran(100.0), ran(200.0, 2)])
    table, _ = forecast.forecast([on_gpu, cached], {"y"}, history, 1, 1)
    assert dict(zip(forecast.COLUMNS, table[0], strict=True)) | {"memory": ""} == {
        "rule": "train",
        "jobs": "2",
        "why": "1 from the cache, 1 missing",
        "CPU time": "100.0 s",
        "GPU time": "100.0 s",
        "memory": "",
        "disk": "0.0 kB",
        "earlier jobs": "1: 1 cached, 1 own",
    }
