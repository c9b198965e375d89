"""What a study reports of its initial pools and of the clusters of its pretext tasks."""

import itertools
import json

import h5py
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from helpers import write_h5, write_pool
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from poolflow import (
    cluster_quality,
    contact_sheet,
    cycle_overlap,
    cycle_tables,
    pool_histograms,
    pool_overlap,
    pool_tables,
    tsne,
    tsne_figure,
)
from poolflow.data.candidates import Candidates
from poolflow.data.known_pool import KnownPool, read_rows, shared
from poolflow.job import Job, StageError

N, C = 60, 6


def job(stage="stage", **config):
    return Job(stage, "toy", {"seed": 0, **config}, "abc")


def write_dataset(path, labels, shape=(6, 5, 1)):
    images = np.random.default_rng(0).integers(0, 256, (len(labels), *shape)).astype(np.uint8)
    write_h5(path, {"classes": [f"class {i}" for i in range(C)]}, train__images=images, train__labels=labels)
    return images


def write_labeled(path, rows, cycles=0):
    rows = np.asarray(rows)
    return write_h5(path, indices=rows, cycle=np.zeros(len(rows), np.int64) + cycles, score=np.zeros(len(rows)))


@pytest.fixture
def study(tmp_path):
    """A study of one data set, two seeds, three initial pools and two strategies, of which only the files are there."""
    results = tmp_path / "results"
    labels = np.arange(N) % C
    write_dataset(results / "toy/dataset.h5", labels)
    pools = {"a": range(0, 12), "b": range(6, 18), "c": range(30, 42)}
    for seed in (0, 1):
        folder = results / "toy"
        write_pool(folder / f"pool/seed{seed}.h5", np.arange(N))
        values = np.random.default_rng(seed).normal(size=(N, 8)) + 5 * np.eye(8)[labels]
        write_h5(folder / f"pretext/task/seed{seed}/features.h5", features=values.astype(np.float32))
        write_h5(folder / f"pretext/task/seed{seed}/clusters.h5", {"count": C + 2}, clusters=(labels + seed) % C)
        for name, rows in pools.items():
            write_labeled(folder / f"net/{name}/seed{seed}/cycle0/labeled.h5", rows)
            for strategy, shift in (("s", 0), ("t", 1)):
                chain = folder / f"net/{name}/{strategy}/seed{seed}/cycle1"
                new = [(rows[-1] + 1 + 7 * shift + i) % N for i in range(6)]
                write_labeled(chain / "labeled.h5", [*rows, *new], np.repeat([0, 1], [12, 6]))
                (chain / "metrics.json").write_text(json.dumps({"test_class_accuracy": [0.1, 0.2, 0.3, 0.9, 0.8, 0.7]}))
    return results


CONFIG = {
    "datasets": ["toy"],
    "learners": ["net"],
    "learner": "net",
    "initial_pools": ["a", "b", "c"],
    "strategies": ["s", "t"],
    "seeds": [0, 1],
    "cycles": 1,
    "pretext": ["task"],
}


# Clusters against classes


def brute_force_accuracy(clusters, classes):
    """The best over every way to give each cluster a class of its own, or none."""
    names, size = np.unique(clusters).tolist(), len(classes)
    targets = [*np.unique(classes).tolist(), *[-1] * len(names)]
    best = 0
    for match in itertools.permutations(targets, len(names)):
        best = max(best, sum(match[names.index(k)] == c for k, c in zip(clusters, classes, strict=True)))
    return best / size


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=25))
def test_accuracy_is_the_best_matching_whatever_the_number_of_clusters(pairs):
    clusters, classes = np.array(pairs).T
    assert cluster_quality.agreement(clusters, classes)[0] == brute_force_accuracy(clusters, classes)


