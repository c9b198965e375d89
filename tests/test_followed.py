"""What strategies acquired, cycle by cycle: tables by hand in the toy study, and what their figures show."""

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from helpers import write_h5
from toy import C, N, write_dataset, write_labeled

from poolflow.figures import _style, critical_differences, learning_curves, pseudo_labels, uncertainty
from poolflow.job import Damaged
from poolflow.reporting.content import answers
from poolflow.reporting.sources import Source
from poolflow.tables.acquired import random_entropy
from poolflow.tables.curves import CHAIN


@pytest.fixture(autouse=True)
def closed():
    """Close what a test draws."""
    yield
    plt.close("all")


def test_what_was_acquired_by_hand(toy):
    """From pool a (rows 0..11) s acquires 12..17, one image of each of the six classes, and t rows 19..24."""
    labels = np.arange(N) % C
    labels[19:22] = 0  # so that t has 0, 0, 0, 4, 5, 0
    write_dataset(toy.folder / "dataset.h5", labels)
    table = toy.table("acquired").query("initial_pool == 'a' and seed == 0 and cycle == 1").set_index("strategy")
    assert table.acquired.tolist() == [6, 6]
    assert table.classes.to_dict() == {"s": 6, "t": 3}
    assert table.entropy["s"] == pytest.approx(1)
    shares = np.array([4, 1, 1]) / 6
    assert table.entropy["t"] == pytest.approx(-(shares * np.log(shares)).sum() / np.log(6), rel=1e-5)
    assert table.largest_share["t"] == pytest.approx(4 / 6, rel=1e-5)
    assert (table.without_label == 0).all()
    # Both chose from the 48 rows that the pool left.
    assert table.random_entropy["s"] == table.random_entropy["t"]


def test_the_entropy_of_random_images_is_that_of_all_draws():
    counts = np.array([3, 2, 1])
    rows = np.repeat(np.arange(3), counts)
    entropies = []
    for drawn in itertools.combinations(range(6), 3):
        shares = np.bincount(rows[list(drawn)], minlength=3) / 3
        entropies.append(-sum(share * np.log(share) for share in shares if share) / np.log(3))
    assert random_entropy(counts, 3) == pytest.approx(np.mean(entropies), abs=0.04)
    assert random_entropy(np.array([4, 4]), 8) == pytest.approx(1)
    assert np.isnan(random_entropy(counts, 0))


def test_images_without_a_label_are_counted(toy):
    labels = np.arange(N) % C
    labels[12:14] = -1
    write_dataset(toy.folder / "dataset.h5", labels)
    row = toy.table("acquired").query("initial_pool == 'a' and strategy == 's' and seed == 0 and cycle == 1").iloc[0]
    assert (row.acquired, row.without_label, row.classes) == (6, 2, 4)


def test_the_classes_acquired_by_hand(toy):
    labels = np.arange(N) % C
    labels[18:] = 0
    write_dataset(toy.folder / "dataset.h5", labels)
    table = toy.table("acquired_classes").query("initial_pool == 'a' and strategy == 's'")
    of = table[table.cycle == 1].set_index("class")
    assert of["count"].tolist() == [1] * 6
    # The pool left 48 images: 12..17, one of each class, and 42 of class 0.
    np.testing.assert_allclose(of.random_count, [6 * 43 / 48, *[6 / 48] * 5], rtol=1e-4)
    assert table[table.cycle == 0]["count"].tolist() == [2] * 6


def test_the_overlap_of_strategies_by_hand(toy):
    """s acquires rows 12..17 and t rows 19..24: nothing in common; then t gets four of them."""
    table = toy.table("overlap_strategies").query("initial_pool == 'a'").iloc[0]
    assert (table.strategy, table.other_strategy, table.cycle, table.seeds, table.acquired) == ("s", "t", 1, 2, 6)
    assert table.share_mean == 0
    assert table.random_share == pytest.approx(6 / 48)
    for seed in (0, 1):
        write_labeled(toy.labeled("a/t", seed, 1), [*range(12), *range(14, 20)], np.repeat([0, 1], [12, 6]))
    table = toy.table("overlap_strategies").query("initial_pool == 'a'").iloc[0]
    assert table.share_mean == pytest.approx(4 / 6, rel=1e-5)


