"""The contract of BOUNDS: every parameter of every plugin says what it accepts, and its default is among it."""

import inspect
import math
from importlib import import_module

import pytest
import yaml
from conftest import ROOT

from poolflow.study import plugins
from poolflow.study.bounds import parse, refusal
from poolflow.study.config import load_schema

STUDY = {"budget": 30, "initial_size": 20, "classes": 10, "pool": 1437}
# What any value of its type may be, beside the paths that LOCAL names.
FREE = {
    ("datasets", "image_folder", "train"): "the name of a folder",
    ("datasets", "image_folder", "test"): "the name of a folder",
    ("datasets", "image_folder", "unlabeled"): "the name of a folder",
    ("datasets", "tiny_imagenet", "path"): "a path",
    ("pretext", "pretrained", "model"): "a name of timm's",
    ("pretext", "pretrained", "sha256"): "a checksum",
}
# The kinds whose parameters a config sets; those of the others are keys of the study, whose bounds the schema has.
KINDS = {rule["plugins"] for rule in load_schema()["properties"].values() if "plugins" in rule} | {"networks"}
PLUGINS = [(kind, name) for kind in sorted(KINDS) for name in plugins.names(kind)] + [("strategies", "_template")]


def types(kind, name, parameter):
    return set(plugins.parameters(kind, name)[parameter][1].split(" | "))


def bounds(kind, name):
    return plugins.literals(kind, name).get("BOUNDS", {})


BOUNDED = [(kind, name, parameter, text) for kind, name in PLUGINS for parameter, text in bounds(kind, name).items()]


@pytest.mark.parametrize(("kind", "name"), PLUGINS)
def test_every_parameter_has_bounds_or_a_reason(kind, name):
    paths = plugins.literals(kind, name).get("LOCAL", ())
    expected = {
        parameter
        for parameter in plugins.parameters(kind, name)
        if types(kind, name, parameter) & {"int", "float", "str", "anything"}
        and parameter not in paths
        and (kind, name, parameter) not in FREE
    }
    assert set(bounds(kind, name)) == expected


def test_every_reason_is_of_a_parameter():
    for kind, name, parameter in FREE:
        assert "str" in types(kind, name, parameter)


@pytest.mark.parametrize(("kind", "name", "parameter", "text"), BOUNDED)
def test_bounds_fit_the_type(kind, name, parameter, text):
    found = types(kind, name, parameter)
    for alternative in parse(text):
        if isinstance(alternative, str):
            assert "str" in found
            continue
        assert found & {"int", "float"}
        numbers = [limit for _, limit in alternative] if isinstance(alternative, tuple) else [alternative]
        assert "float" in found or not any(isinstance(number, float) for number in numbers)
    assert ("str" in found) == any(isinstance(alternative, str) for alternative in parse(text))


def defaults(kind, name):
    """Return {parameter: default} of the functions of a plugin, which agree where several have it."""
    module = import_module(f"poolflow.{kind}.{name}")
    found = {}
    for function in plugins.KINDS[kind][1]:
        owner = getattr(module, {"networks": "Network", "learners": "Learner"}.get(kind, ""), module)
        function = getattr(owner, function, None)
        for parameter, entry in inspect.signature(function).parameters.items() if function else ():
            if parameter in plugins.parameters(kind, name) and entry.default is not entry.empty:
                assert found.setdefault(parameter, entry.default) == entry.default
    return found


@pytest.mark.parametrize(("kind", "name"), PLUGINS)
def test_defaults_are_accepted(kind, name):
    for parameter, default in defaults(kind, name).items():
        assert refusal(bounds(kind, name).get(parameter), default, STUDY) is None, parameter


def inside(text, value):
    """Return what Python says of a value and a text of bounds."""
    return any(
        all(eval(f"value {comparison}", {"value": value} | STUDY) for comparison in part.split(", "))
        if part[0] in "<>" and not isinstance(value, str)
        else str(value) == part
        for part in text.split(" or ")
    )


def near(text, kind):
    """Return the limits of bounds and what is just below and above them, of a type."""
    limits = [limit for part in parse(text) if isinstance(part, tuple) for _, limit in part]
    limits += [part for part in parse(text) if isinstance(part, int | float)]
    for limit in limits:
        limit = STUDY.get(limit, limit)
        yield from (limit - 1, limit, limit + 1)
        if kind == "float":
            yield from (math.nextafter(limit, -math.inf), float(limit), math.nextafter(limit, math.inf))