def test_agreement_of_a_table_worked_by_hand():
    # Rows: clusters; columns: classes.   3 1 0
    #                                     0 2 2
    clusters = np.repeat([0, 0, 1, 1], [3, 1, 2, 2])
    classes = np.repeat([0, 1, 1, 2], [3, 1, 2, 2])
    acc, nmi, ari = cluster_quality.agreement(clusters, classes)
    assert acc == 5 / 8
    together = -(3 / 8 * np.log(3 / 8) + 1 / 8 * np.log(1 / 8) + 2 * (2 / 8 * np.log(2 / 8)))
    of_clusters, of_classes = np.log(2), -(2 * 3 / 8 * np.log(3 / 8) + 2 / 8 * np.log(2 / 8))
    np.testing.assert_allclose(nmi, (of_clusters + of_classes - together) / ((of_clusters + of_classes) / 2))
    # Pairs together in both: 3 + 0 + 1 + 1 = 5; in clusters: 6 + 6 = 12; in classes: 3 + 3 + 1 = 7; of 28.
    np.testing.assert_allclose(ari, (5 - 12 * 7 / 28) / ((12 + 7) / 2 - 12 * 7 / 28))


def test_clusters_csv(study, tmp_path):
    labels = np.arange(N) % C
    labels[:6] = -1
    write_dataset(study / "toy/dataset.h5", labels)
    # Seed 1: classes 0 and 1 fall together, and a third of class 2 is a cluster of its own.
    found = np.arange(N) % C
    found[found == 1] = 0
    found[np.flatnonzero(found == 2)[:4]] = 7
    write_h5(study / "toy/pretext/task/seed1/clusters.h5", {"count": 9}, clusters=found)
    cluster_quality.main(job(**CONFIG), study, tmp_path / "c.csv", tmp_path / "s.csv")
    table = pd.read_csv(tmp_path / "c.csv")
    facts = ["seed", "clusters", "empty", "smallest", "largest", "labeled"]
    assert table[facts].to_numpy().tolist() == [[0, 8, 2, 10, 10, 54], [1, 9, 3, 4, 20, 54]]
    # Of 54 with a label, the nine of class 0 or 1 are lost, and the three of class 2 that are in the smaller cluster.
    np.testing.assert_allclose(table.acc, [1, (54 - 9 - 3) / 54], rtol=1e-5)
    summary = pd.read_csv(tmp_path / "s.csv")
    np.testing.assert_allclose(summary.acc_mean, table.acc.mean(), rtol=1e-5)
    np.testing.assert_allclose(summary.nmi_std, table.nmi.std(ddof=1), rtol=1e-4)
    assert summary.seeds.tolist() == [2]


# What the pools hold and share


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_growing_sets_share_what_their_intersections_hold(seed):
    rng = np.random.default_rng(seed)
    sets = [(rng.permutation(30)[:12], np.sort(rng.integers(0, 4, 12))) for _ in range(2)]
    expected = [
        len(set(sets[0][0][sets[0][1] <= cycle].tolist()) & set(sets[1][0][sets[1][1] <= cycle].tolist()))
        for cycle in range(4)
    ]
    assert shared(*sets, 30, 3).tolist() == expected


def test_pool_tables(study, tmp_path):
    labels = np.arange(N) % C
    labels[[0, 1]] = -1
    labels[2:12] = [2, 2, 2, 2, 3, 3, 3, 3, 4, 4]
    write_dataset(study / "toy/dataset.h5", labels)
    write_labeled(study / "toy/net/b/seed1/cycle0/labeled.h5", range(18, 30))
    files = [tmp_path / name for name in ("p.csv", "c.csv", "o.csv")]
    pool_tables.main(job(**CONFIG), study, *files)
    pools, classes, overlap = map(pd.read_csv, files)
    assert pools.initial_pool.tolist() == ["a", "b", "c"] * 2
    first = pools.iloc[0]
    assert (first["size"], first.without_label, first.classes) == (12, 2, 3)
    assert (first.largest_share, first.smallest_share) == (0.4, 0)
    entropy = -(2 * 0.4 * np.log(0.4) + 0.2 * np.log(0.2)) / np.log(6)
    np.testing.assert_allclose(first.entropy, entropy, rtol=1e-5)
    assert pools.entropy[2] == 1  # balanced
    assert classes["count"][:6].tolist() == [0, 0, 4, 4, 2, 0]
    assert classes["class"][:6].tolist() == [f"class {i}" for i in range(6)]
    np.testing.assert_allclose(classes.random_count[:6], np.bincount(labels[2:], minlength=6) * 12 / 60, rtol=1e-5)
    assert list(zip(overlap.initial_pool, overlap.other_pool, strict=True)) == [("a", "b"), ("a", "c"), ("b", "c")]
    np.testing.assert_allclose(overlap.share_mean, [0.25, 0, 0], atol=1e-6)  # half of it in seed 0, nothing in seed 1
    np.testing.assert_allclose(overlap.share_std, [np.std([0.5, 0], ddof=1), 0, 0], rtol=1e-5)
    np.testing.assert_allclose(overlap.random_share, 12 / 60)