def test_the_accuracy_of_classes_by_hand(toy):
    table = toy.table("class_accuracy").query("initial_pool == 'a' and strategy == 's' and cycle == 1")
    assert table.accuracy_mean.tolist() == pytest.approx([0.5, 0.1, 0.2, 0.3, 0.9, 0.8, 0.7])
    assert table["class"].isna().tolist() == [True] + [False] * 6  # the first is the balanced one
    assert (table.accuracy_std == 0).all()


# How figures look


def test_no_two_of_a_hundred_names_look_alike_and_random_is_black():
    names = [f"name {i}" for i in range(100)]
    found = _style.colours(["random", *names])
    assert len(set(found.values())) == 101
    assert found["random"] == ((0.1, 0.1, 0.1), "o")
    assert _style.colours(iter(names))["name 3"] == found["name 3"]  # with random or without it


@pytest.mark.parametrize(
    ("count", "grid"), [(1, (1, 1)), (3, (1, 3)), (4, (2, 2)), (5, (2, 3)), (9, (3, 3)), (10, (3, 4))]
)
def test_panels_stand_in_a_grid(count, grid):
    assert _style.grid_of(count) == grid
    figure, axes, used = _style.panels(count)
    assert axes.shape == grid
    assert len(used) == count == sum(axis.get_visible() for axis in figure.axes)


def curves(first, later, std=0.0):
    rows = [
        ["p", "s", seed, cycle, 10 * (cycle + 1), value + std * seed]
        for seed in (0, 1)
        for cycle, value in enumerate([first, *later])
    ]
    table = pd.DataFrame(rows, columns=["initial_pool", "strategy", "seed", "cycle", "labeled", "test_accuracy"])
    return table.assign(variant="", test_loss=table.test_accuracy)


def test_the_axis_shows_the_later_cycles_and_says_what_it_leaves_out():
    steep = learning_curves.curves(curves(0.1, [0.9, 0.95]), "strategy", "initial_pool", "test_accuracy", "toy")
    assert steep.axes[0].get_ylim()[0] > 80
    assert "leaves out part of the first cycle" in steep.get_suptitle()
    even = learning_curves.curves(curves(0.5, [0.7, 0.9]), "strategy", "initial_pool", "test_accuracy", "toy")
    assert even.axes[0].get_ylim()[0] < 50
    assert "leaves out" not in even.get_suptitle()
    given = learning_curves.curves(curves(0.1, [0.9]), "strategy", "initial_pool", "test_accuracy", "toy", [5, 99])
    assert given.axes[0].get_ylim() == (5, 99)


def test_bands_stay_where_values_can_be_and_can_be_left_out():
    table = curves(0.9, [0.95, 0.99], std=0.05)
    figure = learning_curves.curves(table, "strategy", "initial_pool", "test_accuracy", "toy")
    band = figure.axes[0].collections[0].get_paths()[0].vertices
    assert band[:, 1].max() <= 100
    bare = learning_curves.curves(table, "strategy", "initial_pool", "test_accuracy", "toy", bands=False)
    assert not bare.axes[0].collections
    assert "std" not in bare.get_suptitle()
    one = learning_curves.curves(table[table.seed == 0], "strategy", "initial_pool", "test_accuracy", "toy")
    assert one.get_suptitle() == "toy: 1 seed"


def test_critical_differences_by_the_ranks_of_another_function():
    rng = np.random.default_rng(0)
    rows = [
        [f"d{d}", "net", "p", name, "", seed, "area", rng.normal(0.5 + shift, 0.01), 10, 50]
        for d in range(6)
        for seed in range(2)
        for name, shift in (("random", 0), ("good", 0.1), ("bad", -0.1), ("same", 0.1))
    ]
    columns = ["dataset", "learner", "initial_pool", "strategy", "variant", "seed", "score", "value"]
    table = pd.DataFrame(rows, columns=[*columns, "from_labels", "to_labels"])
    figure = critical_differences.diagram(table, less_is_better=False)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert any(text == "(4) bad" for text in texts), texts
    assert any(text == "(3) random" for text in texts), texts
    assert "6 data sets" in figure.axes[0].get_title()


