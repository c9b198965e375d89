"""The rules that choose the first images to label."""

from fractions import Fraction
from importlib import import_module
from itertools import chain
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from helpers import write_h5, write_pool
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import pairwise_distances

from poolflow.job import StageError
from poolflow.kernels import quotas
from poolflow.selection import Pool, select
from poolflow.study import plugins

CLUSTERS = np.repeat([0, 2, 3], [4, 20, 36])  # 1 is empty
NEEDS = {name: plugins.literals("initial_pools", name)["NEEDS"] for name in plugins.names("initial_pools")}
# Pools that bear the name of a pretext task.
OF_TASKS = {name: plugins.literals("pretext", name)["GIVES"] for name in plugins.names("pretext") if name in NEEDS}
LIKE_HIGHEST = ["highest", *(name for name, gives in OF_TASKS.items() if "scores" in gives)]
LIKE_PER_CLUSTER = ["per_cluster", *(name for name, gives in OF_TASKS.items() if "clusters" in gives)]


def chosen(rule, size, seed=0, parameters=None, **needs):
    """Return the rows and scores of a rule, checked as the stage checks them, for a pool that has only its needs."""
    plugin = import_module(f"poolflow.initial_pools.{rule}")
    assert set(plugin.NEEDS) == set(needs)
    count = len(next(iter(needs.values())))
    rows = np.arange(count)
    pool = SimpleNamespace(size=count, order=rows, unlabeled=rows, labeled=np.empty(0, np.int64), **needs)
    return select(plugin, pool, size, np.random.default_rng(seed), parameters or {})


def clouds(seed=0, width=5):
    """Return features (60, width) float32 in clear clouds, in directions of their own, one for each cluster."""
    rng = np.random.default_rng(seed)
    middles = 10 * np.eye(width)[CLUSTERS]
    return (middles + rng.normal(0, 0.3, (len(CLUSTERS), width))).astype(np.float32)


# How many each cluster gives

sizes_and_total = st.lists(st.integers(0, 12), min_size=1, max_size=9).filter(any)
sizes_and_total = sizes_and_total.flatmap(lambda sizes: st.tuples(st.just(sizes), st.integers(1, sum(sizes))))


def dealt(sizes, total):
    """Deal out one at a time in rounds: what each has after the last full round, and who may get one more."""
    shares = [0] * len(sizes)
    while True:
        able = [cluster for cluster, size in enumerate(sizes) if shares[cluster] < size]
        if total < len(able) or not able:
            return shares, able, total
        for cluster in able:
            shares[cluster] += 1
            total -= 1


@given(sizes_and_total, st.integers(0, 2**32))
def test_equal_quotas_are_those_of_dealing_in_rounds(case, seed):
    sizes, total = case
    found = quotas(np.array(sizes), total, np.random.default_rng(seed))
    assert found.dtype == np.int64
    full, able, left = dealt(sizes, total)
    more = found - full
    assert found.sum() == total
    assert set(more) <= {0, 1}
    assert more.sum() == left
    assert set(np.flatnonzero(more)) <= set(able)
    np.testing.assert_array_equal(found, quotas(sizes, total, np.random.default_rng(seed)))


@given(sizes_and_total)
def test_proportional_quotas_are_those_of_the_largest_remainder(case):
    sizes, total = case
    exact = [Fraction(size * total, sum(sizes)) for size in sizes]
    expected = [int(share) for share in exact]
    order = sorted(range(len(sizes)), key=lambda c: (expected[c] - exact[c], -sizes[c], c))
    for cluster in order[: total - sum(expected)]:
        expected[cluster] += 1
    found = quotas(sizes, total, None, proportional=True)  # nothing is drawn
    assert found.tolist() == expected
    assert found.dtype == np.int64
    assert (found <= sizes).all()


