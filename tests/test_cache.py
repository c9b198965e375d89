"""Between studies: with Snakemake's cache, what a pretext task learned in one study is taken over by the next."""

import h5py
import pytest
from conftest import Project
from test_forecast import plan, rows, seconds

STUDY = {
    "initial_pools": ["k_center", "simclr", "vae"],  # features of SimCLR, its scores, those of a VAE
    "pretext": {"simclr": {"epochs": 1}, "vae": {"epochs": 1}},
    "strategies": ["random"],
    "seeds": [0, 1],
    "initial_size": 10,
    "budget": 5,
    "cycles": 1,
    "training": {"epochs": 1},
}
TASKS = ("simclr", "vae")
# What of a study the cache keeps.
CACHED = ("digits/dataset.h5", "digits/pretext/*/seed*/*")


def labeled(study, seeds, pools=STUDY["initial_pools"]):
    return [f"results/{study}/digits/small_cnn/{pool}/seed{seed}/cycle0/labeled.h5" for pool in pools for seed in seeds]


def contents(project, study, seed):
    """Return the initial pools of a study: {path below results/<study>: bytes}."""
    return {path.split("/", 2)[2]: (project.folder / path).read_bytes() for path in labeled(study, [seed])}


def trained(project, study):
    """Return the tasks and seeds that a study trained itself: pretrain says how far it is in its log."""
    folder = project.folder / "results" / study / "logs/digits/pretext"
    return {(path.parts[-3], path.parts[-2]) for path in folder.glob("*/seed*/pretrain.log") if path.stat().st_size}


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A study that filled a cache, and one by another name that used it; run once. Copy it; do not change it."""
    folder = tmp_path_factory.mktemp("cache")
    (folder / "cache").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SNAKEMAKE_OUTPUT_CACHE", str(folder / "cache"))
        project = Project.new(folder / "project", STUDY)
        for study in ("first", "second"):
            project.configure(STUDY, study=study)
            project.snakemake("--cores", "2", "--cache", "--", *labeled(study, STUDY["seeds"]))
        yield project


def test_a_second_study_does_not_train_again(shared):
    assert trained(shared, "first") == {(task, f"seed{seed}") for task in TASKS for seed in STUDY["seeds"]}
    assert trained(shared, "second") == set()
    first, second = (shared.folder / "results" / study for study in ("first", "second"))
    files = [path.relative_to(first) for pattern in CACHED for path in first.glob(pattern)]
    # dataset.h5, and for each seed model.pt, losses.csv and scores.h5 of both tasks and SimCLR's features.h5
    assert len(files) == 1 + 7 * len(STUDY["seeds"])
    for path in files:
        assert (first / path).is_symlink()
        assert (first / path).resolve() == (second / path).resolve()
    # Seeds and outputs are wildcards, which Snakemake does not tell apart.
    assert len({(first / path).resolve() for path in files}) == len(files)
    with (
        h5py.File(second / "digits/pretext/vae/seed0/scores.h5") as a,
        h5py.File(second / "digits/pretext/vae/seed1/scores.h5") as b,
    ):
        assert [file.attrs["job"].decode() for file in (a, b)] == [f"digits/pretext/vae/seed{seed}" for seed in (0, 1)]


def test_what_comes_out_of_the_cache_is_what_a_run_without_it_makes(shared, tmp_path):
    alone = Project.new(tmp_path / "alone", STUDY | {"study": "alone"})
    alone.snakemake("--cores", "2", "--", *labeled("alone", [0]))
    assert trained(alone, "alone") == {(task, "seed0") for task in TASKS}
    benchmarks = alone.folder / "results/alone/benchmarks/digits"
    assert all((benchmarks / f"pretext/{task}/seed0/pretrain.tsv").exists() for task in TASKS)
    expected = contents(alone, "alone", 0)
    assert contents(shared, "second", 0) == contents(shared, "first", 0) == expected
    for name in ("simclr/seed0/features.h5", "simclr/seed0/scores.h5", "vae/seed0/scores.h5"):
        path = f"digits/pretext/{name}"
        assert (shared.folder / "results/second" / path).read_bytes() == alone.files(path)[path]


def test_a_finished_study_stays_so_with_and_without_the_cache(shared, tmp_path):
    project = shared.copy(tmp_path / "copy")
    project.configure(STUDY, study="second")
    for option in ([], ["--cache"]):
        assert "Nothing to be done" in project.snakemake("-n", *option, "--", *labeled("second", STUDY["seeds"]))


def test_the_forecast_says_what_comes_out_of_the_cache(shared, tmp_path):
    project = shared.copy(tmp_path / "copy")
    project.configure(STUDY, study="fifth", pretext={"simclr": {"epochs": 2}, "vae": {"epochs": 1}})
    targets = ("--", *labeled("fifth", STUDY["seeds"]))
    table = rows(plan(project, "--cache", *targets))
    assert (table["dataset"]["why"], table["dataset"]["CPU time"]) == ("from the cache", "0.0 s")
    assert set(table["pretrain"]["why"].split(", ")) == {"2 missing", "2 from the cache"}
    assert table["pretrain"]["earlier jobs"] == "2: 2 alike, 2 cached"  # a run with the cache knows its costs as well
    assert seconds(table["pretrain"]["CPU time"]) > 0
    assert {row["why"] for rule, row in rows(plan(project, *targets)).items() if rule != "all"} == {"missing"}


def test_other_parameters_of_a_task_train_it_and_leave_the_cached_ones(shared, tmp_path):
    project = shared.copy(tmp_path / "copy")
    before = contents(project, "first", 0)
    project.configure(STUDY, study="third", pretext={"simclr": {"epochs": 2}, "vae": {"epochs": 1}})
    project.snakemake("--cores", "2", "--cache", "--", *labeled("third", [0]))
    assert trained(project, "third") == {("simclr", "seed0")}
    learned = "digits/pretext/simclr/seed0/losses.csv"
    losses = [project.folder / "results" / study / learned for study in ("first", "third")]
    assert [len(path.read_text().splitlines()) for path in losses] == [2, 3]  # a header, and a line for each epoch
    assert contents(project, "first", 0) == before
    # A rerun writes beside the cached file, not into it.
    project.configure(STUDY, study="second", pretext={"simclr": {"epochs": 2}, "vae": {"epochs": 1}})
    project.snakemake("--cores", "2", "--", *labeled("second", [0]))
    second = project.folder / "results/second" / learned
    assert not second.is_symlink()
    assert second.read_text() == losses[1].read_text()
    assert len(losses[0].read_text().splitlines()) == 2


@pytest.mark.parametrize("wrong", ["relative", "/nowhere/at/all"])
def test_a_cache_that_is_no_folder_is_named_before_anything_runs(shared, tmp_path, monkeypatch, wrong):
    project = Project.new(tmp_path / "project", STUDY | {"study": "fourth"})
    (project.folder / "relative").mkdir()
    monkeypatch.setenv("SNAKEMAKE_OUTPUT_CACHE", wrong)
    output = project.snakemake("--cores", "1", "--cache", fails=True)
    assert f"SNAKEMAKE_OUTPUT_CACHE: found '{wrong}', expected the absolute path of a folder" in output
