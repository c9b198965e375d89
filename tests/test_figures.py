"""The figures of a study's results: what they show."""

import itertools
import json
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import seaborn as sns
from helpers import report, write_h5, write_pool
from matplotlib import colors
from PIL import Image
from toy import C, N, write_dataset, write_labeled, write_metrics

from poolflow.data.known_pool import KnownPool
from poolflow.figures import (
    _sheet,
    discovered_classes,
    learning_curves,
    overlap_cycles,
    pool_classes,
    pool_map,
    pool_overlap,
)
from poolflow.job import Damaged, StageError
from poolflow.study import reports


@pytest.fixture(autouse=True)
def closed():
    """Close what a test draws."""
    yield
    plt.close("all")


# Sheets of images


def test_the_sheet_shows_each_image_at_its_place(toy):
    """Images of 6 x 5, enlarged 12 times; the first stands 56 pixels from the top, the next 80 to the right."""
    shown = write_dataset(toy.folder / "dataset.h5", np.arange(N) % C, (6, 5, 3))
    flip = np.zeros(N, bool)
    flip[3] = True
    write_pool(toy.folder / "pool/seed0.h5", np.arange(N)[::-1], flip)
    write_labeled(toy.labeled("a"), [7, 3, *range(10, 38)])
    sheet = np.rint(plt.imread(toy.figure("toy/pools/first_a"))[..., :3] * 255).astype(np.uint8)
    assert sheet.shape[1] == 2 * 12 + 12 * 80

    def at(line, column):
        y, x = 12 + 30 + 14 + line * 108, 12 + column * 80
        return sheet[y : y + 72, x : x + 60][6::12, 6::12], sheet[y : y + 72, x : x + 60]

    np.testing.assert_array_equal(at(0, 0)[0], shown[N - 1 - 7])
    np.testing.assert_array_equal(at(0, 1)[0], shown[N - 1 - 3][:, ::-1])
    np.testing.assert_array_equal(at(1, 2)[0], shown[N - 1 - 22])
    np.testing.assert_array_equal(at(2, 5)[0], shown[N - 1 - 37])
    np.testing.assert_array_equal(at(0, 0)[1], shown[N - 1 - 7].repeat(12, axis=0).repeat(12, axis=1))  # no blur
    assert (at(2, 6)[1] == 255).all()


@pytest.mark.parametrize(("side", "factor", "step"), [(8, 9, 1), (28, 3, 1), (32, 2, 1), (64, 1, 1), (224, 1, 2)])
def test_images_are_brought_near_one_size_by_whole_numbers(side, factor, step):
    images = np.random.default_rng(0).integers(0, 256, (2, side, side, 1)).astype(np.uint8)
    expected = [[np.kron(image[::step, ::step, 0], np.ones((factor, factor), np.uint8))] for image in images]
    np.testing.assert_array_equal(_sheet.scale(images), np.array(expected)[:, 0, ..., None])


@pytest.fixture
def sheets(monkeypatch):
    """The names and titles of the sheets that a test draws."""
    found = []
    monkeypatch.setattr(_sheet, "drawn", lambda images, *words: found.append(words) or plt.figure())
    return found


