"""Mistakes in a config: one line each, with the key, what was found and what to write."""

import copy
import json
import re

import numpy as np
import pytest
import yaml
from conftest import ROOT, Project

from poolflow.__main__ import stages
from poolflow.study import chains, checks, plugins
from poolflow.study.config import ConfigError, as_written, check, load_schema, recipes

MISTAKES = {
    "unknown key": ({"strategys": ["random"]}, "strategys: found unknown key 'strategys'", "did you mean strategies?"),
    "unknown strategy": ({"strategies": ["entrpy"]}, "strategies: found unknown strategy 'entrpy'", "mean entropy?"),
    "unknown pool": ({"initial_pools": ["kmean"]}, "initial_pools: found unknown initial pool 'kmean'", "kmeans?"),
    "unknown data set": ({"datasets": ["digit"]}, "datasets: found unknown dataset 'digit'", "mean digits?"),
    "unknown network": (
        {"learners": {"a": {"network": "lennet"}}},
        "learners.a.network: found unknown network 'lennet'",
        "did you mean lenet?",
    ),
    "unknown learner": (
        {"learners": {"a": {"learner": "supervise", "network": "mlp"}}},
        "learners.a.learner: found unknown learner 'supervise'",
        "did you mean supervised?",
    ),
    "unknown parameter of a learner and its network": (
        {"learners": {"a": {"network": {"network": "mlp", "widths": 3}}}},
        "learners.a.widths: found unknown parameter of mlp 'widths'",
        "expected one of dropout, features, hidden, layers, learner, network, start, training",
    ),
    "a value outside the bounds": (
        {"initial_pools": {"typiclust": {"neighbours": -5}}},
        "initial_pools.typiclust.neighbours: found -5",
        "expected a number >= 1",
    ),
    "a value outside what another key allows": (
        {"initial_pools": {"bins": {"pretext": "vae", "bins": 30}}},
        "initial_pools.bins.bins: found 30",
        "expected a number >= 2 and <= 20, the initial_size",
    ),
    "a default outside what another key allows": (
        {"strategies": ["emoc"], "budget": 1200, "cycles": 1},
        "strategies.emoc.candidates: found 1000, the default",
        "expected 0 or a number >= 1200, the budget",
    ),
    "an unknown word": (
        {"pretext": {"simclr": {"optimizer": "adma"}}, "initial_pools": ["simclr"]},
        "pretext.simclr.optimizer: found 'adma'",
        "expected adam or adamw or lars or sgd",
    ),
    "a network outside the bounds": (
        {"learners": {"small_cnn": {"dropout": 1.5}}},
        "learners.small_cnn.dropout: found 1.5",
        "expected a number >= 0 and < 1",
    ),
    "unknown variant": (
        {"strategies": {"random": {"variant": "droput"}}},
        "strategies.random.variant: found unknown variant 'droput'",
        "did you mean dropout?",
    ),
    "another variant than the strategy needs": (
        {"strategies": {"bald": {"variant": "ensemble"}}},
        "strategies.bald.variant: found 'ensemble'",
        "expected dropout, which bald needs",
    ),
    "the name of a control taken": (
        {"strategies": {"bald": None, "random_dropout": {"strategy": "margin"}}, "controls": True},
        "strategies.random_dropout: found margin",
        "expected that name to be free for the control that controls: true adds",
    ),
    "no number": (
        {"training": {"learning_rate": float("nan")}},
        "training.learning_rate: found nan",
        "expected a finite number, more than 0",
    ),
    "no end": (
        {"datasets": {"digits": {"pool": {"imbalance": float("inf")}}}},
        "datasets.digits.pool.imbalance: found inf",
        "expected a finite number, at least 1",
    ),
    "no number of a plugin": (
        {"strategies": {"prob_cover": {"delta": float("nan")}}},
        "strategies.prob_cover.delta: found nan",
        "expected auto or a finite number > 0",
    ),
    "unknown training key": ({"training": {"epoch": 3}}, "training.epoch: found unknown key 'epoch'", "mean epochs?"),
    "unknown parameter": (
        {"initial_pools": {"kmeans": {"quotas": "equal"}}},
        "initial_pools.kmeans.quotas: found unknown parameter of kmeans 'quotas'",
        "did you mean quota?",
    ),
    "parameter of a strategy that has none": (
        {"strategies": {"entropy": {"samples": 50}}},
        "strategies.entropy.samples: found unknown parameter of entropy 'samples'",
        "expected one of pretext, strategy",
    ),
    "type of a parameter": (
        {"learners": {"small_cnn": {"width": "wide"}}},
        "learners.small_cnn.width: found 'wide', expected int",
        "",
    ),
    "true is no number": ({"learners": {"small_cnn": {"width": True}}}, "learners.small_cnn.width: found True", "int"),
    "own training setting": (
        {"learners": {"small_cnn": {"training": {"epochs": 0}}}},
        "learners.small_cnn.training.epochs: found 0, expected a whole number, at least 1",
        "",
    ),
    "own training settings empty": (
        {"learners": {"small_cnn": {"training": None}}},
        "learners.small_cnn.training: found nothing, expected keys and values",
        "",
    ),
    "a fraction of a cluster": (
        {"pretext": {"kmeans": {"clusters": 2.5}}},
        "pretext.kmeans.clusters: found 2.5, expected int | str | None",
        "",
    ),
    "budget larger than the pool": (
        {"budget": 1000},
        "budget: found initial_size 20 + budget 1000 x cycles 4 = 4020 labels",
        "at most the 1437 images in the pool of digits",
    ),
    "pool without the validation": (
        {"budget": 300, "pool": {"validation": 0.5}},
        "budget: found",
        "at most the 719 images in the pool of digits",
    ),
    "subset of the pool": ({"budget": 30, "pool": {"subset": 99}}, "budget: found", "at most the 99 images"),
    "long tail": ({"budget": 300, "pool": {"imbalance": 50}}, "budget: found", "at most the 398 images"),
    "unknown key of a pool": (
        {"datasets": {"digits": {"pool": {"flip": True}}}},
        "datasets.digits.pool.flip: found unknown key 'flip'",
        "did you mean flips?",
    ),
    "more classes than there are": (
        {"pool": {"known_classes": 6, "novel_classes": 5, "images_per_class": 10}},
        "pool.known_classes: found 6 known + 5 novel classes, expected at most the 10 of digits",
        "",
    ),
    "labels that nobody gave": (
        {"initial_pools": ["given"]},
        "initial_pools.given: no labels of digits are given from the start; write pool: {start: N}",
        "",
    ),
    "unknown recipe": (
        {"training": {"recipe": "chandra2021_cifr"}},
        "training.recipe: found unknown recipe 'chandra2021_cifr'",
        "did you mean chandra2021_cifar?",
    ),
    "unknown recipe of a learner": (
        {"learners": {"small_cnn": {"training": {"recipe": "fasst"}}}},
        "learners.small_cnn.training.recipe: found unknown recipe 'fasst'",
        "did you mean fast?",
    ),
    "best epoch by no validation": (
        {"training": {"best_epoch": True}},
        "learners.small_cnn.training.best_epoch: digits has no validation split",
        "write pool: {validation: 0.1}",
    ),
    "patience without a best epoch": (
        {"training": {"patience": 3}},
        "learners.small_cnn.training.patience: found 3, expected best_epoch: true",
        "",
    ),
    "steps of no length": (
        {"training": {"schedule": "step"}},
        "learners.small_cnn.training.schedule_epochs: found 0, expected the epochs between two steps",
        "",
    ),
    "Nesterov without momentum": (
        {"training": {"optimizer": "sgd", "momentum": 0, "nesterov": True}},
        "learners.small_cnn.training.nesterov: found True with momentum 0",
        "",
    ),
    "shrink without a warm start": (
        {"training": {"shrink": 0.4}},
        "learners.small_cnn.training.shrink: found 0.4, expected warm_start: true beside it",
        "",
    ),
    "a frozen body that learned nothing": (
        {"training": {"freeze": True}},
        "learners.small_cnn.training.freeze: found true, expected a pretext task to start from",
        "learners.small_cnn.start",
    ),
    "start from a task that trains no network": (
        {"learners": {"a": {"network": "small_cnn", "start": "vae"}}},
        "learners.a.start: vae trains no network of the study; write one of deepcluster, rotation, ",
        "simclr",
    ),
    "start from another network": (
        {"learners": {"a": {"network": "small_cnn"}, "b": {"network": "small_cnn", "width": 9, "start": "simclr"}}},
        "learners.b.start: simclr trains small_cnn {}, but the learner's network is small_cnn {'width': 9}",
        "write pretext: {simclr: {network: ...}}",
    ),
    "start from an unknown task": (
        {"learners": {"a": {"network": "small_cnn", "start": "simcl"}}},
        "learners.a.start: found unknown pretext task 'simcl'",
        "did you mean simclr?",
    ),
    "a name that is taken for the whole pool": (
        {"initial_pools": {"passive": {"initial_pool": "random"}}},
        "initial_pools.passive: found 'passive'",
        "expected another name",
    ),
    "features of a task that embeds no test image": (
        {"learners": {"a": {"network": "mlp", "features": "simclr"}}},
        "learners.a.features: simclr gives features of the pool alone, and none of the test images; write a task such",
        "pretrained",
    ),
    "features for a network of images": (
        {"learners": {"a": {"network": "small_cnn", "features": "pretrained"}}},
        "learners.a: small_cnn takes images, but digits holds features",
        "",
    ),
    "a strategy that takes images, of features": (
        {"learners": {"a": {"network": "mlp", "features": "pretrained"}}, "strategies": ["vaal"]},
        "strategies.vaal: vaal takes images, but it learns from features of pretrained",
        "",
    ),
    "features beside a start": (
        {"learners": {"a": {"network": "mlp", "features": "pretrained", "start": "simclr"}}},
        "learners.a.features: found pretrained beside start: simclr; write one of the two",
        "",
    ),
    "augmented features": (
        {"learners": {"a": {"network": "linear", "features": "pretrained", "training": {"flip": True}}}},
        "learners.a.training.flip: augmentation needs images, but it learns from features of pretrained",
        "",
    ),
    "features of mirrored images": (
        {"learners": {"a": {"network": "linear", "features": "pretrained"}}, "pool": {"flips": True}},
        "pretext.pretrained: pretrained embeds the images as they are, but those of digits are changed by pool.flips",
        "",
    ),
    "weights that are not there": (
        {
            "learners": {"a": {"network": "linear", "features": "net"}},
            "pretext": {"net": {"task": "pretrained", "sha256": 3}},
        },
        "pretext.net.sha256: found 3",
        "expected str | None",
    ),
    "a learner that needs images": (
        {
            "datasets": {"rows": {"dataset": "features", "path": "rows.npz"}},
            "learners": {"a": {"network": "linear", "learner": "fixmatch"}},
        },
        "learners.a: fixmatch takes images, but rows is a table of features",
        "",
    ),
    "a learner that a variant does not go with": (
        {"learners": {"a": {"network": "small_cnn", "learner": "fixmatch"}}, "strategies": ["learning_loss"]},
        "learners.a: the strategy learning_loss needs a network with loss_prediction, which fixmatch does not go with",
        "",
    ),
    "an unknown learner to compare with": (
        {"statistics": {"reference_learner": "plain"}},
        "statistics.reference_learner: found plain, expected one of small_cnn",
        "",
    ),
    "pool of an unknown task": (
        {"initial_pools": {"a": {"initial_pool": "highest", "pretext": "simcl"}}},
        "initial_pools.a.pretext: found unknown pretext task 'simcl'",
        "did you mean simclr?",
    ),
    "pool without a task": (
        {"initial_pools": ["highest"]},
        "initial_pools.highest.pretext: found nothing, expected a task that gives scores, such as inpainting, rotation",
        "simclr, vae",
    ),
    "task without scores": (
        {"initial_pools": {"a": {"initial_pool": "bins", "pretext": "kmeans"}}},
        "initial_pools.a.pretext: kmeans gives clusters and features, but bins needs scores",
        "",
    ),
    "task without use": (
        {"initial_pools": {"random": {"pretext": "vae"}}},
        "initial_pools.random.pretext: found vae, but random takes nothing of a pretext task",
        "",
    ),
    "strategy without use for a task": (
        {"strategies": {"entropy": {"pretext": "simclr"}}},
        "strategies.entropy.pretext: found simclr, but entropy takes nothing of a pretext task",
        "",
    ),
    "tasks in a circle": (
        {"pretext": {"a": {"task": "kmeans", "of": "b"}, "b": {"task": "kmeans", "of": "a"}}},
        "pretext.a.of: found a circle, a of b of a",
        "",
    ),
    "task of an unknown one": (
        {"pretext": {"kmeans": {"of": "simclrr"}}},
        "pretext.kmeans.of: found unknown pretext task 'simclrr'",
        "did you mean simclr?",
    ),
    "task that builds on none": (
        {"pretext": {"vae": {"of": "simclr"}}},
        "pretext.vae.of: found simclr, but vae builds on no other task",
        "",
    ),
    "task of a task without the network": (
        {"pretext": {"scan": {"of": "vae"}}},
        "pretext.scan.of: found vae, expected a task that trains the network of the study",
        "",
    ),
    "unknown task": (
        {"pretext": {"a": {"task": "jigsaw"}}},
        "pretext.a.task: found unknown task 'jigsaw'",
        f"expected one of {', '.join(plugins.names('pretext'))}",
    ),
    "parameter of a task": (
        {"pretext": {"simclr": {"epoch": 3}}},
        "pretext.simclr.epoch: found unknown parameter of simclr 'epoch'",
        "did you mean epochs?",
    ),
    "network of a task": (
        {"pretext": {"simclr": {"network": "resnet"}}},
        "pretext.simclr.network: found unknown network 'resnet'",
        "did you mean resnet18?",
    ),
    "network of a task that has its own": (
        {"pretext": {"vae": {"network": "resnet18"}}},
        "pretext.vae.network: found unknown parameter of vae 'network'",
        "",
    ),
    "images too small for a task": (
        {"pretext": {"simclr": {"network": "lenet"}}},
        "pretext.simclr.network: found images of 8 x 8 in digits, expected at least 16 x 16 for the network lenet",
        "",
    ),
    "recipe of a task": (
        {"pretext": {"simclr": {"recipe": "chandra"}}},
        "pretext.simclr.recipe: found unknown recipe of simclr 'chandra', expected one of chandra2021_cifar",
        "",
    ),
    "pretext as a list": (
        {"pretext": ["simclr"]},
        "pretext: found ['simclr'], expected a mapping of names to settings",
        "",
    ),
    "images too small": ({"learners": ["lenet"]}, "learners.lenet: found images of 8 x 8", "at least 16 x 16"),
    "negative cycles": ({"cycles": -1}, "cycles: found -1, expected a whole number, at least 0", ""),
    "all that are given, but drawn": ({"initial_size": 0}, "initial_size: found 0, expected at least 1", "pool random"),
    "classes as text": (
        {"datasets": {"a": {"dataset": "image_folder", "path": "a", "classes": "b"}}},
        "datasets.a.classes: found 'b', expected list | None",
        "",
    ),
    "negative seed": ({"seeds": [0, -1]}, "seeds.1: found -1, expected a whole number, at least 0", ""),
    "repeated seed": ({"seeds": [1, 1]}, "seeds: found [1, 1], expected each entry once", ""),
    "no seeds": ({"seeds": []}, "seeds: found [], expected at least 1 entry", ""),
    "repeated strategy": ({"strategies": ["random", "random"]}, "strategies: found", "each name once"),
    "no strategies": ({"strategies": []}, "strategies: found []", "a list of names"),
    "strategy as text": ({"strategies": "entropy"}, "strategies: found 'entropy'", "a list of names"),
    "text for a number": ({"budget": "many"}, "budget: found 'many', expected a whole number, at least 1", ""),
    "YAML's idea of 1e-3": (
        {"training": {"learning_rate": "1e-3"}},
        "training.learning_rate: found '1e-3', expected a number, more than 0",
        "write 0.001 or 1.0e-3",
    ),
    "fraction for a count": ({"budget": 0.1}, "budget: found 0.1, expected a whole number, at least 1", ""),
    "empty block": ({"training": None}, "training: found nothing, expected keys and values", ""),
    "wrong choice": ({"device": "gpu"}, "device: found 'gpu', expected one of auto, cpu, cuda", ""),
    "slash in the study": ({"study": "a/b"}, "study: found 'a/b', expected a name of letters", ""),
    "slash in a name": ({"strategies": {"a/b": {"strategy": "random"}}}, "strategies.a/b: found 'a/b'", "a name of"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line(mistake):
    config, start, part = MISTAKES[mistake]
    with pytest.raises(ConfigError) as caught:
        check(config)
    (line,) = str(caught.value).split("\n")
    assert line.startswith(start)
    assert part in line


def test_every_mistake_has_its_line():
    with pytest.raises(ConfigError) as caught:
        check({"cycles": -1, "seeds": [-1], "strategie": [], "datasets": ["digit"], "training": {"epochs": "x"}})
    keys = [line.split(":")[0] for line in str(caught.value).split("\n")]
    assert keys == ["strategie", "cycles", "seeds.0", "training.epochs", "datasets"]


def test_defaults_variants_and_overrides():
    study = check(
        {
            "strategies": {"ask": {"strategy": "margin"}},
            "learners": {"wide": {"network": "small_cnn", "width": 64, "training": {"epochs": 3.0}}},
            "training": {"epochs": 7, "batch_size": 16},
        }
    )
    ask = {"plugin": "margin", "facts": {"NEEDS": ("probs",)}, "pretext": None, "variant": "", "parameters": {}}
    assert study["strategies"] == {"ask": ask}
    wide = study["learners"]["wide"]
    assert (wide["plugin"], wide["parameters"]) == ("supervised", {})
    assert (wide["network"]["network"], wide["network"]["parameters"]) == ("small_cnn", {"width": 64})
    training = study["learners"]["wide"]["training"]
    assert (training["epochs"], training["batch_size"], training["optimizer"]) == (3, 16, "adam")
    assert isinstance(training["epochs"], int)
    assert study["datasets"]["digits"]["pool"] == study["pool"]
    random = {"plugin": "random", "facts": {"NEEDS": (), "SCORED": False}, "pretext": None, "parameters": {}}
    assert study["initial_pools"] == {"random": random}


def test_every_kind_of_network_gets_its_control():
    strategies = {"margin": None, "bald": None, "dbal": None, "learning_loss": None, "plain": {"strategy": "random"}}
    study = check({"strategies": strategies, "controls": True})
    added = {name: entry["variant"] for name, entry in study["strategies"].items() if name not in strategies}
    assert added == {"random_dropout": "dropout", "random_loss_prediction": "loss_prediction"}
    assert {study["strategies"][name]["plugin"] for name in added} == {"random"}
    assert list(check({"strategies": ["margin"], "controls": True})["strategies"]) == ["margin", "random"]
    own = {"dbal": None, "mine": {"strategy": "random", "variant": "dropout"}}
    assert list(check({"strategies": own, "controls": True})["strategies"]) == ["dbal", "mine"]
    assert chains.first_chain(study, "random", "random_dropout") == chains.first_chain(study, "random", "bald")


def test_a_comparison_across_kinds_of_network_is_said():
    (note,) = checks.notes(check({"strategies": ["random", "margin", "bald", "dbal"]}))
    assert note.startswith("strategies: bald, dbal train another kind of network (dropout)")
    assert "controls: true" in note
    assert checks.notes(check({"strategies": ["random", "margin", "bald"], "controls": True})) == []
    assert checks.notes(check({"strategies": ["random", "margin"]})) == []


def test_a_parameter_of_an_output_that_nothing_uses_is_not_asked_about():
    pool = {"pool": {"subset": 300}}  # fewer than the negatives of SimCLR's scores, 512 by default
    assert check({"initial_pools": ["typiclust"], "budget": 5} | pool)["pretext"].keys() == {"simclr"}
    with pytest.raises(ConfigError, match=r"pretext\.simclr\.negatives: found 512, the default, expected .* < 300"):
        check({"initial_pools": ["simclr"], "budget": 5} | pool)


def test_a_learner_may_have_its_network_s_parameters_within():
    both = check(
        {"learners": {"a": {"network": "mlp", "hidden": 7}, "b": {"network": {"network": "mlp", "hidden": 7}}}}
    )
    assert both["learners"]["a"] == both["learners"]["b"]


def keys(rules, prefix=""):
    for name, rule in rules["properties"].items():
        yield prefix + name, rule
        if "properties" in rule:
            yield from keys(rule, f"{prefix}{name}.")


@pytest.mark.parametrize(("key", "rule"), list(keys(load_schema())))
def test_every_key_has_a_description_and_a_default_that_is_valid(key, rule):
    assert rule["description"].endswith(".")
    assert "default" in rule
    *parents, last = key.split(".")
    config = {last: rule["default"]}
    for parent in reversed(parents):
        config = {parent: config}
    check(config)


def test_a_strategy_with_unknown_needs_is_named(tmp_path, monkeypatch):
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies" / "mine.py").write_text('NEEDS = ("prob",)\ndef select(pool, budget, rng): ...\n')
    monkeypatch.setattr(plugins, "PACKAGE", tmp_path)
    with pytest.raises(plugins.PluginError, match=r"mine\.py: NEEDS .* found \('prob',\)"):
        plugins.literals.__wrapped__("strategies", "mine")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cycles: -1\nstrategies: [entrpy]\n", "cycles: found -1, expected a whole number, at least 0"),
        ("strategies: [entrpy]\nbudget: 5000\n", "did you mean entropy?"),
        ("study: a\nstudy: b\n", "config.yaml: study: found twice, in lines 1 and 2, expected each key once"),
        ("a: [\n", "config.yaml: line 2, column 1: "),
        (None, "config.yaml: found nothing there, expected the config of a study"),
    ],
)
def test_snakemake_refuses_a_wrong_config_in_one_line(tmp_path, text, expected):
    project = Project.new(tmp_path / "p")
    if text is None:
        (project.folder / "config.yaml").unlink()
    else:
        project.write("config.yaml", text)
    output = project.snakemake("--cores", "1", fails=True)
    assert expected in output
    assert "Traceback" not in output
    assert ".smk" not in output
    assert output.splitlines()[-1].startswith(("config.yaml: ", "strategies: "))
    assert not (project.folder / "results").exists()