def test_the_tables_of_a_single_pool_and_seed(study, tmp_path):
    files = [tmp_path / name for name in ("p.csv", "c.csv", "o.csv")]
    config = CONFIG | {"initial_pools": ["a"], "seeds": [0]}
    pool_tables.main(job(**config), study, *files)
    assert len(pd.read_csv(files[0])) == 1
    assert len(pd.read_csv(files[2])) == 0
    cycle_tables.main(job(**config), study, tmp_path / "oc.csv", tmp_path / "h.csv")
    assert len(pd.read_csv(tmp_path / "oc.csv")) == 0
    assert len(pd.read_csv(tmp_path / "h.csv")) == 2


@pytest.mark.parametrize(
    ("counts", "expected"),
    [([5, 5, 5, 5], (4, 0.25, 0.25, 1)), ([0, 9, 0], (1, 1, 0, 0)), ([1, 1, 0, 0], (2, 0.5, 0, 0.5))],
)
def test_balance(counts, expected):
    np.testing.assert_allclose(pool_tables.balance(np.array(counts)), expected, rtol=1e-12)


def test_two_random_pools_share_as_much_as_the_table_says():
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(2000):
        sets = [(rng.choice(50, 10, replace=False), np.zeros(10, np.int64)) for _ in range(2)]
        shares.append(shared(*sets, 50)[0] / 10)
    np.testing.assert_allclose(np.mean(shares), 10 / 50, atol=0.01)


def test_classes_are_those_of_the_pool_in_its_order(tmp_path):
    """Class discovery picks some classes of the data set in a drawn order."""
    write_dataset(tmp_path / "d.h5", np.array([0, 1, 2, 3, 4, 5, -1]))
    pool = KnownPool(write_pool(tmp_path / "p.h5", np.array([4, 1, 5, 6, 4]), class_ids=[5, 1, 4]), tmp_path / "d.h5")
    assert pool.names == ["class 5", "class 1", "class 4"]
    assert pool.classes.tolist() == [2, 1, 0, -1, 2]
    assert pool.counts(np.arange(5)).tolist() == [1, 1, 2]
    assert pool.counts(np.array([0, 3])).tolist() == [0, 0, 1]


# The cycles


def test_overlap_over_the_cycles(study, tmp_path):
    cycle_tables.main(job(**CONFIG), study, tmp_path / "o.csv", tmp_path / "h.csv")
    table = pd.read_csv(tmp_path / "o.csv").set_index(["strategy", "cycle"])
    assert table.labeled.tolist() == [12, 18] * 2
    assert table.seeds.tolist() == [2] * 4
    np.testing.assert_allclose(table.random_share, [12 / 60, 18 / 60] * 2)
    # Cycle 0: a and b have 6 of 12 in common, c has nothing in common with either.
    np.testing.assert_allclose(table.share_mean[("s", 0)], (6 / 12 + 0 + 0) / 3, rtol=1e-5)
    # s, cycle 1: a = 0..17, b = 6..23, c = 30..47. t: a = 0..11 and 19..24, b = 6..17 and 25..30, c = 30..41, 49..54.
    np.testing.assert_allclose(table.share_mean[("s", 1)], (12 / 18 + 0 + 0) / 3, rtol=1e-5)
    np.testing.assert_allclose(table.share_mean[("t", 1)], (6 / 18 + 0 + 1 / 18) / 3, rtol=1e-5)