@pytest.mark.parametrize(("kind", "name", "parameter", "text"), BOUNDED)
def test_values_outside_are_refused_and_inside_are_not(kind, name, parameter, text):
    found = types(kind, name, parameter)
    for of in sorted(found & {"int", "float"}):
        values = list(near(text, of))
        for value in values:
            assert (refusal(text, value, STUDY) is None) == inside(text, value), value
        assert len({inside(text, value) for value in values}) == 2
        for value in (math.nan, math.inf, -math.inf):
            assert refusal(text, value, STUDY)
    if "str" in found:
        words = [part for part in parse(text) if isinstance(part, str)]
        assert all(refusal(text, word, STUDY) is None for word in words)
        for word in ("", "nonsense", words[0].upper(), f"{words[0]} ", text):
            assert (refusal(text, word, STUDY) is None) == (word in words), word


# What a stage refused, or did in silence, before parameters had bounds.
REFUSED = [
    ("datasets", "arrays", "test_fraction", 0, "a number > 0 and < 1"),
    ("datasets", "image_folder", "test_fraction", 1.0, "a number >= 0 and < 1"),
    ("datasets", "image_folder", "split_seed", -1, "a number >= 0"),
    ("datasets", "image_folder", "size", 0, "a number >= 1 and <= 10000"),
    ("datasets", "image_folder", "mode", "cmyk", "auto or grey or rgb"),
    ("datasets", "cifar100", "labels", "middle", "fine or coarse"),
    ("networks", "vgg16", "dropout", 1, "a number >= 0 and < 1"),
    ("networks", "mlp", "hidden", 0, "a number >= 1"),
    ("pretext", "simclr", "optimizer", "rmsprop", "adam or adamw or lars or sgd"),
    ("pretext", "simclr", "learning_rate", math.nan, "a finite number > 0"),
    ("pretext", "simclr", "weight_decay", -1, "a number >= 0"),
    ("pretext", "simclr", "batch_size", 1, "a number >= 2"),
    ("pretext", "simclr", "epochs", 0, "a number >= 1"),
    ("pretext", "simclr", "schedule", "step", "constant or cosine"),
    ("pretext", "simclr", "precision", "bf16", "float32 or bfloat16"),
    ("pretext", "simclr", "layer", "head", "penultimate or projection"),
    ("pretext", "simclr", "negatives", 1437, "a number >= 1 and < 1437, the number of images in the pool"),
    ("pretext", "scan", "self_epochs", -1, "a number >= 0"),
    ("pretext", "scan", "clusters", 1, "a number >= 2 and <= 1437, the number of images in the pool"),
    ("pretext", "vae", "validation", 0, "a number > 0 and < 1"),
    ("pretext", "vae", "score", "loss", "reconstruction or total"),
    ("pretext", "inpainting", "width", 0, "a number >= 1"),
    (
        "pretext",
        "kmeans",
        "clusters",
        "elbow",
        "silhouette or a number >= 1 and <= 1437, the number of images in the pool",
    ),
    ("pretext", "kmeans", "most", 1, "a number >= 2"),
    ("initial_pools", "bins", "bins", 21, "a number >= 2 and <= 20, the initial_size"),
    ("initial_pools", "centroid", "quota", "equally", "equal or proportional"),
    ("strategies", "emoc", "candidates", 29, "0 or a number >= 30, the budget"),
    ("strategies", "learning_loss", "subset", -1, "0 or a number >= 30, the budget"),
    ("strategies", "random_sets", "sets", 0, "a number >= 1"),
    ("strategies", "drop_query", "passes", 0, "a number >= 1"),
    ("strategies", "svm_distance", "C", 0.0, "a number > 0"),
    ("strategies", "prob_cover", "delta", 0, "auto or a number > 0"),
    ("initial_pools", "prob_cover", "delta", "large", "auto or a number > 0"),
    ("strategies", "uherding", "radius", "mean", "smallest or median"),
    ("strategies", "vaal", "device", "gpu", "auto or cpu or cuda"),
]


@pytest.mark.parametrize(("kind", "name", "parameter", "value", "expected"), REFUSED)
def test_a_wrong_value_is_refused_in_words(kind, name, parameter, value, expected):
    assert refusal(bounds(kind, name)[parameter], value, STUDY) == expected


@pytest.mark.parametrize("path", sorted(ROOT.glob("workflow/recipes/pretext/*.yaml")), ids=lambda path: path.stem)
def test_recipes_are_within_the_bounds(path):
    for task, settings in yaml.safe_load(path.read_text()).items():
        network = settings.pop("network", {"network": None})
        for kind, name, values in (("pretext", task, settings), ("networks", network.pop("network"), network)):
            for parameter, value in values.items():
                assert refusal(bounds(kind, name)[parameter], value, STUDY) is None, parameter