@pytest.mark.parametrize(
    ("values", "read"),
    [
        ({"seeds": ["0", "1"]}, {"seeds": [0, 1]}),
        ({"pool": {"validation": 0.1}}, {"pool": {"validation": 0.1}}),
        ({"strategies": ["random", "NA"]}, {"strategies": ["random", "NA"]}),
        ({"cycles": 3, "data_root": "1e3"}, {"cycles": 3, "data_root": "1e3"}),
    ],
)
def test_what_the_command_line_gives_is_read_as_the_file_is(values, read):
    assert as_written(values) == read


def test_whole_numbers_that_are_written_as_floats_are_whole_numbers():
    study = check({"seeds": [0.0, 1.0], "cycles": 3.0, "learners": {"small_cnn": {"width": 16.0}}})
    found = study["seeds"], study["cycles"], study["learners"]["small_cnn"]["network"]["parameters"]["width"]
    assert repr(found) == "([0, 1], 3, 16)"


# Names


KEYS = ["datasets", "learners", "initial_pools", "strategies"]
PLUGIN = {"datasets": "digits", "learners": "small_cnn", "initial_pools": "random", "strategies": "random"}


def named(key, *names):
    word = {"datasets": "dataset", "learners": "network", "initial_pools": "initial_pool", "strategies": "strategy"}[
        key
    ]
    return {key: {name: {word: PLUGIN[key]} for name in names}}


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    "name",
    ["a\n", "", ".", "..", "a/b", "a b", "a+b", "ä", "a" * 101, "a." * 200, "-a", "a\x00", "{seed}", "$(ls)", "'"],
)
def test_a_name_that_breaks_a_path_or_a_pattern_is_refused(key, name):
    with pytest.raises(ConfigError, match=r"expected a name of letters, digits, '.', '_' and '-', at most 100"):
        check(named(key, name))


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("name", [2024, 5.0, True, None])
def test_a_name_that_is_no_text_is_refused_and_the_line_says_how_to_write_it(key, name):
    expected = rf'{key}\..*: found {name}, expected text; write it in quotes, "{name}"'
    with pytest.raises(ConfigError, match=r"expected a name" if name is None else expected):
        check(named(key, name))
    if name is not None:
        with pytest.raises(ConfigError, match=rf'^{key}: found {name}, expected text; write it in quotes, "{name}"$'):
            check({key: [name]})