def test_quotas_by_hand():
    rng = np.random.default_rng(0)
    assert quotas([4, 20, 0, 36], 50, rng).tolist() == [4, 20, 0, 26]
    assert sorted(quotas([4, 20, 0, 36], 31, rng)) == [0, 4, 13, 14]
    assert sorted(quotas([5, 5, 0, 5], 2, rng)) == [0, 0, 1, 1]
    assert quotas([4, 20, 0, 36], 10, None, proportional=True).tolist() == [1, 3, 0, 6]  # 2/3, 10/3, 6
    assert quotas([5, 5, 5], 5, None, proportional=True).tolist() == [2, 2, 1]  # 5/3 each: the lowest
    assert quotas([3, 1], 2, None, proportional=True).tolist() == [2, 0]  # 3/2, 1/2: the larger


def test_what_does_not_divide_evenly_goes_to_clusters_drawn_alike():
    counts = sum(quotas([9, 1, 9, 9], 6, np.random.default_rng(seed)) for seed in range(900))
    assert counts[1] == 900
    # Of the 5 that the others give two go beyond 1 each: two of three, so that each has 1 + 2/3 on average.
    assert np.abs(counts[[0, 2, 3]] - 1500).max() < 60  # 4 standard deviations of 14


@pytest.mark.parametrize("proportional", [False, True])
def test_quotas_names_what_is_wrong(proportional):
    rng = np.random.default_rng(0)
    for total in (0, -1, 7):
        with pytest.raises(ValueError, match=rf"total: found {total}, expected 1\.\.6"):
            quotas([2, 0, 4], total, rng, proportional)
    with pytest.raises(ValueError, match=r"sizes\[1\]: found -1, expected 0 or more"):
        quotas([2, -1, 4], 3, rng, proportional)
    with pytest.raises(ValueError, match=r"sizes: found float64 of shape \(1,\)"):
        quotas([2.0], 1, rng, proportional)
    with pytest.raises(ValueError, match=r"total: found 1, expected 1\.\.0"):
        quotas([0, 0], 1, rng, proportional)


# Scores


@pytest.mark.parametrize("rule", LIKE_HIGHEST)
def test_highest_takes_the_highest_losses_and_the_lowest_rows_of_equal_ones(rule):
    rows, scores = chosen(rule, 4, scores=np.array([0.5, 2.0, -1.0, 2.0, 0.5, 0.5]))
    assert rows.tolist() == [1, 3, 0, 4]
    assert scores.tolist() == [2.0, 2.0, 0.5, 0.5]
    assert chosen(rule, 6, scores=np.ones(6))[0].tolist() == [0, 1, 2, 3, 4, 5]


def test_bins_by_hand():
    # The highest first, the rows 9, 8, ..., 0 fall into 9876, 543, 210.
    losses = np.arange(10) / 10
    rows, scores = chosen("bins", 5, parameters={"bins": 3}, scores=losses)
    assert rows.tolist() == [9, 8, 5, 4, 0]
    assert scores.tolist() == [0.9, 0.8, 0.5, 0.4, 0.0]
    assert chosen("bins", 4, parameters={"bins": 2}, scores=losses)[0].tolist() == [9, 8, 0, 1]
    assert chosen("bins", 5, scores=losses)[0].tolist() == [9, 7, 5, 3, 0]
    assert chosen("bins", 4, parameters={"bins": 2}, scores=np.ones(10))[0].tolist() == [0, 1, 9, 8]


@given(st.data())
def test_bins_are_those_of_the_sorted_losses(data):
    losses = np.array(data.draw(st.lists(st.integers(0, 5), min_size=2, max_size=30)), float)
    size = data.draw(st.integers(2, len(losses)))
    bins = data.draw(st.integers(2, size))
    ranked = sorted(range(len(losses)), key=lambda row: (-losses[row], row))
    expected, start = [], 0
    for place in range(bins):
        length = len(losses) // bins + (place < len(losses) % bins)
        share = size // bins + (place < size % bins)
        assert share <= length
        members, start = ranked[start : start + length], start + length
        expected += members[:share] if place < bins - 1 else members[::-1][:share]
    assert start == len(losses)
    assert chosen("bins", size, parameters={"bins": bins}, scores=losses)[0].tolist() == expected


