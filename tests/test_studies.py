"""The studies against the figures of the papers that they cite, and against what they say of themselves."""

import re

import pytest
import yaml
from conftest import ROOT

from poolflow.study.config import check

POOLS = ["random", "simclr", "vae", "kmeans", "scan"]
ONE_RUN = {"least_confidence", "margin", "entropy", "dbal", "coreset", "variation_ratio"}
NUMBERS = {"two": 2, "three": 3, "five": 5, "six": 6}
# What each figure compares: initial pools, queries beside random, numbers of the first labels, of a cycle's and of
# cycles, runs. A study may have less of the queries where its comment says "Not theirs".
FIGURES = {
    ("Chandra", 2): ("cifar10", "resnet18", POOLS, ONE_RUN | {"vaal"}, (5000, 5000, 5), 3),
    ("Chandra", 3): ("cifar100", "resnet18", POOLS, ONE_RUN | {"vaal"}, (5000, 5000, 5), 3),
    ("Chandra", 4): ("tiny_imagenet", "resnet18", POOLS, ONE_RUN, (10000, 10000, 5), 3),  # VAAL took too long there
    ("Chandra", 5): ("mnist", "resnet18", POOLS, ONE_RUN | {"vaal"}, (60, 60, 10), 3),
    ("Chandra", 8): ("cifar10", "resnet18", POOLS, {"entropy", "least_confidence", "dbal"}, (1000, 1000, 10), 2),
    ("Chandra", 9): ("cifar10", "resnet18", POOLS, {"entropy", "least_confidence", "dbal"}, (1400, 1400, 5), 2),
    ("Geifman", 1): ("mnist", "lenet", ["random"], {"least_confidence", "coreset"}, (10000, 2000, 10), None),
    ("Geifman", 2): ("cifar10", "vgg16", ["given"], {"least_confidence", "coreset"}, (25000, 4000, 5), None),
}
STUDIES = {path.stem: path for path in sorted(ROOT.glob("studies/*.yaml"))}


def opened(name):
    """Return the comment at the top of a study on one line, and the study."""
    text = STUDIES[name].read_text()
    header = " ".join(line.removeprefix("# ") for line in text.partition("\nstudy:")[0].splitlines())
    return header, check(yaml.safe_load(text))


def cited(header):
    """Return the figure that a study's comment cites, (author, number), or None."""
    author, number = re.search(r"Chandra|Geifman|Simeoni", header), re.search(r"figure (\d+)", header)
    return (author[0], int(number[1])) if number else None


@pytest.mark.parametrize("name", [name for name in STUDIES if cited(opened(name)[0])])
def test_a_study_has_what_the_figure_that_it_cites_compares(name):
    header, study = opened(name)
    dataset, network, pools, queries, sizes, runs = FIGURES[cited(header)]
    own = "Not theirs" in header
    assert [entry["plugin"] for entry in study["datasets"].values()] == [dataset]
    assert own or [entry["network"]["network"] for entry in study["learners"].values()] == [network]
    assert [entry["plugin"] for entry in study["initial_pools"].values()] == pools
    found = {entry["plugin"] for entry in study["strategies"].values()}
    assert "random" in found
    assert found - {"random"} <= queries if own else found - {"random"} == queries
    assert (study["initial_size"], study["budget"], study["cycles"]) == sizes
    assert own or runs in (None, len(study["seeds"]))


def test_every_figure_has_its_study():
    assert {cited(opened(name)[0]) for name in STUDIES} - {None} == set(FIGURES)


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_does_what_its_comment_says(name):
    header, study = opened(name)
    start, budget, cycles = study["initial_size"], study["budget"], study["cycles"]
    size = next(iter(study["datasets"].values()))["facts"]["SIZE"]
    said = 0
    for pattern, value in {
        r"([\d,]+) (?:random )?labels(?: \([\d.]+ %\))? to start": start,
        r"([\d,]+) a (?:cycle|round)": budget,
        r"([\d,]+) cycles": cycles,
        r"([\d.]+) % of the images to start": 100 * start / size,
        r"([\d.]+) % a cycle": 100 * budget / size,
        r"labels \(([\d.]+) %\) to start": 100 * start / size,
        r"labels to start \(([\d.]+) %\)": 100 * start / size,
        r"cycles \(([\d.]+) %\)": 100 * (start + budget * cycles) / size,
        r"(two|three|five|six) (?:runs|repetitions)": len(study["seeds"]),
    }.items():
        for found in re.findall(pattern, header):
            said += 1
            assert NUMBERS.get(found) or float(found.replace(",", "")) == pytest.approx(value), pattern
            assert NUMBERS.get(found, value) == value, pattern
    assert said >= 2
    five = "five initial pools" in header
    assert five == (list(study["initial_pools"]) == POOLS)
    assert ("For a GPU" in header) == (study["device"] == "auto" and "mnist" not in study["datasets"])


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_s_own_networks_run_where_the_study_does(name):
    """A strategy that trains networks of its own does it on the CPU unless told, which takes days."""
    _, study = opened(name)
    for entry in study["strategies"].values():
        if "device" in (entry["parameters"] | ({"device": ""} if entry["plugin"] == "vaal" else {})):
            assert entry["parameters"]["device"] == "auto"
            # Sinha et al. (2019): 128 channels; 100,000 updates of 64 images, of what is unlabelled at first.
            pool = round(50000 * (1 - study["datasets"][next(iter(study["datasets"]))]["pool"]["validation"]))
            assert entry["parameters"]["width"] == 128
            assert entry["parameters"]["epochs"] * (pool - study["initial_size"]) / 64 == 100_000


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_of_the_paper_s_network_has_the_paper_s_recipes(name):
    header, study = opened(name)
    if "Chandra" not in header or "Not theirs" in header:
        return
    recipe = {"cifar10": "cifar", "cifar100": "cifar", "tiny_imagenet": "tiny"}[next(iter(study["datasets"]))]
    assert study["training"]["recipe"] == f"chandra2021_{recipe}"
    assert {entry["plugin"] for entry in study["pretext"].values()} >= {"simclr", "vae", "scan", "kmeans"}
    assert study["pretext"]["simclr"]["parameters"]["epochs"] == 500
    assert study["pretext"]["vae"]["parameters"]["epochs"] == 100
    assert study["pretext"]["scan"]["parameters"]["self_epochs"] >= 1
    assert next(iter(study["datasets"].values()))["pool"]["validation"] == (0.05 if recipe == "tiny" else 0.1)
    if cited(header) == ("Chandra", 9):
        assert study["pool"]["imbalance"] == 50
    if recipe == "tiny":
        assert study["learners"]["resnet18"]["network"]["parameters"]["projection"] == 512