@pytest.mark.parametrize("key", KEYS)
def test_names_that_look_like_something_else_are_names(key):
    names = ["2024", "16", "NA", "05", "5", "nan", "true", "1e3", "null", "a.b-c_d"]
    assert list(check(named(key, *names))[key]) == names


@pytest.mark.parametrize("key", KEYS)
def test_names_that_differ_by_their_case_alone_are_refused(key):
    with pytest.raises(ConfigError, match=rf"{key}\.Mine: found mine as well, expected names that differ by more than"):
        check(named(key, "mine", "Mine"))


@pytest.mark.parametrize(
    ("key", "name"),
    [
        *(("datasets", name) for name in ("figures", "logs", "benchmarks", "curves.csv", "report.html")),
        *(("learners", name) for name in ("pool", "pools", "pretext", "dataset.h5", "source.json")),
        ("strategies", "seed0"),
        ("initial_pools", "seed12"),
    ],
)
def test_a_name_that_is_taken_in_the_folder_of_the_results_is_refused(key, name):
    with pytest.raises(ConfigError, match=rf"^{key}\.{name}: found '{name}', expected another name: that one is taken"):
        check(named(key, name))


def test_the_names_that_are_taken_are_all_that_lies_beside_data_sets_and_learners(finished):
    results = finished.folder / "results/tiny"
    for key, folder in (("datasets", results), ("learners", results / "digits")):
        beside = {path.name for path in folder.iterdir()} - {"digits", "small_cnn"}
        assert beside
        for name in beside:
            with pytest.raises(ConfigError, match=rf"{key}\.{name}: found"):
                check(named(key, name))


