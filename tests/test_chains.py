"""The names and paths of a study, and what each job is given, without Snakemake."""

import json
import os
from types import SimpleNamespace

import pytest

from poolflow.study import chains, plugins, settings
from poolflow.study.config import ConfigError, check

STUDY = {
    "initial_pools": {"random": None, "kmeans": None, "hard": {"initial_pool": "bins", "pretext": "vae"}},
    "strategies": {
        "random": None,
        "entropy": None,
        "dbal": None,
        "variation_ratio": None,
        "learning_loss": None,
        "emoc": None,
        "apart": {"strategy": "coreset", "pretext": "kmeans"},
        "badge": None,
    },
    "learners": {"small_cnn": None, "warm": {"network": "small_cnn", "training": {"warm_start": True, "epochs": 3}}},
    "pretext": {"vae": {"epochs": 2, "score": "total"}},
    "training": {"members": 4, "passes": 7},
}


@pytest.fixture(scope="module")
def study():
    return check(STUDY)


def names(**wildcards):
    defaults = {"dataset": "digits", "learner": "small_cnn", "seed": "3", "initial_pool": "random"}
    return SimpleNamespace(**(defaults | wildcards))


@pytest.mark.parametrize(
    ("strategy", "variant"),
    [("random", ""), ("entropy", ""), ("dbal", "dropout"), ("variation_ratio", "ensemble"), ("badge", "")],
)
def test_a_strategy_s_chain_has_the_networks_that_it_needs(study, strategy, variant):
    assert chains.variant(study, f"hard/{strategy}") == variant
    assert chains.first_chain(study, "hard", strategy) == (f"hard+{variant}" if variant else "hard")
    assert chains.variant(study, chains.first_chain(study, "hard", strategy)) == variant


def test_the_outputs_of_plain_networks_that_a_strategy_needs_are_predicted_together():
    strategies = ["random", "badge", "entropy", "drop_query", "cluster_margin", "emoc_sets", "variation_ratio"]
    own = {"own": {"strategy": "badge", "pretext": "kmeans"}}  # whose features are those of k-means
    study = check(STUDY | {"strategies": dict.fromkeys(strategies) | own})
    assert chains.predicted_together(study) == {("features", "probs"): ["badge", "drop_query", "cluster_margin"]}


def test_the_labelled_set_of_cycle_0_is_the_initial_pool_s():
    for chain in ("random", "random+dropout", "random/dbal"):
        assert chains.labeled(names(), chain, 0) == "<results>/digits/small_cnn/random/seed3/cycle0/labeled.h5"
    assert chains.labeled(names(), "random/dbal", 2) == "<results>/digits/small_cnn/random/dbal/seed3/cycle2/labeled.h5"


@pytest.mark.parametrize(
    ("strategy", "cycle", "expected"),
    [
        ("random", 1, []),
        ("entropy", 1, ["digits/small_cnn/random/seed3/cycle0/probs.h5"]),
        ("entropy", 2, ["digits/small_cnn/random/entropy/seed3/cycle1/probs.h5"]),
        ("dbal", 1, ["digits/small_cnn/random+dropout/seed3/cycle0/mc_probs.h5"]),
        ("learning_loss", 1, ["digits/small_cnn/random+loss_prediction/seed3/cycle0/predicted_loss.h5"]),
        ("emoc", 3, ["digits/small_cnn/random/emoc/seed3/cycle2/model.pt"]),
        ("badge", 1, [f"digits/small_cnn/random/seed3/cycle0/{need}.h5" for need in ("probs", "features")]),
        # The task k-means makes no features: those of the task that it builds on.
        ("apart", 5, ["digits/pretext/simclr/seed3/features.h5"]),
    ],
)
def test_an_acquisition_reads_what_its_strategy_needs(study, strategy, cycle, expected):
    found = chains.needs_of_acquisition(study, names(strategy=strategy, cycle=str(cycle)))
    assert sorted(found) == sorted(f"<results>/{path}" for path in expected)


def test_a_training_goes_on_from_the_last_one_only_with_a_warm_start(study):
    assert chains.last_model(study, names(chain="random/dbal", cycle="2")) == []
    assert chains.last_model(study, names(learner="warm", chain="random+dropout", cycle="0")) == []
    warm = [chains.last_model(study, names(learner="warm", chain="random/dbal", cycle=cycle)) for cycle in ("1", "2")]
    assert warm == [
        "<results>/digits/warm/random+dropout/seed3/cycle0/model.pt",
        "<results>/digits/warm/random/dbal/seed3/cycle1/model.pt",
    ]