def test_bins_must_be_no_more_than_the_images():
    with pytest.raises(StageError, match="bins: found 6, expected at most 5, the size of the initial pool"):
        chosen("bins", 5, parameters={"bins": 6}, scores=np.arange(9.0))


# Clusters

SHARES = [
    ("equal", 9, [3, 0, 3, 3]),
    ("equal", 30, [4, 0, 13, 13]),
    ("equal", 50, [4, 0, 20, 26]),
    ("equal", 60, [4, 0, 20, 36]),
    ("proportional", 15, [1, 0, 5, 9]),
    ("proportional", 10, [1, 0, 3, 6]),
    ("proportional", 60, [4, 0, 20, 36]),
]


def rules_of_clusters(clusters, features):
    """Return the rules that take so many of each cluster, with what they need."""
    return {rule: {"clusters": clusters} for rule in LIKE_PER_CLUSTER} | {
        "centroid": {"clusters": clusters, "features": features}
    }


@pytest.mark.parametrize(("quota", "size", "expected"), SHARES)
@pytest.mark.parametrize("rule", [*LIKE_PER_CLUSTER, "centroid"])
def test_every_cluster_gives_its_quota_in_turn(rule, quota, size, expected):
    order = np.random.default_rng(0).permutation(60)  # clusters do not lie together
    needs = rules_of_clusters(CLUSTERS[order], clouds()[order])[rule]
    rows, _ = chosen(rule, size, parameters={"quota": quota}, **needs)
    taken = CLUSTERS[order][rows].tolist()
    assert np.bincount(taken, minlength=4).tolist() == expected
    # Round by round, in one order of turns, without those that have given their quota.
    turns = list(dict.fromkeys(taken))
    rounds = [[cluster for cluster in turns if expected[cluster] > done] for done in range(max(expected))]
    assert taken == list(chain.from_iterable(rounds))


@pytest.mark.parametrize("rule", [*LIKE_PER_CLUSTER, "centroid"])
def test_fewer_images_than_clusters_come_from_as_many_clusters(rule):
    needs = rules_of_clusters(CLUSTERS, clouds())[rule]
    seen = set()
    for seed in range(30):
        rows, _ = chosen(rule, 2, seed, **needs)
        assert len(set(CLUSTERS[rows])) == 2
        seen.update(CLUSTERS[rows].tolist())
    assert seen == {0, 2, 3}


@pytest.mark.parametrize("rule", LIKE_PER_CLUSTER)
def test_the_images_of_a_cluster_are_drawn_alike(rule):
    counts = np.zeros(60)
    for seed in range(400):
        rows, scores = chosen(rule, 9, seed, clusters=CLUSTERS)
        counts[rows] += 1
        assert not scores.any()
    expected = 400 * 3 / np.repeat([4, 20, 36], [4, 20, 36])
    # 57 degrees of freedom, less for draws without replacement: 100 has p < 4e-4.
    assert ((counts - expected) ** 2 / expected).sum() < 100


def test_centroid_takes_the_nearest_to_the_mean_of_the_cluster():
    features = clouds()
    rows, scores = chosen("centroid", 30, clusters=CLUSTERS, features=features)
    for cluster, count in ((0, 4), (2, 13), (3, 13)):
        members = np.flatnonzero(cluster == CLUSTERS)
        centre = features[members].mean(axis=0, dtype=np.float64)
        distances = pairwise_distances(features[members].astype(float), centre[None])[:, 0]
        nearest = np.argsort(distances)[:count]
        mine = CLUSTERS[rows] == cluster
        assert rows[mine].tolist() == members[nearest].tolist()
        np.testing.assert_allclose(scores[mine], -distances[nearest], rtol=1e-6)