# Values that mean nothing, wherever they stand


FULL = {
    "study": "a",
    "seed": 0,
    "seeds": [0],
    "data_root": "data",
    "datasets": {"d": {"dataset": "digits", "pool": {"subset": 100, "validation": 0.1}}},
    "learners": {
        "l": {"network": {"network": "small_cnn", "width": 8}, "learner": "supervised", "training": {"epochs": 2}}
    },
    "initial_pools": {"p": {"initial_pool": "per_cluster", "pretext": "k"}, "random": None},
    "strategies": {"s": {"strategy": "coreset", "pretext": "sim", "variant": "dropout"}, "m": {"strategy": "margin"}},
    "pretext": {"k": {"task": "kmeans", "of": "sim"}, "sim": {"task": "simclr", "network": "small_cnn", "epochs": 2}},
    "initial_size": 10,
    "budget": 5,
    "cycles": 1,
    "controls": False,
    "training": {"recipe": "fast", "epochs": 3},
    "pool": {"validation": 0.1},
    "figures": {"title": "a", "dpi": 60},
}
HOSTILE = [
    None, True, 0, -1, 3, 2.5, 1e300, 10**400, float("nan"), float("inf"), "", "x", "a\n", "\x00", "\ud800", "../up",
    [], ["vae"], [[]], [None], [{}], {}, {"a": 1}, {1: 2}, {None: None}, {"task": []}, [float("nan")], "x" * 5000,
]  # fmt: skip