@pytest.mark.parametrize(("size", "most"), [(1, 240), (25, 240), (60, 240), (60, 60), (60, 20)])
def test_a_sheet_shows_every_image_in_order_or_the_first_and_the_last(toy, size, most, sheets, monkeypatch):
    monkeypatch.setattr(_sheet, "MOST", most)
    write_labeled(toy.labeled("a"), range(size))
    toy.figure("toy/pools/first_a")
    names, titles, files = sheets[0]
    rows = [*range(size)] if size <= most else [*range(most // 2), *range(size - most // 2, size)]
    assert list(itertools.chain(*names)) == [f"class {row % C}" for row in rows]
    assert list(itertools.chain(*files)) == [f"image {row}.png" for row in rows]
    if size <= most:
        assert titles == [f"toy, seed 0: a, the {size} images chosen, in this order"]
    else:
        first, last = "the first 10 of 60 images chosen", "the last 10; 40 between are not shown"
        assert titles == [f"toy, seed 0: a, {first}", f"toy, seed 0: a, {last}"]


def test_long_names_lose_their_middle():
    assert _sheet.middle("a_long_name_of_a_file.png") == "a_long…ile.png"
    assert _sheet.middle("fourteen marks") == "fourteen marks"


def test_the_sheet_of_a_strategy_shows_what_its_last_cycle_asks_for(toy, sheets):
    labels = np.arange(N) % C
    labels[19] = -1
    write_dataset(toy.folder / "dataset.h5", labels)
    toy.figure("toy/net/to_label/b/s")  # rows 18..23
    names, titles, files = sheets[0]
    assert names == [["class 0", "2: no label", "class 2", "class 3", "class 4", "class 5"]]
    assert titles == ["toy, seed 0: net, b, s, the 6 images chosen, in this order"]
    assert files == [[f"image {row}.png" for row in range(18, 24)]]


# The initial pools


@pytest.mark.parametrize("pools", [2, 10])
@pytest.mark.parametrize("classes", [3, 200])
def test_the_histograms_have_a_bar_for_each_class_and_a_panel_for_each_pool(pools, classes):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        [
            [f"pool {pool}", seed, f"class {label}", rng.integers(0, 9), 4.5]
            for seed, pool, label in itertools.product(range(2), range(pools), range(classes))
        ],
        columns=["initial_pool", "seed", "class", "count", "random_count"],
    )
    figure = pool_classes.histograms(table, "toy")
    panels = [panel for panel in figure.axes if panel.get_visible()]
    assert [panel.get_title() for panel in panels] == [f"pool {pool}" for pool in range(pools)]
    expected = table[table.initial_pool == "pool 1"].groupby("class", sort=False)["count"].mean().to_numpy()
    if classes > 40:
        expected = np.sort(expected)[::-1]
    else:
        assert [label.get_text() for label in panels[1].get_xticklabels()] == [f"class {i}" for i in range(classes)]
    np.testing.assert_allclose([bar.get_height() for bar in panels[1].patches], expected)


def test_class_names_are_text_whatever_they_look_like(toy, monkeypatch):
    classes = ["NA", "007", "nan", "1.50", "", "None"]
    write_dataset(toy.folder / "dataset.h5", np.arange(N) % C, classes=classes)
    seen = []
    draw = pool_classes.histograms
    monkeypatch.setattr(pool_classes, "histograms", lambda *args: seen.append(draw(*args)) or seen[0])
    toy.figure("toy/pools/histograms")
    assert [label.get_text() for label in seen[0].axes[0].get_xticklabels()] == classes


@pytest.mark.parametrize("path", ["toy/pools/histograms", "toy/pools/tsne_inputs", "toy/pools/first_a"])
def test_a_data_set_without_any_label_is_drawn(toy, path):
    write_dataset(toy.folder / "dataset.h5", np.full(N, -1))
    assert plt.imread(toy.figure(path))[..., :3].std() > 0.02


def test_the_heat_map_says_each_share_in_per_cent(toy):
    shares = "toy,a,b,1,0.123,,0.2\ntoy,a,none,1,0.5,,0.2\ntoy,b,none,1,0,,0.2\nother,x,y,1,0.9,,0.2\n"
    header = "dataset,initial_pool,other_pool,seeds,share_mean,share_std,random_share\n"
    (toy.root / "overlap.csv").write_text(header + shares)
    table = pd.read_csv(toy.root / "overlap.csv", keep_default_na=False)
    figure = pool_overlap.heat_map(table[table.dataset == "toy"], "toy")
    assert [text.get_text() for text in figure.axes[0].texts] == ["12.3", "50.0", "12.3", "0.0", "50.0", "0.0"]
    assert "20 %" in figure.axes[0].get_title()
    found = toy.study(initial_pools={"a": {"initial_pool": "random"}, "b": {"initial_pool": "random"}})
    report(found, toy.root, "figures", "toy/pools/overlap", "png")
    for text, name in ((shares.replace("toy", "elsewhere"), "toy"), (shares.replace("b", "B"), "b")):
        (toy.root / "overlap.csv").write_text(header + text)
        with pytest.raises(Damaged, match=rf"overlap\.csv: found no row of {name} of toy, expected some"):
            report(found, toy.root, "figures", "toy/pools/overlap", "png")


def test_the_marked_points_are_those_of_the_pool(toy):
    rows = np.arange(1, N)  # without row 0, which pool a has
    points = np.random.default_rng(0).normal(size=(N - 1, 2))
    known = KnownPool(toy.folder / "pool/seed0.h5", toy.folder / "dataset.h5")
    figure = pool_map.scatter(points, rows, known, {"a": np.arange(12), "b": np.arange(6, 18)}, "toy")
    for panel, marked in zip(figure.axes, (range(1, 12), range(6, 18)), strict=True):
        others, pool = panel.collections
        np.testing.assert_allclose(pool.get_offsets(), points[np.isin(rows, marked)])
        np.testing.assert_allclose(others.get_offsets(), points[~np.isin(rows, marked)])
    assert [panel.get_title() for panel in figure.axes] == ["a (11 of 12 images)", "b (12 images)"]


@pytest.mark.parametrize("classes", [2, 10, 11, 20])
def test_the_classes_of_a_map_can_be_told_apart(classes):
    """By ten colours that are far from one another, and beyond ten by the marker too, in the legend and the panels."""
    labels, points = np.arange(40) % classes, np.random.default_rng(0).normal(size=(40, 2))
    known = SimpleNamespace(names=[f"c{i}" for i in range(classes)], classes=labels)
    figure = pool_map.scatter(points, np.arange(40), known, {"a": np.arange(40)}, "toy")
    handles = figure.legends[0].legend_handles
    shown = [(colors.to_rgb(handle.get_color()), handle.get_marker()) for handle in handles]
    assert len(set(shown)) == classes
    for (first, marker), (other, its) in itertools.combinations(shown, 2):
        assert marker != its or np.abs(np.subtract(first, other)).max() > 0.2
    drawn = {}
    for collection in figure.axes[0].collections[1:]:
        for point, face in zip(collection.get_offsets(), collection.get_facecolors(), strict=True):
            label = labels[np.flatnonzero((points == point).all(axis=1))[0]]
            drawn.setdefault(label, set()).add((tuple(face[:3]), collection.get_paths()[0].vertices.tobytes()))
    assert all(len(styles) == 1 for styles in drawn.values())
    assert len(set.union(*drawn.values())) == len(drawn) == classes


def test_a_map_is_written_in_all_its_colours(toy):
    """A file of a palette would put colours of different classes together."""
    path = toy.figure("toy/pools/tsne_inputs")
    with Image.open(path) as image:
        assert image.mode == "RGBA"
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
    found = {tuple(pixel) for pixel in np.unique(pixels, axis=0)}
    expected = [tuple(round(255 * value) for value in colour) for colour in sns.color_palette("tab10", C)]
    assert found.issuperset(expected)


@pytest.mark.parametrize(
    ("rows", "embedding", "message"),
    [
        (np.arange(N) + 1, np.zeros((N, 2)), r"tsne\.h5: found row 60, expected 0\.\.59"),
        (np.arange(5), np.zeros((4, 2)), r"tsne\.h5: found embedding \(4, 2\), expected \(5, 2\)"),
    ],
)
def test_points_that_make_no_sense(toy, rows, embedding, message):
    write_h5(toy.folder / "pretext/inputs/seed0/tsne.h5", rows=rows, embedding=embedding)
    with pytest.raises(StageError, match=message):
        toy.figure("toy/pools/tsne_inputs")


# Curves


@pytest.fixture
def table(toy):
    """The curves of the toy study."""
    return toy.table("curves")


@pytest.mark.parametrize(("panel", "line"), [("strategy", "initial_pool"), ("initial_pool", "strategy")])
def test_the_lines_are_means_over_the_seeds(table, panel, line):
    figure = learning_curves.curves(table, panel, line, "test_accuracy", "toy")
    panels = table[panel].unique()
    assert [axes.get_title() for axes in figure.axes] == [f"{panel.replace('_', ' ')}: {name}" for name in panels]
    for axes, name in zip(figure.axes, panels, strict=True):
        for drawn, of in zip(axes.lines, table[line].unique(), strict=False):
            rows = table[(table[panel] == name) & (table[line] == of)]
            np.testing.assert_allclose(drawn.get_xdata(), [12, 18])
            np.testing.assert_allclose(drawn.get_ydata(), 100 * rows.groupby("cycle").test_accuracy.mean())
    assert figure.get_suptitle() == "toy: mean ± std over 2 seeds"
    assert figure.axes[0].get_ylabel() == "test accuracy (%)"


def test_discovered_classes_are_lines_of_their_own(toy, monkeypatch):
    pool = {"known_classes": 2, "novel_classes": 2, "images_per_class": 10}
    given = {"initial_pools": {"a": {"initial_pool": "random"}}, "pool": pool, "initial_size": 12}
    for seed in (0, 1):
        for chain, found in (("a", 2), ("a/s", 4 - seed), ("a/t", 2)):
            counts = {"labeled": 12 if chain == "a" else 18, "test_accuracy": 0.5, "seconds": 1.0}
            write_metrics(toy.metrics(chain, seed, int("/" in chain)), **counts, classes_found=found)
    drawn, curves = [], learning_curves.curves
    monkeypatch.setattr(
        discovered_classes, "curves", lambda *args, **more: drawn.append(curves(*args, **more)) or drawn[0]
    )
    toy.figure("toy/net/discovered_classes", **given)
    (axes,) = drawn[0].axes
    lines = {line.get_label(): line.get_ydata().tolist() for line in axes.lines}
    assert lines == {"s": [2, 3.5], "t": [2, 2]}
    assert axes.get_ylabel() == "classes with a label"
    with pytest.raises(KeyError):
        toy.figure("toy/net/discovered_classes")  # where all classes are known there is nothing to discover


def test_a_dashed_line_is_what_the_whole_pool_gives(toy, monkeypatch):
    drawn, curves = [], learning_curves.curves
    monkeypatch.setattr(learning_curves, "curves", lambda *given: drawn.append(curves(*given)) or drawn[-1])
    for passive in (True, False):
        toy.figure("toy/net/by_pool", passive=passive)
    for axes in drawn[0].axes:
        dashed = [line for line in axes.lines if line.get_linestyle() == "--"]
        assert [line.get_label() for line in dashed] == ["passive: all 60"]
        np.testing.assert_allclose(dashed[0].get_ydata(), 91)
        assert axes.get_ylim()[1] > 91
    assert [axes.get_title() for axes in drawn[0].axes] == [axes.get_title() for axes in drawn[1].axes]
    assert not [line for axes in drawn[1].axes for line in axes.lines if line.get_linestyle() == "--"]


def test_names_of_strategies_are_text_whatever_they_look_like(toy, monkeypatch):
    seen = []
    monkeypatch.setattr(learning_curves, "curves", lambda table, *words: seen.append((table, *words)) or plt.figure())
    for chain in toy.folder.glob("net/?/s"):
        chain.rename(chain.parent / "NA")
    strategies = {"NA": {"strategy": "entropy"}, "t": {"strategy": "random"}}
    for view in ("by_strategy", "by_pool"):
        toy.figure(f"toy/net/{view}", strategies=strategies, figures={"title": "Mine", "metric": "test_accuracy"})
    table, *words, passive = seen[0]
    assert table.strategy.unique().tolist() == ["NA", "t"]
    assert words == ["strategy", "initial_pool", "test_accuracy", "Mine", [], True]
    assert passive == (60, pytest.approx(0.91))
    assert seen[1][1:3] == ("initial_pool", "strategy")


def test_a_strategy_on_another_kind_of_network_has_its_name(toy, monkeypatch):
    seen = []
    monkeypatch.setattr(learning_curves, "curves", lambda table, *words: seen.append(table) or plt.figure())
    for seed in (0, 1):
        for pool in "abc":
            write_metrics(toy.metrics(f"{pool}+dropout", seed), labeled=12, test_accuracy=0.125)
    toy.figure("toy/net/by_pool", strategies={"s": {"strategy": "dbal"}, "t": {"strategy": "random"}})
    assert seen[0].strategy.unique().tolist() == ["s (dropout)", "t"]


def test_a_metric_that_no_image_gives_is_named(toy):
    with pytest.raises(
        StageError, match="found no validation_loss, as there are no such images; write another figures"
    ):
        toy.figure("toy/net/by_pool", figures={"metric": "validation_loss"})


@pytest.mark.parametrize("answered", [(12, 12, 18), (12, 15, 15)])
def test_a_cycle_without_new_labels_is_neither_drawn_nor_averaged_with_the_one_before(table, answered):
    """The images of one cycle have no label yet: the network of the last one stands for it."""
    first = table[table.cycle == 0]
    cycles = [first.assign(cycle=cycle, labeled=size) for cycle, size in enumerate(answered)]
    for cycle, rows in enumerate(cycles):
        rows["test_accuracy"] = 0.1 * cycle + 0.01 * rows.seed
    figure = learning_curves.curves(pd.concat(cycles), "strategy", "initial_pool", "test_accuracy", "toy")
    for drawn in figure.axes[0].lines[:3]:
        kept = [0, 2] if answered[1] == 12 else [0, 1]
        np.testing.assert_allclose(drawn.get_xdata(), [answered[cycle] for cycle in kept])
        np.testing.assert_allclose(drawn.get_ydata(), [10 * cycle + 0.5 for cycle in kept])


def test_a_point_is_a_cycle_whatever_its_number_of_labels(table):
    """One seed has 12 and 16 labels, the other 14 and 20: means at 13 and 18, not four points of one seed each."""
    table["labeled"] = [
        {(0, 0): 12, (0, 1): 16, (1, 0): 14, (1, 1): 20}[key] for key in zip(table.seed, table.cycle, strict=True)
    ]
    figure = learning_curves.curves(table, "strategy", "initial_pool", "test_accuracy", "toy")
    rows = table[(table.strategy == "s") & (table.initial_pool == "a")]
    np.testing.assert_allclose(figure.axes[0].lines[0].get_xdata(), [13, 18])
    np.testing.assert_allclose(figure.axes[0].lines[0].get_ydata(), 100 * rows.groupby("cycle").test_accuracy.mean())


def overlaps(toy):
    """Return the toy study's overlap, as a figure reads it."""
    toy.table("overlap_cycles")
    return pd.read_csv(toy.root / "overlap_cycles.csv", keep_default_na=False, na_values={"share_std": [""]})


def test_the_overlap_of_all_pairs_is_drawn_for_each_strategy_beside_chance(toy):
    table = overlaps(toy)
    figure = overlap_cycles.lines(table, "toy, net")
    assert len(figure.axes) == 1  # there is no pool `random`
    axes, together = figure.axes[0], table[table.initial_pool == ""]
    assert [line.get_label() for line in axes.lines] == ["s", "t", "two random sets"]
    for line, strategy in zip(axes.lines, "st", strict=False):
        np.testing.assert_allclose(line.get_ydata(), 100 * together[together.strategy == strategy].share_mean)
    np.testing.assert_allclose(axes.lines[2].get_xydata(), [[12, 20], [18, 30]])
    assert figure.get_suptitle().startswith("toy, net: ")


def test_the_overlap_of_each_pool_with_the_random_one_is_drawn_for_each_strategy(toy):
    """Of a, b and c, b called `random`: it stands second in one pair and first in the other."""
    table = overlaps(toy).replace({"initial_pool": {"b": "random"}, "other_pool": {"b": "random"}})
    figure = overlap_cycles.lines(table, "toy, net")
    panels = [axes for axes in figure.axes if axes.get_visible()]
    titles = ["all pairs of initial pools", "s: against random", "t: against random"]
    assert [axes.get_title() for axes in panels] == titles
    # t: a = 0..11 and 19..24, b = 6..17 and 25..30, c = 30..41 and 49..54.
    expected = {"a": [600 / 12, 600 / 18], "c": [0, 100 / 18]}
    assert [line.get_label() for line in panels[2].lines] == [*expected, "two random sets"]
    for line, values in zip(panels[2].lines, expected.values(), strict=False):
        np.testing.assert_allclose(line.get_ydata(), values, rtol=1e-5)


# Broken files


@pytest.mark.parametrize(
    ("path", "file", "message"),
    [
        ("toy/pools/first_a", "toy/net/a/seed0/cycle0/labeled.h5", "labeled.h5 is damaged or no HDF5 file"),
        ("toy/pools/tsne_inputs", "toy/pretext/inputs/seed0/tsne.h5", "tsne.h5 is damaged or no HDF5 file"),
        ("toy/pools/overlap", "overlap.csv", "overlap.csv is no whole table"),
    ],
)
def test_the_stage_names_a_broken_file_in_one_line(stage, toy, path, file, message):
    (toy.root / file).write_bytes(b"")
    done = stage(
        "figure",
        json.loads(reports.settings(toy.study(), "figures", path)),
        job=path,
        out=toy.root / "figures" / f"{path}.png",
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert message in done.stderr
    assert not list(toy.root.glob("figures/**/*.p*"))


def test_a_file_that_lacks_something_is_named(toy):
    pool = toy.folder / "pool/seed0.h5"
    (toy.folder / "pretext/inputs/seed0/tsne.h5").write_bytes(pool.read_bytes())
    with pytest.raises(StageError, match=r"tsne\.h5 lacks what is asked of it"):
        toy.figure("toy/pools/tsne_inputs")