def test_hard_classes(study, tmp_path):
    cycles = np.repeat([0, 1], [6, 4])
    write_labeled(study / "toy/net/a/s/seed0/cycle1/labeled.h5", [0, 6, 12, 1, 7, 3, 2, 8, 14, 20], cycles)
    for name in "bc":
        write_labeled(study / f"toy/net/{name}/s/seed0/cycle1/labeled.h5", range(10), cycles)
    cycle_tables.main(
        job(**CONFIG | {"seeds": [0], "strategies": ["s"]}), study, tmp_path / "o.csv", tmp_path / "h.csv"
    )
    row = pd.read_csv(tmp_path / "h.csv").iloc[0]
    # Most frequent in cycle 0: classes 0, 1 and 3; least accurate: 0, 1 and 2.
    assert (row.compared, row.in_common_mean, row.chance) == (3, 2, 1.5)


def test_hard_classes_of_many_classes_are_ten():
    accuracy = np.linspace(1, 0, 40)  # the last ten are the hard ones
    counts = np.arange(40)
    assert cycle_tables.hard_classes(counts, accuracy) == (10, 10, 2.5)
    assert cycle_tables.hard_classes(-counts, accuracy) == (10, 0, 2.5)
    accuracy[-5:] = np.nan  # without test images
    assert cycle_tables.hard_classes(counts, accuracy) == (10, 10, 100 / 35)
    rng = np.random.default_rng(0)
    found = [cycle_tables.hard_classes(rng.permutation(40), rng.random(40))[1] for _ in range(2000)]
    np.testing.assert_allclose(np.mean(found), 2.5, atol=0.1)


# t-SNE


def test_tsne_is_the_same_each_time_and_keeps_the_classes_apart(study, tmp_path):
    folder = study / "toy"
    labeled = [folder / f"net/{name}/seed0/cycle0/labeled.h5" for name in "abc"]
    features = folder / "pretext/task/seed0/features.h5"
    for out in ("1.h5", "2.h5"):
        with threadpool_limits(1):  # as every stage has: OpenMP's threads wait for each other on a busy machine
            tsne.main(job("tsne", rows=50), folder / "pool/seed0.h5", features, tmp_path / out, labeled)
    assert (tmp_path / "1.h5").read_bytes() == (tmp_path / "2.h5").read_bytes()
    with h5py.File(tmp_path / "1.h5") as file:
        rows, embedding = file["rows"][:], file["embedding"][:]
    assert len(rows) == 50 == len(np.unique(rows))
    assert set(rows) >= {*range(18), *range(30, 42)}
    classes = rows % C
    distances = np.linalg.norm(embedding[:, None] - embedding, axis=2) + np.diag([np.inf] * 50)
    assert (classes[distances.argmin(axis=1)] == classes).mean() > 0.9


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 40), st.integers(40, 80), st.integers(1, 90))
def test_the_sample_has_the_pools_first_and_never_too_many(pools, size, limit):
    rng = np.random.default_rng(0)
    chosen = np.sort(rng.choice(size, pools, replace=False))
    rows = tsne.sample(chosen, size, limit, rng)
    assert len(rows) == min(limit, size)
    assert (np.diff(rows) > 0).all()
    assert np.isin(chosen, rows).sum() == min(pools, limit)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x[:-1], r"found features \(59, 8\) for a pool of 60"),
        (lambda x: x[:, :1], r"found features \(60, 1\)"),
        (lambda x: np.where(np.arange(8) == 3, np.nan, x), "found nan in row 0, expected finite"),
        (lambda x: x * 0, "the same features in every row"),
    ],
)
def test_features_that_cannot_be_laid_out(study, tmp_path, change, message):
    features = study / "toy/pretext/task/seed0/features.h5"
    with h5py.File(features) as file:
        values = change(file["features"][:])
    write_h5(features, features=values)
    labeled = [study / "toy/net/a/seed0/cycle0/labeled.h5"]
    with pytest.raises(StageError, match=message):
        tsne.main(job(rows=50), study / "toy/pool/seed0.h5", features, tmp_path / "out.h5", labeled)


