"""Strategies that do more than call a kernel, each against what its paper says, worked out another way."""

from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import entropy

from poolflow.kernels import margin, max_herding


def view(labeled=(), **outputs):
    """Return what a strategy sees of a pool."""
    size = len(next(iter(outputs.values())))
    unlabeled = np.setdiff1d(np.arange(size), labeled)
    return SimpleNamespace(size=size, labeled=np.array(labeled, np.int64), unlabeled=unlabeled, classes=3, **outputs)


def picks(name, pool, budget, seed=0, **parameters):
    plugin = import_module(f"poolflow.strategies.{name}")
    return plugin.select(pool, budget, np.random.default_rng(seed), **parameters)


def clouds(sizes, seed=0):
    """Return features in well-separated clouds of the given sizes, and the cloud of each row, in random order."""
    rng = np.random.default_rng(seed)
    cloud = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    return (20 * np.eye(len(sizes), 6)[cloud] + rng.normal(size=(len(cloud), 6))).astype(np.float32), cloud


def random_probs(size, seed=0, classes=3):
    return np.random.default_rng(seed).dirichlet(np.ones(classes), size).astype(np.float32)


def test_cdal_is_a_farthest_first_traversal_by_symmetric_divergence():
    probs = random_probs(40)
    labeled = [3, 17]
    rows, scores = picks("cdal", view(labeled, probs=probs), 10)
    chosen = list(labeled)
    for row, score in zip(rows, scores, strict=True):
        distance = [
            min((entropy(probs[i], probs[j]) + entropy(probs[j], probs[i])) / 2 for j in chosen)
            if i not in chosen
            else -1
            for i in range(40)
        ]
        assert row == int(np.argmax(distance))
        assert score == pytest.approx(max(distance), rel=1e-4)
        chosen.append(row)


def test_kmeans_takes_the_image_nearest_to_each_cluster_s_mean():
    features, cloud = clouds([5, 20, 40])
    rows, scores = picks("kmeans", view([0], features=features), 3)
    assert sorted(cloud[rows]) == [0, 1, 2]
    for row, score in zip(rows, scores, strict=True):
        members = [i for i in np.flatnonzero(cloud == cloud[row]) if i != 0]
        distances = np.linalg.norm(features[members] - features[members].mean(axis=0), axis=1)
        assert row == members[distances.argmin()]
        assert score == pytest.approx(-distances.min(), rel=1e-3)