def test_a_learner_asks_for_the_last_network_or_for_one_that_a_pretext_task_trained():
    learners = {
        "ceal": {"network": "small_cnn", "learner": "ceal"},
        "pre": {"network": "small_cnn", "start": "mine"},
        "warm": {"network": "small_cnn", "start": "scan", "training": {"warm_start": True}},
    }
    study = check(STUDY | {"learners": learners, "pretext": {"mine": {"task": "rotation", "epochs": 1}}})
    assert chains.last_model(study, names(learner="ceal", chain="random", cycle="0")) == []
    last = chains.last_model(study, names(learner="ceal", chain="random/dbal", cycle="1"))
    assert last == "<results>/digits/ceal/random+dropout/seed3/cycle0/model.pt"
    assert chains.pretrained(study, names(learner="ceal")) == []
    assert chains.last_model(study, names(learner="pre", chain="random/dbal", cycle="1")) == []
    assert chains.pretrained(study, names(learner="pre")) == "<results>/digits/pretext/mine/seed3/model.pt"
    assert chains.pretrained(study, names(learner="warm")) == "<results>/digits/pretext/scan/seed3/model.pt"
    assert {"mine", "scan", "simclr"} <= set(chains.used_tasks(study))
    assert chains.learners(study, pseudo_labels=True) == ["ceal"]


def test_pretext_tasks_are_those_that_something_uses(study):
    assert chains.used_tasks(study) == ["kmeans", "vae", "simclr"]
    assert chains.pretext_base(study, names(task="kmeans")) == ["<results>/digits/pretext/simclr/seed3/features.h5"]
    assert chains.pretext_model(study, names(task="kmeans")) == []
    assert chains.pretext_model(study, names(task="vae")) == "<results>/digits/pretext/vae/seed3/model.pt"
    needs = chains.needs_of_pretext(study, names(), "initial_pools", "hard")
    assert needs == ["<results>/digits/pretext/vae/seed3/scores.h5"]


def test_published_files_are_asked_for_where_there_are_some(study):
    assert chains.published(study, "datasets", "digits") == []
    mnist = check({"datasets": ["mnist"]})
    assert chains.published(mnist, "datasets", "mnist") == ["<results>/mnist/source.json"]
    for weights, expected in (("download", ["<results>/pretext/net/source.json"]), ("own.pth", [])):
        net = {"task": "pretrained", "weights": weights}
        features = check({"learners": {"mlp": {"features": "net"}}, "pretext": {"net": net}})
        assert chains.published(features, "pretext", "net") == expected


def test_a_block_has_what_its_stage_reads_and_nothing_else(study):
    plain = json.loads(settings.training(study, "small_cnn", ""))
    assert not {"passes", "members", "recipe"} & set(plain["training"])
    assert plain["members"] == 1
    assert "variant" not in plain
    assert json.loads(settings.training(study, "small_cnn", "ensemble"))["members"] == 4
    dropout = json.loads(settings.training(study, "small_cnn", "dropout"))
    assert (dropout["variant"], dropout["parameters"]) == ("dropout", {"dropout": 0.5})
    assert json.loads(settings.prediction(study, "small_cnn", "dropout", "mc_probs"))["settings"] == {
        "mc_probs": {"passes": 7}
    }
    assert json.loads(settings.prediction(study, "small_cnn", "", "probs"))["settings"] == {"probs": {}}
    assert (
        json.loads(settings.acquisition(study, "entropy", "warm"))
        == json.loads(settings.acquisition(study, "entropy", "small_cnn")) | {}
    )
    assert json.loads(settings.acquisition(study, "emoc", "small_cnn"))["learner"]["network"] == "small_cnn"
    vae = json.loads(settings.pretext(study, "vae", "scores"))
    assert (vae["output"], "train" in vae) == ({"score": "total"}, False)
    assert json.loads(settings.pretext(study, "vae"))["train"] == {"epochs": 2}


OWN_DROPOUT = {"small_cnn": {"dropout": 0.2}}