def test_centroid_takes_the_lowest_of_equally_near_rows():
    rows, scores = chosen("centroid", 12, clusters=CLUSTERS, features=np.ones((60, 3), np.float32))
    assert sorted(rows) == [0, 1, 2, 3, 4, 5, 6, 7, 24, 25, 26, 27]
    assert not scores.any()
    # Far from the origin float32 would not tell a distance of 2 from one of 4.
    line = np.float32(2**24) + np.array([[-4], [2], [0], [-2], [4]], np.float32)
    rows, scores = chosen("centroid", 5, clusters=np.zeros(5, int), features=line)
    assert rows.tolist() == [2, 1, 3, 0, 4]
    assert scores.tolist() == [0, -2, -2, -4, -4]


# Features


def unit(features):
    return features.astype(float) / np.linalg.norm(features.astype(float), axis=1, keepdims=True)


def test_k_center_is_farthest_first_from_the_mean():
    features = clouds(1)
    distances = pairwise_distances(features.astype(float))
    from_mean = np.linalg.norm(features - features.mean(axis=0, dtype=np.float64), axis=1)
    expected, values = [int(from_mean.argmax())], [from_mean.max()]
    while len(expected) < 60:
        nearest = distances[:, expected].min(axis=1)
        nearest[expected] = -1
        expected.append(int(nearest.argmax()))
        values.append(nearest.max())
    rows, scores = chosen("k_center", 60, features=features)
    assert rows.tolist() == expected
    np.testing.assert_allclose(scores, values, rtol=1e-6)
    assert set(CLUSTERS[rows[:3]]) == {0, 2, 3}


def test_typiclust_takes_the_most_typical_of_each_cloud_the_largest_first():
    features = clouds(2)
    features *= np.random.default_rng(0).uniform(0.5, 2, (60, 1)).astype(np.float32)  # lengths do not count
    directions = unit(features)
    # The nearest others: 18 of 36, 10 of 20; a cluster of 4 has to wait, so that the largest has its turn again.
    expected, values = [], []
    for cluster, neighbours in ((3, 18), (2, 10), (3, 17)):
        members = np.setdiff1d(np.flatnonzero(cluster == CLUSTERS), expected)
        means = np.sort(pairwise_distances(directions[members]), axis=1)[:, 1 : neighbours + 1].mean(axis=1)
        expected.append(int(members[means.argmin()]))
        values.append(1 / (means.min() + 1e-5))
    rows, scores = chosen("typiclust", 3, features=features)
    assert rows.tolist() == expected
    np.testing.assert_allclose(scores, values, rtol=1e-4)
    # One cluster: the row of all 60 with the nearest 5 neighbours.
    means = np.sort(pairwise_distances(directions), axis=1)[:, 1:6].mean(axis=1)
    rows, _ = chosen("typiclust", 3, parameters={"max_clusters": 1, "neighbours": 5}, features=features)
    assert rows[0] == means.argmin()


@pytest.mark.parametrize("delta", [0.05, 0.2, 2.0])
def test_prob_cover_covers_most_with_each_pick(delta):
    features = clouds(3)
    features *= np.random.default_rng(0).uniform(0.5, 2, (60, 1)).astype(np.float32)
    near = pairwise_distances(unit(features)) < delta
    expected, values, open_ = [], [], np.ones(60, bool)
    for _ in range(12):
        open_ = open_ if open_.any() else np.ones(60, bool)
        gains = (near & open_).sum(axis=1)
        gains[expected] = -1
        expected.append(int(gains.argmax()))
        values.append(gains.max())
        open_ = open_ & ~near[expected[-1]]
    rows, scores = chosen("prob_cover", 12, parameters={"delta": delta}, features=features)
    assert rows.tolist() == expected
    assert scores.tolist() == values


