"""The tables of a study's results: clusters, initial pools, overlap, hard classes, what to label, curves."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest
from helpers import report, write_h5, write_pool
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import C, N, write_dataset, write_labeled, write_metrics

from poolflow.data.candidates import Candidates
from poolflow.data.known_pool import KnownPool, shared
from poolflow.data.labeled import read_labeled
from poolflow.data.store import write_json
from poolflow.job import Damaged, Job, StageError
from poolflow.study import reports
from poolflow.tables import clusters, hard_classes, pools

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
    found, classes = np.array(pairs).T
    assert clusters.agreement(found, classes)[0] == brute_force_accuracy(found, classes)


def test_agreement_of_a_table_worked_by_hand():
    # Rows: clusters; columns: classes.   3 1 0
    #                                     0 2 2
    found = np.repeat([0, 0, 1, 1], [3, 1, 2, 2])
    classes = np.repeat([0, 1, 1, 2], [3, 1, 2, 2])
    acc, nmi, ari = clusters.agreement(found, classes)
    assert acc == 5 / 8
    together = -(3 / 8 * np.log(3 / 8) + 1 / 8 * np.log(1 / 8) + 2 * (2 / 8 * np.log(2 / 8)))
    of_clusters, of_classes = np.log(2), -(2 * 3 / 8 * np.log(3 / 8) + 2 / 8 * np.log(2 / 8))
    np.testing.assert_allclose(nmi, (of_clusters + of_classes - together) / ((of_clusters + of_classes) / 2))
    # Pairs together in both: 3 + 0 + 1 + 1 = 5; in clusters: 6 + 6 = 12; in classes: 3 + 3 + 1 = 7; of 28.
    np.testing.assert_allclose(ari, (5 - 12 * 7 / 28) / ((12 + 7) / 2 - 12 * 7 / 28))


def test_clusters(toy):
    labels = np.arange(N) % C
    labels[:6] = -1
    write_dataset(toy.folder / "dataset.h5", labels)
    # Seed 1: classes 0 and 1 fall together, and a third of class 2 is a cluster of its own.
    found = np.arange(N) % C
    found[found == 1] = 0
    found[np.flatnonzero(found == 2)[:4]] = 7
    write_h5(toy.folder / "pretext/task/seed1/clusters.h5", {"count": 9}, clusters=found)
    table, summary = toy.table("clusters"), toy.table("clusters_summary")
    facts = ["seed", "clusters", "empty", "smallest", "largest", "labeled"]
    assert table[facts].to_numpy().tolist() == [[0, 8, 2, 10, 10, 54], [1, 9, 3, 4, 20, 54]]
    # Of 54 with a label, the nine of class 0 or 1 are lost, and the three of class 2 that are in the smaller cluster.
    np.testing.assert_allclose(table.acc, [1, (54 - 9 - 3) / 54], rtol=1e-5)
    np.testing.assert_allclose(summary.acc_mean, table.acc.mean(), rtol=1e-5)
    np.testing.assert_allclose(summary.nmi_std, table.nmi.std(ddof=1), rtol=1e-4)
    assert summary.seeds.tolist() == [2]
    assert list(table.columns[:3]) == ["dataset", "pretext", "seed"]
    assert list(summary.columns) == [
        *("dataset", "pretext", "seeds", "acc_mean", "acc_std", "nmi_mean", "nmi_std", "ari_mean", "ari_std")
    ]


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


def test_tables_of_the_initial_pools(toy):
    labels = np.arange(N) % C
    labels[[0, 1]] = -1
    labels[2:12] = [2, 2, 2, 2, 3, 3, 3, 3, 4, 4]
    write_dataset(toy.folder / "dataset.h5", labels)
    write_labeled(toy.labeled("b", 1), range(18, 30))
    table = toy.table("pools")
    assert table.initial_pool.tolist() == ["a", "b", "c"] * 2
    first = table.iloc[0]
    assert (first["size"], first.without_label, first.classes) == (12, 2, 3)
    assert (first.largest_share, first.smallest_share) == (0.4, 0)
    entropy = -(2 * 0.4 * np.log(0.4) + 0.2 * np.log(0.2)) / np.log(6)
    np.testing.assert_allclose(first.entropy, entropy, rtol=1e-5)
    assert table.entropy[2] == 1  # balanced
    classes = toy.table("pool_classes")
    assert classes["count"][:6].tolist() == [0, 0, 4, 4, 2, 0]
    assert classes["class"][:6].tolist() == [f"class {i}" for i in range(6)]
    np.testing.assert_allclose(classes.random_count[:6], np.bincount(labels[2:], minlength=6) * 12 / 60, rtol=1e-5)
    overlap = toy.table("overlap")
    assert list(zip(overlap.initial_pool, overlap.other_pool, strict=True)) == [("a", "b"), ("a", "c"), ("b", "c")]
    np.testing.assert_allclose(overlap.share_mean, [0.25, 0, 0], atol=1e-6)  # half of it in seed 0, nothing in seed 1
    np.testing.assert_allclose(overlap.share_std, [np.std([0.5, 0], ddof=1), 0, 0], rtol=1e-5)
    np.testing.assert_allclose(overlap.random_share, 12 / 60)


def test_the_tables_of_a_single_pool_and_seed(toy):
    one = {"initial_pools": {"a": {"initial_pool": "random"}}, "seeds": [0]}
    assert {"overlap", "overlap_cycles"}.isdisjoint(reports.wanted(toy.study(**one), "tables"))
    assert len(toy.table("pools", **one)) == 1
    assert len(toy.table("hard_classes", **one)) == 2
    assert toy.table("summary", **one).test_accuracy_std.isna().all()


def test_without_any_label_there_is_nothing_to_say_of_classes(toy):
    write_dataset(toy.folder / "dataset.h5", np.full(N, -1))
    table = toy.table("pools")
    assert (table.without_label == 12).all()
    assert (table.classes == 0).all()
    assert table[["largest_share", "smallest_share", "entropy"]].isna().all(axis=None)
    assert (toy.table("pool_classes")[["count", "random_count"]] == 0).all(axis=None)
    table = toy.table("clusters")
    assert (table.labeled == 0).all()
    assert table[["acc", "nmi", "ari"]].isna().all(axis=None)
    assert toy.table("overlap").share_mean.tolist() == [0.5, 0, 0]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [([5, 5, 5, 5], (4, 0.25, 0.25, 1)), ([0, 9, 0], (1, 1, 0, 0)), ([1, 1, 0, 0], (2, 0.5, 0, 0.5))],
)
def test_balance(counts, expected):
    np.testing.assert_allclose(pools.balance(np.array(counts)), expected, rtol=1e-12)


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


def test_overlap_over_the_cycles(toy):
    table = toy.table("overlap_cycles")
    keys = ["dataset", "learner", "strategy", "initial_pool", "other_pool", "cycle"]
    assert list(table.columns[:6]) == keys
    every = table.set_index(keys[2:]).sort_index()
    table = table[table.initial_pool.isna()].set_index(["strategy", "cycle"])  # empty: all pairs
    assert table.labeled.tolist() == [12, 18] * 2
    assert table.seeds.tolist() == [2] * 4
    np.testing.assert_allclose(table.random_share, [12 / 60, 18 / 60] * 2)
    # Cycle 0: a and b have 6 of 12 in common, c has nothing in common with either.
    np.testing.assert_allclose(table.share_mean[("s", 0)], (6 / 12 + 0 + 0) / 3, rtol=1e-5)
    # s, cycle 1: a = 0..17, b = 6..23, c = 30..47. t: a = 0..11 and 19..24, b = 6..17 and 25..30, c = 30..41, 49..54.
    np.testing.assert_allclose(table.share_mean[("s", 1)], (12 / 18 + 0 + 0) / 3, rtol=1e-5)
    np.testing.assert_allclose(table.share_mean[("t", 1)], (6 / 18 + 0 + 1 / 18) / 3, rtol=1e-5)
    # And each pair by itself.
    for pair, share in {("a", "b"): (6 / 12, 6 / 18), ("a", "c"): (0, 0), ("b", "c"): (0, 1 / 18)}.items():
        np.testing.assert_allclose(every.share_mean["t", *pair], share, rtol=1e-5)
    assert len(every) == 2 * 2 * 4


def test_labelled_sets_of_different_sizes_are_not_compared(toy):
    write_labeled(toy.labeled("b/s", 0, 1), range(17), [0] * 12 + [1] * 5)
    with pytest.raises(StageError, match="found 17 rows, expected 18 as in the other initial pools"):
        toy.table("overlap_cycles")
    write_labeled(toy.labeled("b"), range(11))
    for name in ("pools", "pool_classes", "overlap"):
        with pytest.raises(StageError, match="found 11 rows, expected 12 as in the other initial pools"):
            toy.table(name)


def test_hard_classes(toy):
    cycles = np.repeat([0, 1], [6, 4])
    write_labeled(toy.labeled("a/s", 0, 1), [0, 6, 12, 1, 7, 3, 2, 8, 14, 20], cycles)
    row = toy.table("hard_classes", seeds=[0]).iloc[0]
    # Most frequent in cycle 0: classes 0, 1 and 3; least accurate: 0, 1 and 2.
    assert (row.initial_pool, row.strategy) == ("a", "s")
    assert (row.compared, row.in_common_mean, row.chance) == (3, 2, 1.5)


def test_no_class_is_hard_without_a_test_set(toy):
    for path in toy.folder.glob("net/*/*/seed*/cycle1/metrics.json"):
        write_json(path, Job("train", "toy", {}, "abc"), {"train_accuracy": 1.0})
    table = toy.table("hard_classes")
    assert (table.compared == 0).all()
    assert table.chance.isna().all()


def test_hard_classes_of_many_classes_are_ten():
    accuracy = np.linspace(1, 0, 40)  # the last ten are the hard ones
    counts = np.arange(40)
    assert hard_classes.hard_classes(counts, accuracy) == (10, 10, 2.5)
    assert hard_classes.hard_classes(-counts, accuracy) == (10, 0, 2.5)
    accuracy[-5:] = np.nan  # without test images
    assert hard_classes.hard_classes(counts, accuracy) == (10, 10, 100 / 35)
    rng = np.random.default_rng(0)
    found = [hard_classes.hard_classes(rng.permutation(40), rng.random(40))[1] for _ in range(2000)]
    np.testing.assert_allclose(np.mean(found), 2.5, atol=0.1)


def test_passive(toy):
    table = toy.table("passive")
    assert list(table.columns) == ["dataset", "learner", "seed", "labeled", "test_accuracy", "seconds"]
    assert table.to_numpy().tolist() == [["toy", "net", 0, 60, 0.9, 9.0], ["toy", "net", 1, 60, 0.92, 9.0]]


# What to label, and the curves


@pytest.mark.parametrize("cycles", [0, 1])
def test_what_to_label_is_what_the_last_cycle_asks_for(toy, cycles):
    labels = np.arange(N) % C
    labels[6:18] = -1
    write_dataset(toy.folder / "dataset.h5", labels)
    write_pool(toy.folder / "pool/seed1.h5", np.arange(N)[::-1])
    path = report(toy.study(cycles=cycles), toy.root, "tables", "to_label")
    table = pd.read_csv(path, keep_default_na=False)
    asked = (
        ["dataset", "learner", "initial_pool", "strategy", "seed"] if cycles else ["dataset", "initial_pool", "seed"]
    )
    assert list(table.columns) == [*asked, "rank", "file", "score", "label"]
    size = 6 if cycles else 12
    assert table["rank"].tolist() == [*range(1, size + 1)] * (len(table) // size)
    assert len(table) == (6 * 6 * 2 if cycles else 12 * 6)
    # Pool b: rows 6..17 in cycle 0, and by s 18..23; in seed 1 the rows are counted from the end.
    rows = table[(table.initial_pool == "b") & (table.get("strategy", "s") == "s")]
    chosen = range(18, 24) if cycles else range(6, 18)
    assert rows.file.tolist() == [f"image {row}.png" for row in [*chosen, *(N - 1 - row for row in chosen)]]
    assert rows.score.tolist() == [row / 4 for row in chosen] * 2
    expected = [f"class {row % C}" if not 6 <= row < 18 else "" for row in chosen]
    assert rows.label.tolist()[:size] == expected


def test_curves_and_their_summary(toy):
    table, summary = toy.table("curves"), toy.table("summary")
    assert list(table.columns) == [
        *("dataset", "learner", "initial_pool", "strategy", "variant", "seed", "cycle"),
        *("labeled", "test_accuracy", "seconds"),
    ]
    assert len(table) == 3 * 2 * 2 * 2
    for row in table.itertuples():
        chain = f"{row.initial_pool}/{row.strategy}" if row.cycle else row.initial_pool
        metrics = json.loads(toy.metrics(chain, row.seed, row.cycle).read_text())
        np.testing.assert_allclose([row.labeled, row.test_accuracy], [metrics[key] for key in table.columns[7:9]], 1e-5)
    by_chain = table.groupby(["initial_pool", "strategy", "cycle"], sort=False).test_accuracy
    np.testing.assert_allclose(summary.test_accuracy_mean, by_chain.mean(), rtol=1e-5)
    np.testing.assert_allclose(summary.test_accuracy_std, by_chain.std(ddof=1), atol=1e-5)
    assert (summary.seeds == 2).all()


def test_the_first_cycle_of_a_curve_is_that_of_the_strategy_s_kind_of_network(toy):
    for seed in (0, 1):
        for pool in "abc":
            write_metrics(toy.metrics(f"{pool}+dropout", seed), labeled=12, test_accuracy=0.125)
    table = toy.table("curves", strategies={"s": {"strategy": "dbal"}, "t": {"strategy": "random"}})
    first = table[table.cycle == 0].set_index("strategy").test_accuracy
    assert (first["s"] == 0.125).all()
    assert (first["t"] != 0.125).all()
    assert set(zip(table.strategy, table.variant.fillna(""), strict=True)) == {("s", "dropout"), ("t", "")}


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
            read_labeled(path, 60)
    with pytest.raises(StageError, match="found 2 rows, expected 3 as in the other"):
        read_labeled(write_labeled(path, [1, 2]), 60, 3)


def test_a_pool_of_another_data_set(tmp_path):
    write_dataset(tmp_path / "d.h5", np.arange(5))
    pool = write_pool(tmp_path / "p.h5", np.arange(7))
    assert len(Candidates(pool)) == 7
    with pytest.raises(StageError, match=r"found row 5, expected 0\.\.4"):
        KnownPool(pool, tmp_path / "d.h5")


@pytest.mark.parametrize(
    ("found", "attributes", "message"),
    [
        (np.arange(N), {"count": 8}, r"found clusters 0..59, expected 0..7"),
        (np.zeros(N, np.int64) - 1, {"count": 8}, r"found clusters -1..-1"),
        (np.zeros(N, np.int64), {}, "lacks what is asked of it"),
        (np.zeros(9, np.int64), {"count": 8}, "found 9 rows, expected 60"),
        (np.zeros(N), {"count": 8}, "found clusters of float64, expected integers"),
    ],
)
def test_clusters_that_make_no_sense(toy, found, attributes, message):
    write_h5(toy.folder / "pretext/task/seed1/clusters.h5", attributes, clusters=found)
    with pytest.raises(StageError, match=message):
        toy.table("clusters")
    assert not (toy.root / "clusters.csv").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not complete JSON"),
        ("", "is not complete JSON"),
        *((text, "is not what its job wrote") for text in ("{}", "[]", "null", "3", '{"test_class_accuracy": [1]}')),
    ],
)
def test_metrics_that_are_none(toy, text, message):
    toy.metrics("b/t", 1, 1).write_text(text)
    for table in ("hard_classes", "curves"):
        with pytest.raises(Damaged, match=rf"net/b/t/seed1/cycle1/metrics\.json {message}"):
            toy.table(table)


def test_metrics_with_another_digit(toy):
    path = toy.metrics("b/t", 1, 1)
    path.write_text(path.read_text().replace("0.9", "0.8", 1))
    with pytest.raises(Damaged, match="its checksum is another one"):
        toy.table("curves")


@pytest.mark.parametrize(("found", "message"), [([], "of 0 classes, expected 6"), ([1, 0], "of 2 classes")])
def test_metrics_without_the_accuracy_of_each_class(toy, found, message):
    write_metrics(toy.metrics("b/t", 1, 1), test_class_accuracy=found)
    with pytest.raises(StageError, match=rf"metrics\.json of toy/net/b/t, seed 1: found test_class_accuracy {message}"):
        toy.table("hard_classes")


def test_missing_metrics_are_named(toy):
    toy.metrics("b/t", 1, 1).unlink()
    with pytest.raises(StageError, match=r"net/b/t/seed1/cycle1/metrics\.json is missing"):
        toy.table("curves")


def test_the_stage_names_a_broken_file_in_one_line(stage, toy):
    broken = toy.labeled("a")
    broken.write_bytes(broken.read_bytes()[:100])
    config = json.loads(reports.settings(toy.study(), "tables", "pools"))
    done = stage("table", config, job="pools", out=toy.root / "pools.csv")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("poolflow table pools: ")
    assert "labeled.h5 is damaged or no HDF5 file" in done.stderr
    assert not list(toy.root.glob("pools*"))