def test_a_variant_leaves_what_the_learner_sets(study):
    study = check({"learners": OWN_DROPOUT, "strategies": ["dbal"]})
    assert json.loads(settings.training(study, "small_cnn", "dropout"))["parameters"] == {"dropout": 0.2}


CHANGES = {
    "another strategy": ({"strategies": {**STUDY["strategies"], "margin": None}}, set()),
    "a key of the figures": ({"figures": {"dpi": 99}}, set()),
    "the epochs": ({"training": {**STUDY["training"], "epochs": 5}}, {"training"}),
    "the passes": ({"training": {**STUDY["training"], "passes": 5}}, {"mc_probs"}),
    "the budget": ({"budget": 5}, {"acquisition"}),
    "the initial size": ({"initial_size": 5}, {"initial_pool"}),
    "the pool": ({"pool": {"subset": 500}}, {"pool"}),
    "a parameter of a task's output": ({"pretext": {"vae": {"epochs": 2}}}, {"scores"}),
    "a parameter of a task's training": ({"pretext": {"vae": {"epochs": 3, "score": "total"}}}, {"pretext"}),
    "the device": ({"device": "cpu"}, {"training", "mc_probs", "pretext", "scores", "emoc"}),
}


def blocks(study):
    return {
        "training": settings.training(study, "small_cnn", "dropout"),
        "mc_probs": settings.prediction(study, "small_cnn", "dropout", "mc_probs"),
        "acquisition": settings.acquisition(study, "entropy", "small_cnn"),
        "emoc": settings.acquisition(study, "emoc", "small_cnn"),
        "initial_pool": settings.initial_pool(study, "hard"),
        "pool": settings.pool(study, "digits"),
        "dataset": settings.dataset(study, "digits"),
        "pretext": settings.pretext(study, "vae"),
        "scores": settings.pretext(study, "vae", "scores"),
    }


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_seen_by_the_jobs_that_read_it(study, change):
    changed, expected = CHANGES[change]
    before, after = blocks(study), blocks(check(STUDY | changed))
    expected = expected | ({"emoc"} if "acquisition" in expected else set())
    assert {name for name in before if before[name] != after[name]} == expected


def test_the_digest_of_a_job_is_that_of_the_plugins_that_it_runs(study):
    assert settings.training_code(study, "small_cnn", "") == settings.training_code(study, "warm", "")
    training = {variant: settings.training_code(study, "small_cnn", variant) for variant in ("", "loss_prediction")}
    assert training[""] != training["loss_prediction"]
    other = check({"learners": ["linear"], "strategies": ["entropy", "emoc"]})
    assert settings.training_code(other, "linear", "") != settings.training_code(study, "small_cnn", "")
    assert settings.acquisition_code(other, "entropy", "linear") == settings.acquisition_code(
        study, "entropy", "small_cnn"
    )
    assert settings.acquisition_code(other, "emoc", "linear") != settings.acquisition_code(study, "emoc", "small_cnn")
    outputs = {need: settings.prediction_code(study, "small_cnn", "", need) for need in plugins.names("outputs")}
    assert len(set(outputs.values())) == len(outputs)


def test_own_data_count_by_names_and_contents(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "cells"
    for name in ("a/1.png", "b/2.png"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(b"1")
    study = {"data_root": str(tmp_path), "datasets": {"cells": {"dataset": "image_folder", "path": "cells"}}}

    def fingerprint(path="cells"):
        study["datasets"]["cells"]["path"] = path
        return settings.dataset(check(study), "cells")

    first = fingerprint()
    assert fingerprint() == first
    os.utime(folder / "a/1.png", ns=(1, 1))
    assert fingerprint() == first
    (folder / "a/1.png").write_bytes(b"2")
    second = fingerprint()
    assert second != first
    (folder / "a/1.png").rename(folder / "b/1.png")
    assert fingerprint() not in (first, second)
    with pytest.raises(ConfigError, match=r"^datasets\.cells\.path: found nothing at .*elsewhere, expected a file or"):
        fingerprint("elsewhere")
    assert json.loads(settings.dataset(check(study), "cells", remote=True))["files"] == [""]


def test_which_acquisitions_ask_for_a_gpu():
    study = check(
        {"device": "auto", "strategies": {"entropy": None, "emoc": None, "v": {"strategy": "vaal", "device": "cuda"}}}
    )
    assert [settings.device_of_acquisition(study, name) for name in study["strategies"]] == ["cpu", "auto", "cuda"]