@pytest.mark.parametrize("sigma", [0.1, 1.0])
def test_max_herding_raises_the_coverage_most_with_each_pick(sigma):
    features = clouds(4)
    features *= np.random.default_rng(0).uniform(0.5, 2, (60, 1)).astype(np.float32)
    kernel = np.exp(-((pairwise_distances(unit(features)) / sigma) ** 2))
    expected, values, covered = [], [], np.zeros(60)
    for _ in range(12):
        gains = np.maximum(kernel - covered, 0).mean(axis=1)
        gains[expected] = -1
        expected.append(int(gains.argmax()))
        values.append(gains.max())
        covered = np.maximum(covered, kernel[expected[-1]])
    rows, scores = chosen("max_herding", 12, parameters={"sigma": sigma}, features=features)
    assert rows.tolist() == expected
    np.testing.assert_allclose(scores, values, rtol=1e-4)


@pytest.mark.parametrize("rule", [name for name, needed in NEEDS.items() if needed == ("features",)])
@pytest.mark.parametrize("size", [1, 5, 60])
def test_features_that_are_all_the_same_still_give_different_images(rule, size):
    # `select` checks that the rows differ and the scores are finite.
    rows, _ = chosen(rule, size, features=np.full((60, 3), 0.1, np.float32))
    assert len(rows) == size


# The oracle control


def test_class_balanced_takes_as_many_of_every_class_and_none_without_a_label():
    oracle = np.repeat([-1, 0, 1, 2], [30, 4, 20, 36])
    for size, expected in ((9, [3, 3, 3]), (50, [4, 20, 26]), (60, [4, 20, 36])):
        rows, scores = chosen("class_balanced", size, oracle=oracle)
        assert np.bincount(oracle[rows]).tolist() == expected  # -1 would be an error
        assert not scores.any()
    counts = np.zeros(90)
    for seed in range(300):
        counts[chosen("class_balanced", 3, seed, oracle=oracle)[0]] += 1
    expected = 300 / np.repeat([4, 20, 36], [4, 20, 36])
    assert not counts[:30].any()
    assert ((counts[30:] - expected) ** 2 / expected).sum() < 100
    with pytest.raises(StageError, match="initial_size: found 61, expected at most the 60 images with a label"):
        chosen("class_balanced", 61, oracle=oracle)


# What the stage gives them


@pytest.fixture
def folder(tmp_path):
    """Return a folder with a data set of 8 images, a pool of 6 of them and the files of a pretext task."""
    with h5py.File(tmp_path / "dataset.h5", "w") as file:
        file["train/images"] = np.zeros((8, 4, 4, 1), np.uint8)
        file["train/labels"] = [5, 7, -1, 5, 9, 7, 5, 7]
        file.attrs.update(mean=[0.5], std=[0.25])
    write_pool(tmp_path / "pool.h5", [7, 0, 1, 2, 4, 0], np.arange(6) == 5, [5, 7])
    write_h5(tmp_path / "scores.h5", scores=[0.1, 0.6, 0.3, 0.2, 0.5, 0.4])
    write_h5(tmp_path / "clusters.h5", {"count": 3}, clusters=[0, 0, 0, 2, 2, 2])
    write_h5(tmp_path / "features.h5", features=np.arange(12, dtype=np.float32).reshape(6, 2))
    return tmp_path


def run(stage, folder, rule, **needs):
    config = {"initial_pool": rule, "parameters": {}, "size": 3, "seed": 0, "threads": 1}
    files = {"dataset": folder / "dataset.h5", "pool": folder / "pool.h5", "out": folder / "labeled.h5"}
    return stage("initial_pool", config, job="digits/p/seed0", **files, **needs)


def test_the_stage_hands_over_the_files_of_a_pretext_task(stage, folder):
    for rule, needs in (("random", {}), ("highest", {"needs": folder / "scores.h5"})):
        done = run(stage, folder, rule, **needs)
        assert done.returncode == 0, done.stderr
        with h5py.File(folder / "labeled.h5") as file:
            rows, scores = file["indices"][:].tolist(), file["score"][:].tolist()
            assert len(set(rows)) == 3
            assert file["cycle"][:].tolist() == [0, 0, 0]
    assert rows == [1, 4, 5]
    assert scores == [0.6, 0.5, 0.4]