def places(value, where=()):
    yield where
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*where, key))


@pytest.mark.parametrize("place", list(places(FULL))[1:], ids=lambda place: ".".join(map(str, place)))
def test_whatever_stands_anywhere_a_config_is_accepted_or_refused_in_lines(place):
    assert check(copy.deepcopy(FULL))
    for value in HOSTILE:
        config = copy.deepcopy(FULL)
        parent = config
        for key in place[:-1]:
            parent = parent[key]
        parent[place[-1]] = value
        try:
            study = check(config)
        except ConfigError as error:
            lines = str(error).splitlines()
            assert lines, place
            assert all(": found " in line or ": " in line for line in lines), (place, value, lines)
        else:
            json.dumps(study, allow_nan=False)
            assert not re.search(r"\bNaN\b|\\u0000|\\ud800", json.dumps(study)), (place, value)


def test_numbers_that_are_none_are_refused_once_wherever_they_stand():
    for config in ({"seeds": [float("nan")]}, {"learners": {"small_cnn": {"width": float("inf")}}}):
        with pytest.raises(ConfigError) as error:
            check(config)
        assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("pool", [{"novel_classes": 3}, {"novel_classes": 3, "images_per_class": 5}])
def test_novel_classes_without_known_ones_mean_nothing(pool):
    message = r"^datasets.digits.pool.novel_classes: found 3, expected known_classes beside it"
    with pytest.raises(ConfigError, match=message):
        check({"datasets": {"digits": {"pool": pool}}})