# Figures


def test_the_sheet_shows_each_image_at_its_place(tmp_path):
    """Images of 6 x 5, enlarged 12 times; the first stands 56 pixels from the top, the next 80 to the right."""
    shown = write_dataset(tmp_path / "d.h5", np.arange(N) % C, (6, 5, 3))
    flip = np.zeros(N, bool)
    flip[3] = True
    pool = write_pool(tmp_path / "p.h5", np.arange(N)[::-1], flip)
    labeled = write_labeled(tmp_path / "l.h5", [7, 3, *range(10, 38)])  # 15 first, 15 last
    config = {"dataset": "toy", "initial_pool": "a"}
    contact_sheet.main(job(**config), tmp_path / "d.h5", pool, labeled, tmp_path / "s.png")
    sheet = np.rint(plt.imread(tmp_path / "s.png")[..., :3] * 255).astype(np.uint8)
    assert sheet.shape[1] == 2 * 12 + 12 * 80

    def at(line, column, block):
        y, x = 12 + 30 + 14 + line * 94 + block * (30 + 2 * 94), 12 + column * 80
        return sheet[y : y + 72, x : x + 60][6::12, 6::12], sheet[y : y + 72, x : x + 60]

    np.testing.assert_array_equal(at(0, 0, 0)[0], shown[N - 1 - 7])
    np.testing.assert_array_equal(at(0, 1, 0)[0], shown[N - 1 - 3][:, ::-1])
    np.testing.assert_array_equal(at(1, 2, 0)[0], shown[N - 1 - 22])
    np.testing.assert_array_equal(at(0, 0, 1)[0], shown[N - 1 - 23])
    np.testing.assert_array_equal(at(1, 2, 1)[0], shown[N - 1 - 37])
    np.testing.assert_array_equal(at(0, 0, 0)[1], shown[N - 1 - 7].repeat(12, axis=0).repeat(12, axis=1))  # no blur
    assert (at(1, 3, 0)[1] == 255).all()


@pytest.mark.parametrize(("side", "factor", "step"), [(8, 9, 1), (28, 3, 1), (32, 2, 1), (64, 1, 1), (224, 1, 2)])
def test_images_are_brought_near_one_size_by_whole_numbers(side, factor, step):
    images = np.random.default_rng(0).integers(0, 256, (2, side, side, 1)).astype(np.uint8)
    expected = [[np.kron(image[::step, ::step, 0], np.ones((factor, factor), np.uint8))] for image in images]
    np.testing.assert_array_equal(contact_sheet.scale(images), np.array(expected)[:, 0, ..., None])


@pytest.mark.parametrize("size", [1, 2, 3, 25, 60])
def test_a_sheet_of_any_size_shows_every_image_at_most_once(tmp_path, size, monkeypatch):
    write_dataset(tmp_path / "d.h5", np.arange(N) % C)
    pool, labeled = write_pool(tmp_path / "p.h5", np.arange(N)), write_labeled(tmp_path / "l.h5", range(size))
    names = []
    monkeypatch.setattr(
        contact_sheet, "draw", lambda images, labels, titles: names.append((labels, titles)) or plt.figure()
    )
    config = {"dataset": "toy", "initial_pool": "a"}
    contact_sheet.main(job(**config), tmp_path / "d.h5", pool, labeled, tmp_path / "s.png")
    assert list(itertools.chain(*names[0][0])) == [f"class {row % C}" for row in range(size)]
    assert len(names[0][1]) == (1 if size == 1 else 2)


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
    figure = pool_histograms.draw(table, "toy")
    panels = [panel for panel in figure.axes if panel.get_visible()]
    assert [panel.get_title() for panel in panels] == [f"pool {pool}" for pool in range(pools)]
    expected = table[table.initial_pool == "pool 1"].groupby("class", sort=False)["count"].mean().to_numpy()
    if classes > 40:
        expected = np.sort(expected)[::-1]
    else:
        assert [label.get_text() for label in panels[1].get_xticklabels()] == [f"class {i}" for i in range(classes)]
    np.testing.assert_allclose([bar.get_height() for bar in panels[1].patches], expected)
    plt.close(figure)