def test_the_stage_names_a_file_that_is_missing(stage, folder):
    done = run(stage, folder, "highest")
    assert done.returncode == 1
    line = "poolflow.initial_pools.highest needs scores.h5, which --needs does not name"
    assert done.stderr.splitlines()[-1].endswith(line)
    assert not (folder / "labeled.h5").exists()


def view(folder, *needs):
    plugin = SimpleNamespace(__name__="mine", NEEDS=needs)
    files = {need: str(folder / f"{need}.h5") for need in needs}
    return Pool(plugin, folder / "pool.h5", needs=files, dataset=folder / "dataset.h5")


def test_the_pool_reads_what_an_initial_pool_needs(folder):
    pool = view(folder, "scores", "clusters", "features", "oracle")
    assert pool.scores.tolist() == [0.1, 0.6, 0.3, 0.2, 0.5, 0.4]
    assert pool.clusters.tolist() == [0, 0, 0, 2, 2, 2]
    assert pool.clusters.dtype == np.int64
    assert pool.features.shape == (6, 2)
    # The labels 7, 5, 7, none, 9 (a class not told apart), 5.
    assert pool.oracle.tolist() == [1, 0, 1, -1, -1, 0]
    assert pool.oracle.dtype == np.int64
    with pytest.raises(StageError, match=r"mine uses pool\.oracle, which is not in its NEEDS"):
        _ = view(folder, "scores").oracle


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("need", ["scores", "features"])
def test_a_value_that_is_not_finite_is_one_line(folder, need, bad):
    with h5py.File(folder / f"{need}.h5", "a") as file:
        file[need][3] = bad
    with pytest.raises(StageError, match=rf"{need}\.h5: {need} of row 3 are not finite"):
        getattr(view(folder, need), need)


def test_infinities_that_cancel_are_seen_and_the_largest_numbers_are_not(folder):
    largest = np.finfo(np.float32).max
    with h5py.File(folder / "features.h5", "a") as file:
        file["features"][0] = [largest, largest]
        file["features"][4] = [np.inf, -np.inf]
    with pytest.raises(StageError, match=r"features of row 4 are not finite"):
        _ = view(folder, "features").features


def test_a_file_of_another_pool_is_one_line(folder):
    with h5py.File(folder / "scores.h5", "w") as file:
        file["scores"] = np.zeros(5)
    with pytest.raises(StageError, match=r"scores\.h5: found 5 rows, expected 6, as many as the pool has"):
        _ = view(folder, "scores").scores


def test_only_an_initial_pool_may_need_what_a_pretext_task_gives():
    plugins.CHECKS["initial_pools"]("mine.py", "mine", {"NEEDS": ("scores", "clusters", "features", "oracle", "given")})
    for kind, need in (("strategies", "scores"), ("initial_pools", "probs")):
        message = rf"mine\.py: NEEDS must be a literal tuple of .*, found \('{need}',\)"
        with pytest.raises(plugins.PluginError, match=message):
            plugins.CHECKS[kind]("mine.py", "mine", {"NEEDS": (need,)})


@pytest.mark.parametrize("kind", ["initial_pools", "strategies"])
def test_only_what_is_called_a_control_reads_labels(kind):
    reading = [name for name in plugins.names(kind) if "oracle" in plugins.literals(kind, name)["NEEDS"]]
    said = "; an oracle control, since it reads the labels."
    assert reading == [n for n in plugins.names(kind) if plugins.docstring(kind, n).partition("\n")[0].endswith(said)]
    assert reading


@pytest.mark.parametrize("name", plugins.names("initial_pools"))
def test_a_pool_s_pretext_task_gives_what_it_needs(name):
    facts = plugins.literals("initial_pools", name)
    if "PRETEXT" in facts:
        task = plugins.literals("pretext", facts["PRETEXT"])
        given_by = {*task["GIVES"], *task.get("BASE", ())}
        assert plugins.GIVES.intersection(facts["NEEDS"]) <= given_by