@pytest.mark.parametrize(
    "target",
    [
        "none/dataset.h5",
        "digits/pretext/none/seed0/features.h5",
        "digits/small_cnn/none/seed0/cycle0/metrics.json",
        "digits/small_cnn/random/none/seed0/cycle1/metrics.json",
    ],
)
def test_a_target_of_a_name_that_the_study_lacks_is_one_line(tmp_path, target):
    output = Project.new(tmp_path / "p").snakemake("--dry-run", f"results/tiny/{target}", fails=True)
    assert f"No rule to produce results/tiny/{target}" in output
    assert "Traceback" not in output


def test_a_study_file_does_not_inherit_from_the_default_config(tmp_path):
    project = Project.new(tmp_path / "p")
    project.write("other.yaml", "study: other\nseeds: [0]\ncycles: 1\nstrategies: [random]\n")
    output = project.snakemake("--dry-run", "--configfile", "other.yaml")
    assert "results/other/" in output
    assert "kmeans" not in output


def test_the_targets_are_listed_with_what_they_make(tmp_path):
    output = Project.new(tmp_path / "p").snakemake("--list")
    targets, jobs = output.partition("Targets (snakemake NAME):\n")[2].split("Jobs, which the targets ask for:\n")
    names = [
        [line.split(maxsplit=1) for line in part.splitlines() if line.startswith("  ")] for part in (targets, jobs)
    ]
    assert [name for name, _ in names[0]] == ["all", "data", "curves", "to_label"]
    rules = {*stages(), "train_with_pseudo_labels", "download_weights"}
    rules = rules - {"study_report"} | {"report"}  # which is what people call
    assert {name for name, _ in names[1]} == rules
    assert all(text.endswith(".") or "csv" in text for part in names for _, text in part)