def test_the_heat_map_says_each_share_in_per_cent(tmp_path):
    (tmp_path / "o.csv").write_text(
        "dataset,initial_pool,other_pool,seeds,share_mean,share_std,random_share\n"
        "toy,a,b,1,0.123,,0.2\ntoy,a,none,1,0.5,,0.2\ntoy,b,none,1,0,,0.2\nother,x,y,1,0.9,,0.2\n"
    )
    table = pd.read_csv(tmp_path / "o.csv", keep_default_na=False)
    figure = pool_overlap.draw(table[table.dataset == "toy"], "toy")
    assert [text.get_text() for text in figure.axes[0].texts] == ["12.3", "50.0", "12.3", "0.0", "50.0", "0.0"]
    assert "20 %" in figure.axes[0].get_title()
    plt.close(figure)
    pool_overlap.main(job(dataset="toy", dpi=50), tmp_path / "o.csv", tmp_path / "o.png")
    with pytest.raises(StageError, match="found no row of absent"):
        pool_overlap.main(job(dataset="absent", dpi=50), tmp_path / "o.csv", tmp_path / "o.png")


def test_the_marked_points_are_those_of_the_pool(study, tmp_path):
    folder = study / "toy"
    rows = np.arange(1, N)  # without row 0, which pool a has
    points = np.random.default_rng(0).normal(size=(N - 1, 2))
    known = KnownPool(folder / "pool/seed0.h5", folder / "dataset.h5")
    figure = tsne_figure.draw(points, rows, known, {"a": np.arange(12), "b": np.arange(6, 18)}, "toy")
    for panel, marked in zip(figure.axes, (range(1, 12), range(6, 18)), strict=True):
        others, pool = panel.collections
        np.testing.assert_allclose(pool.get_offsets(), points[np.isin(rows, marked)])
        np.testing.assert_allclose(others.get_offsets(), points[~np.isin(rows, marked)])
    assert [panel.get_title() for panel in figure.axes] == ["a (11 of 12 images)", "b (12 images)"]
    plt.close(figure)


def test_every_figure_has_the_same_bytes_each_time(study, tmp_path):
    folder, pools = study / "toy", list("abc")
    tables = [tmp_path / name for name in ("pools.csv", "classes.csv", "overlap.csv")]
    pool_tables.main(job(**CONFIG), study, *tables)
    cycle_tables.main(job(**CONFIG), study, tmp_path / "cycles.csv", tmp_path / "hard.csv")
    labeled = [folder / f"net/{name}/seed0/cycle0/labeled.h5" for name in pools]
    dataset, pool = folder / "dataset.h5", folder / "pool/seed0.h5"
    tsne.main(job(rows=50), pool, folder / "pretext/task/seed0/features.h5", tmp_path / "t.h5", labeled)
    look = job(dataset="toy", learner="net", pretext="task", initial_pools=pools, initial_pool="a", dpi=60)
    for run in "12":
        pool_histograms.main(look, tables[1], tmp_path / run / "histograms.png")
        pool_overlap.main(look, tables[2], tmp_path / run / "overlap.png")
        cycle_overlap.main(look, tmp_path / "cycles.csv", tmp_path / run / "cycles.png")
        tsne_figure.main(look, dataset, pool, tmp_path / "t.h5", tmp_path / run / "tsne.png", labeled)
        contact_sheet.main(look, dataset, pool, labeled[0], tmp_path / run / "sheet.png")
    plt.close("all")
    files = sorted((tmp_path / "1").iterdir())
    assert len(files) == 5
    for path in files:
        assert path.read_bytes() == (tmp_path / "2" / path.name).read_bytes()
        assert plt.imread(path)[..., :3].std() > 0.02