def test_uncertainty_shows_what_a_strategy_chose_from_and_what_it_chose(toy, monkeypatch):
    """In pool a, rows 0..11, s acquires rows 12..17 by the network of cycle 0."""
    probs = np.full((N, C), 1 / C, np.float32)
    probs[20:] = np.eye(C)[0]
    probs[12] = [0.5, 0.5, 0, 0, 0, 0]
    write_h5(toy.metrics("a").with_name("probs.h5"), probs=probs)
    drawn = {}
    monkeypatch.setattr(uncertainty, "histograms", lambda found, title: drawn.update(found) or plt.figure())
    toy.figure("toy/net/uncertainty/a")
    assert list(drawn) == [("s", 1)]
    unlabelled, acquired = drawn["s", 1]
    np.testing.assert_allclose(acquired, [np.log(2) / np.log(C), *[1] * 5], rtol=1e-6)
    np.testing.assert_allclose(unlabelled, [np.log(2) / np.log(C), *[1] * 7, *[0] * 40], atol=1e-6)
    monkeypatch.undo()
    figure = uncertainty.histograms({("s", 1): drawn["s", 1]}, "Mine")
    grey, red = (patch.get_data().values for patch in figure.axes[0].patches)
    assert (grey[0], red[-1]) == (40 / 48, 5 / 6)
    write_h5(toy.metrics("a").with_name("probs.h5"), probs=probs[1:])
    with pytest.raises(Damaged, match=rf"probs\.h5: found probs \({N - 1}, {C}\), expected \({N}, classes\)"):
        toy.figure("toy/net/uncertainty/a")


# Learners


def curves_of(learners, seeds=6):
    """Return curves of two cycles of learners at each seed, {name: accuracies at 10 and 20 labels less the seed's}."""
    rows = [
        ["toy", learner, "random", strategy, "", seed, cycle, 10 * (cycle + 1), value + seed / 100]
        for learner, values in learners.items()
        for strategy in ("random", "margin")
        for seed in range(seeds)
        for cycle, value in enumerate(values)
    ]
    return pd.DataFrame(rows, columns=[*CHAIN, "seed", "cycle", "labeled", "test_accuracy"])


def test_learners_are_compared_by_hand():
    curves = curves_of({"plain": [0.5, 0.6], "better": [0.6, 0.8], "same": [0.5, 0.6]})
    source = Source("toy", curves, {"reference_learner": "plain"})
    table = source.table("learner_tests")
    area = table[(table.score == "area") & (table.family == "reference") & (table.strategy == "")]
    assert area.learner.tolist() == ["better", "same"]
    assert area.other_learner.tolist() == ["plain", "plain"]
    assert area.initial_pool.tolist() == ["random", "random"]
    np.testing.assert_allclose(area["mean"], [0.15, 0], atol=1e-12)  # (0.1 + 0.2) / 2
    assert area.p.tolist() == [2 / 2**6, 1]
    assert area.p_holm.tolist() == [4 / 2**6, 1]
    assert area.verdict.tolist() == ["undecided", "equal"]
    start = table[(table.score == "start") & (table.family == "reference") & (table.strategy == "margin")]
    np.testing.assert_allclose(start["mean"], [0.1, 0], atol=1e-12)
    eight = Source("toy", curves_of({"plain": [0.5, 0.6], "better": [0.6, 0.8]}, seeds=8)).table("learner_tests")
    assert set(eight[eight.family == "reference"].verdict) == {"better"}  # than the first one
    said = [title for answer in answers(source) for title in [answer["title"]] if "Learners" in title]
    assert said == ["Learners against plain"]


def test_pseudo_labels_are_shown_for_the_learners_that_make_them():
    curves = curves_of({"plain": [0.5, 0.6], "ceal": [0.6, 0.8]}, seeds=2)
    curves["pseudo_coverage"] = np.where(curves.learner == "ceal", 0.25 * curves.cycle, np.nan)
    curves["pseudo_accuracy"] = np.where((curves.learner == "ceal") & (curves.cycle > 0), 0.9, np.nan)
    figure = pseudo_labels.coverage(curves)
    above, below = figure.axes
    assert above.get_title() == "toy, ceal"
    assert [line.get_label() for line in above.lines] == ["random", "margin"]
    np.testing.assert_allclose(above.lines[0].get_ydata(), [0, 25])
    np.testing.assert_allclose(below.lines[1].get_ydata(), [np.nan, 90])