def resolved(training, own):
    learners = {"a": {"network": "small_cnn", "training": own}}
    return check({"training": training, "learners": learners, "pool": {"validation": 0.1}})["learners"]["a"]["training"]


def test_a_recipe_is_the_base_and_what_is_written_beside_it_wins():
    defaults = check({})["training"]
    cifar = recipes()["chandra2021_cifar"]
    assert resolved({"recipe": "chandra2021_cifar"}, {}) == defaults | cifar | {"recipe": "chandra2021_cifar"}
    assert resolved({"recipe": "chandra2021_cifar", "epochs": 7}, {"crop": 0})["epochs"] == 7
    assert resolved({"recipe": "chandra2021_cifar", "epochs": 7}, {"crop": 0})["crop"] == 0
    # A learner's own recipe takes the place of all that the study says.
    own = resolved({"recipe": "chandra2021_cifar", "epochs": 7}, {"recipe": "chandra2021_mnist", "batch_size": 8})
    expected = recipes()["chandra2021_mnist"] | {"recipe": "chandra2021_mnist", "batch_size": 8}
    assert own == defaults | expected


@pytest.mark.parametrize("name", recipes())
def test_a_recipe_is_valid(name):
    study = check({"training": {"recipe": name}, "pool": {"validation": 0.1}})
    assert study["training"] == check({})["training"] | recipes()[name] | {"recipe": name}