@pytest.mark.parametrize("name", ["kmeans", "kmeans_plus_plus"])
@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
def test_images_that_coincide_fill_up_a_batch(name):
    features = np.repeat(np.eye(3, dtype=np.float32), 4, axis=0)
    rows, _ = picks(name, view([0], features=features), 6)
    assert len(set(rows)) == 6
    assert 0 not in rows
    assert set(rows // 4) == {0, 1, 2}


def test_kmeans_plus_plus_draws_from_every_cloud():
    features, cloud = clouds([5, 20, 40])
    for seed in range(5):
        rows, _ = picks("kmeans_plus_plus", view([0], features=features), 3, seed)
        assert sorted(cloud[rows]) == [0, 1, 2]


def test_a_diverse_mini_batch_is_spread_over_the_most_uncertain():
    features, cloud = clouds([20, 20, 20])
    probs = random_probs(60)
    order = np.argsort(-margin(probs), kind="stable")
    rows, _ = picks("diverse_mini_batch", view(probs=probs, features=features), 3, factor=10)
    assert set(rows) <= set(order[:30])
    assert sorted(cloud[rows]) == [0, 1, 2]
    rows, _ = picks("diverse_mini_batch", view(probs=probs, features=features), 6, factor=1)
    assert set(rows) == set(order[:6])


def test_cluster_margin_takes_turns_the_small_clusters_first():
    features, cloud = clouds([2, 8, 20])
    probs = random_probs(30)
    pool = view(probs=probs, features=features)
    rows, scores = picks("cluster_margin", pool, 6, factor=5)  # 30 candidates in 6 clusters at most
    assert len(set(rows)) == 6
    uncertain = margin(probs)
    np.testing.assert_allclose(scores, uncertain[rows])
    # With three clusters: one of each, the smallest cluster first, each the most uncertain of its cloud, and again.
    rows, _ = picks("cluster_margin", pool, 3, factor=10)
    assert cloud[rows].tolist() == [0, 1, 2]
    assert [row == max(np.flatnonzero(cloud == c), key=lambda i: uncertain[i]) for c, row in enumerate(rows)] == [
        True
    ] * 3
    rows, _ = picks("cluster_margin", view([*range(27)], probs=probs, features=features), 3)
    assert sorted(rows) == [27, 28, 29]


def test_a_member_of_cluster_margin_may_be_a_random_one():
    features, cloud = clouds([5, 20, 40])
    pool = view(probs=random_probs(65), features=features)
    chosen = {tuple(picks("cluster_margin", pool, 3, seed, factor=21, member="random")[0]) for seed in range(40)}
    assert {tuple(cloud[list(rows)]) for rows in chosen} == {(0, 1, 2)}
    assert {rows[0] for rows in chosen} == set(np.flatnonzero(cloud == 0))
    # Of as many candidates as are asked for, all: those of the smallest margin.
    rows, _ = picks("cluster_margin", pool, 6, factor=1, member="random")
    assert set(rows) == set(picks("margin", pool, 6)[0])


def test_the_divergence_of_cdal_is_the_published_number():
    probs = np.array([[0.9, 0.1], [0.1, 0.9], [0.9, 0.1]])
    _, scores = picks("cdal", view([0], probs=probs), 2)
    np.testing.assert_allclose(scores, [0.8 * np.log(9), 0], atol=1e-9)


def test_drop_query_clusters_the_images_whose_class_changes():
    features, cloud = clouds([20, 20, 20])
    probs = np.tile([0.8, 0.1, 0.1], (60, 1)).astype(np.float32)
    mc_probs = np.repeat(probs[:, None], 5, axis=1)
    changing = np.random.default_rng(1).permutation(60)[:24]
    mc_probs[changing, :2] = [0.1, 0.8, 0.1]  # two of the first three passes
    mc_probs[:, 3:] = [0.1, 0.1, 0.8]  # later passes do not count
    pool = view(probs=probs, features=features, mc_probs=mc_probs)
    rows, _ = picks("drop_query", pool, 3)
    assert set(rows) <= set(changing)
    assert sorted(cloud[rows]) == [0, 1, 2]
    rows, _ = picks("drop_query", pool, 40)
    assert set(changing) <= set(rows)


def test_uherding_is_maxherding_with_weights_and_a_width_of_its_own():
    features, probs = clouds([10, 20])[0], random_probs(30)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    labeled = [4, 8, 20]
    apart = cdist(unit[labeled], unit[labeled])
    sigma = apart[apart > 0].min()
    expected, _ = max_herding(unit, np.array(labeled), 5, sigma, margin(probs))
    rows, _ = picks("uherding", view(labeled, probs=probs, features=features), 5)
    assert rows.tolist() == expected.tolist()
    for few in ([], [3]):
        expected, _ = max_herding(unit, np.array(few, np.int64), 5, 0.3, margin(probs))
        rows, _ = picks("uherding", view(few, probs=probs, features=features), 5, sigma=0.3)
        assert rows.tolist() == expected.tolist()


def test_uherding_s_width_may_be_the_median_and_duplicates_have_none():
    features, probs = clouds([10, 20])[0], random_probs(30)
    features[8] = features[4]  # the same image twice
    features[9] = features[4] + np.float32(1e-3)  # and one very near
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    labeled = [4, 8, 9, 20, 21, 22]
    apart = cdist(unit[labeled], unit[labeled])
    nearest = [np.sort(row[row > 0])[0] for row in apart[[0, 2, 3, 4, 5]]]
    for radius, sigma in (("smallest", apart[apart > 0].min()), ("median", np.median(nearest))):
        expected, gains = max_herding(unit, np.array(labeled), 5, sigma, margin(probs))
        rows, scores = picks("uherding", view(labeled, probs=probs, features=features), 5, radius=radius)
        assert rows.tolist() == expected.tolist()
        np.testing.assert_allclose(scores, gains, rtol=1e-3)


def test_uherding_of_a_network_that_is_sure_of_all_is_maxherding():
    features, probs = clouds([10, 20])[0], np.eye(3, dtype=np.float32)[np.arange(30) % 3]
    rows, _ = picks("uherding", view([], probs=probs, features=features), 5)
    assert rows.tolist() == picks("max_herding", view([], features=features), 5)[0].tolist()


@pytest.mark.parametrize("name", ["prob_cover", "max_herding", "typiclust"])
def test_coverage_is_of_directions(name):
    features, _ = clouds([10, 20])
    scales = np.random.default_rng(0).uniform(0.5, 2, (30, 1)).astype(np.float32)
    first, _ = picks(name, view([4], features=features), 5)
    second, _ = picks(name, view([4], features=features * scales), 5)
    assert first.tolist() == second.tolist()


def test_badge_returns_pool_rows():
    from poolflow.kernels import badge

    features, probs = clouds([10, 20])[0], random_probs(30)
    labeled = [0, 5, 7]
    rest = np.setdiff1d(np.arange(30), labeled)
    expected = rest[badge(probs[rest], features[rest], 6, np.random.default_rng(0))]
    rows, scores = picks("badge", view(labeled, probs=probs, features=features), 6)
    assert rows.tolist() == expected.tolist()
    assert not scores.any()