# Broken files


def test_labelled_rows_are_checked(tmp_path):
    for rows, message in (
        ([0, 1, 60], "found row 60, expected 0..59"),
        ([-1, 1], "found row -1"),
        ([1, 2, 1], "found 1 rows twice"),
        ([], "found no rows"),
    ):
        path = write_labeled(tmp_path / "labeled.h5", np.array(rows, np.int64))
        with pytest.raises(StageError, match=message):
            read_rows(path, 60)
    with pytest.raises(StageError, match="found 2 rows, expected 3 as in the other"):
        read_rows(write_labeled(path, [1, 2]), 60, 3)


def test_a_pool_of_another_data_set(tmp_path):
    write_dataset(tmp_path / "d.h5", np.arange(5))
    pool = write_pool(tmp_path / "p.h5", np.arange(7))
    assert len(Candidates(pool)) == 7
    with pytest.raises(StageError, match=r"found row 5, expected 0\.\.4"):
        KnownPool(pool, tmp_path / "d.h5")


@pytest.mark.parametrize(
    ("clusters", "attributes", "message"),
    [
        (np.arange(N), {"count": 8}, r"found clusters 0..59, expected 0..7"),
        (np.zeros(N, np.int64) - 1, {"count": 8}, r"found clusters -1..-1"),
        (np.zeros(N, np.int64), {}, "lacks what is asked of it"),
        (np.zeros(9, np.int64), {"count": 8}, "found 9 rows, expected 60"),
        (np.zeros(N), {"count": 8}, "found clusters of float64, expected integers"),
    ],
)
def test_clusters_that_make_no_sense(study, tmp_path, clusters, attributes, message):
    write_h5(study / "toy/pretext/task/seed1/clusters.h5", attributes, clusters=clusters)
    with pytest.raises(StageError, match=message):
        cluster_quality.main(job(**CONFIG), study, tmp_path / "c.csv", tmp_path / "s.csv")
    assert not (tmp_path / "c.csv").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "is not complete JSON"), ("{}", "of 0 classes"), ('{"test_class_accuracy": [1, 0]}', "of 2 classes")],
)
def test_metrics_without_the_accuracy_of_each_class(study, tmp_path, text, message):
    (study / "toy/net/b/t/seed1/cycle1/metrics.json").write_text(text)
    with pytest.raises(StageError, match=message):
        cycle_tables.main(job(**CONFIG), study, tmp_path / "o.csv", tmp_path / "h.csv")


def test_stages_name_a_broken_file_in_one_line(stage, study, tmp_path):
    broken = study / "toy/net/a/seed0/cycle0/labeled.h5"
    broken.write_bytes(broken.read_bytes()[:100])
    outs = {name: tmp_path / f"{name}.csv" for name in ("pools", "classes", "overlap")}
    done = stage("pool_tables", CONFIG, results=study, **outs)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "labeled.h5 is not a complete HDF5 file" in done.stderr
    folder = study / "toy"
    files = {"dataset": folder / "dataset.h5", "pool": folder / "pool/seed0.h5", "labeled": broken}
    config = {"dataset": "toy", "initial_pool": "a", "seed": 0}
    done = stage("contact_sheet", config, **files, out=tmp_path / "out.png")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    files |= {"labeled": folder / "net/b/seed0/cycle0/labeled.h5", "tsne": folder / "pool/seed0.h5"}
    config |= {"pretext": "task", "initial_pools": ["b"], "dpi": 50}
    done = stage("tsne_figure", config, **files, out=tmp_path / "out.png")
    assert done.returncode == 1
    assert "pool/seed0.h5 lacks what is asked of it" in done.stderr
    assert not list(tmp_path.glob("out*"))