def test_recipes_have_the_numbers_of_the_papers():
    def values(name, *keys):
        return tuple(resolved({"recipe": name}, {})[key] for key in keys)

    table1 = ("epochs", "optimizer", "learning_rate", "schedule", "batch_size", "weight_decay", "momentum")
    assert values("chandra2021_cifar", *table1) == (200, "sgd", 0.025, "cosine", 96, 0.0003, 0.9)
    assert values("chandra2021_mnist", *table1) == (100, "adam", 0.005, "constant", 64, 0.0003, 0.9)
    assert values("chandra2021_tiny", *table1) == (100, "adam", 0.001, "constant", 200, 0.0003, 0.9)
    for name in ("chandra2021_cifar", "chandra2021_mnist", "chandra2021_tiny"):
        assert values(name, "best_epoch", "members", "passes", "warm_start") == (True, 3, 25, False)
    steps = ("epochs", "batch_size", "learning_rate", "momentum", "schedule", "schedule_epochs", "schedule_factor")
    assert values("geifman2017_cifar", *steps) == (250, 128, 0.1, 0.9, "step", 20, 0.5)
    assert values("geifman2017_mnist", "optimizer", "flip") == ("adam", False)
    cosine = ("epochs", "learning_rate", "schedule", "schedule_epochs", "weight_decay", "momentum", "nesterov", "ema")
    assert values("simeoni2019", *cosine) == (200, 0.2, "cosine", 210, 0.0002, 0.9, True, 0.999)
    # RandomResizedCrop(64) in the place of the crops of CIFAR.
    assert values("chandra2021_cifar", "crop", "resized_crop", "flip") == (4, 0, True)
    assert values("chandra2021_tiny", "crop", "resized_crop", "flip") == (0, 0.08, True)
    updates = ("iterations", "batch_size", "momentum", "weight_decay", "replay", "warm_start")
    assert values("kaeding2016", *updates) == (1000, 64, 0.9, 0.0005, 0.9, True)
    # 1e-4 for pixels in 0..255; the standard deviations of the channels of CIFAR-100 are .267, .256, .276 of that.
    assert values("kaeding2016", "learning_rate")[0] == pytest.approx(
        1e-4 * 255 * np.mean([0.267, 0.256, 0.276]), rel=0.01
    )
    assert values("kaeding2016", "first_epochs")[0] > 0


@pytest.mark.parametrize("path", sorted(ROOT.glob("studies/*.yaml")), ids=lambda path: path.stem)
def test_the_studies_are_valid(path):
    config = yaml.safe_load(path.read_text())
    assert check(config)["study"] == path.stem
