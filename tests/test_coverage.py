"""ProbCover and MaxHerding against greedy coverage with the whole float64 distance matrix."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.distance import cdist

from poolflow.kernels import coverage, max_herding, prob_cover, pure_delta, typicality, unit


@st.composite
def pools(draw):
    # Small whole numbers: many ties, duplicates and distances equal to delta, all exact.
    shape = draw(st.tuples(st.integers(2, 30), st.integers(1, 5)))
    features = draw(hnp.arrays(np.float32, shape, elements=st.integers(-3, 3).map(float)))
    labeled = draw(st.sets(st.integers(0, len(features) - 1), max_size=len(features) - 1))
    budget = draw(st.integers(1, len(features) - len(labeled)))
    return features, np.array(sorted(labeled), dtype=np.int64), budget


def cover_by_brute_force(features, labeled, budget, delta):
    wide = features.astype(np.float64)
    near = cdist(wide, wide, "sqeuclidean") < delta**2
    covered, taken, picks, gains = near[labeled].any(axis=0), list(labeled), [], []
    for _ in range(budget):
        if covered.all():
            covered[:] = False
        new = (near & ~covered).sum(axis=1)
        new[taken] = -1
        picks.append(int(np.argmax(new)))
        gains.append(new[picks[-1]])
        taken.append(picks[-1])
        covered |= near[picks[-1]]
    return picks, gains


def herd_by_brute_force(features, labeled, budget, sigma, weights):
    wide = features.astype(np.float64)
    values = np.exp(-cdist(wide, wide, "sqeuclidean") / sigma**2)
    nearest = values[labeled].max(axis=0, initial=0)
    taken, picks, gains = list(labeled), [], []
    for _ in range(budget):
        found = np.maximum(values - nearest, 0) @ weights
        found[taken] = -1
        picks.append(int(np.argmax(found >= found.max() - 1e-12 * weights.sum())))
        gains.append(found[picks[-1]])
        taken.append(picks[-1])
        nearest = np.maximum(nearest, values[picks[-1]])
    return picks, gains


@settings(max_examples=150, deadline=None)
@given(
    pools(),
    st.sampled_from([0.5, 1.0, 2.0, 3.0, 100.0]),
    st.sampled_from([(2, 3), (512, 4096)]),
    st.sampled_from([2, 1024]),
)
def test_prob_cover_equals_brute_force_with_ties_duplicates_and_boundaries(pool, delta, tile, sample):
    features, labeled, budget = pool
    originals = coverage.TILE, coverage.SAMPLE
    coverage.TILE, coverage.SAMPLE = tile, sample
    try:
        rows, gains = prob_cover(features, labeled, budget, delta)
    finally:
        coverage.TILE, coverage.SAMPLE = originals
    picks, new = cover_by_brute_force(features, labeled, budget, delta)
    assert rows.tolist() == picks
    assert gains.tolist() == new


@settings(max_examples=100, deadline=None)
@given(pools(), st.sampled_from([0.3, 1.0, 10.0]), st.sampled_from([(2, 3), (512, 4096)]), st.integers(0, 2**32))
def test_max_herding_equals_brute_force_with_ties_and_duplicates(pool, sigma, tile, seed):
    features, labeled, budget = pool
    weights = np.random.default_rng(seed).integers(0, 3, len(features)) / 4
    weights[0] += 0.25
    originals = coverage.TILE, coverage.TOP
    coverage.TILE, coverage.TOP = tile, tile[0]
    try:
        rows, gains = max_herding(features, labeled, budget, sigma, weights)
    finally:
        coverage.TILE, coverage.TOP = originals
    picks, found = herd_by_brute_force(features, labeled, budget, sigma, weights)
    np.testing.assert_allclose(gains, found, rtol=0, atol=1e-11)
    assert rows.tolist() == picks


def purity(distances, clusters, delta):
    """Return the share of the balls, open and of radius `delta`, that have rows of one cluster only."""
    return np.mean([len(set(clusters[row < delta])) == 1 for row in distances])


@settings(max_examples=100, deadline=None)
@given(pools(), st.integers(1, 5), st.sampled_from([0.5, 0.95, 1.0]), st.sampled_from([(2, 3), (512, 4096)]), st.data())
def test_the_pure_delta_is_the_largest_by_brute_force(pool, count, share, tile, data):
    features, (distinct, same) = pool[0], np.unique(pool[0], axis=0, return_inverse=True)
    clusters = np.array(data.draw(st.lists(st.integers(0, count - 1), min_size=len(distinct), max_size=len(distinct))))
    clusters = np.unique(clusters[same.ravel()], return_inverse=True)[1]
    originals = coverage.TILE, coverage.kmeans
    coverage.TILE, coverage.kmeans = tile, lambda *_: clusters
    try:
        delta = pure_delta(features, count, None, share)
    finally:
        coverage.TILE, coverage.kmeans = originals
    distances = cdist(features.astype(np.float64), features.astype(np.float64))
    if clusters.max():
        assert purity(distances, clusters, delta) >= share
        assert purity(distances, clusters, np.nextafter(delta, np.inf)) < share
        shares = [purity(distances, clusters, radius) for radius in np.linspace(1e-9, 6, 30)]
        assert shares[0] == 1
        assert (np.diff(shares) <= 0).all()
    else:
        assert delta >= distances.max()


def test_the_pure_delta_of_directions_and_of_what_has_none():
    features = unit(clustered())
    distances = cdist(features.astype(np.float64), features.astype(np.float64))
    delta = pure_delta(features, 12, np.random.default_rng(0))
    clusters = typicality.kmeans(features, 12, np.random.default_rng(0))
    assert purity(distances, clusters, delta) >= 0.95 > purity(distances, clusters, delta * (1 + 1e-6))
    with pytest.raises(ValueError, match=r"features\[1, 0\]: found nan"):
        pure_delta(np.array([[0.0], [np.nan]]), 2, np.random.default_rng(0))


def test_rows_of_two_clusters_that_coincide_are_one_line(monkeypatch):
    monkeypatch.setattr(coverage, "kmeans", lambda *_: np.array([0, 1, 0, 1]))
    with pytest.raises(ValueError, match=r"delta: found none at which 0\.95 of the balls are pure; write a number"):
        pure_delta(np.ones((4, 2)), 2, None)


def clustered(dtype=np.float32, offset=0.0):
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(12, 40))
    return (offset + centres[rng.integers(12, size=700)] + 0.1 * rng.normal(size=(700, 40))).astype(dtype)


@pytest.mark.parametrize(("dtype", "offset"), [(np.float32, 0), (np.float32, 1e4), (np.float64, 1e6), (np.float16, 0)])
@pytest.mark.parametrize("delta", [0.85, 1.0, 5.0])
@pytest.mark.parametrize("sample", [100, 1024])  # with and without a choice of directions
def test_prob_cover_on_real_valued_features(dtype, offset, delta, sample, monkeypatch):
    monkeypatch.setattr(coverage, "SAMPLE", sample)
    features = clustered(dtype, offset)
    labeled = np.array([3, 699])
    rows, gains = prob_cover(features, labeled, 60, delta)
    assert (rows.tolist(), gains.tolist()) == cover_by_brute_force(features, labeled, 60, delta)


def test_distances_that_float32_cannot_tell_from_delta():
    rng = np.random.default_rng(0)
    features = rng.integers(-5000, 5000, size=(60, 3)).astype(np.float32)  # squares are exact in float64 only
    squared = cdist(features.astype(np.float64), features.astype(np.float64), "sqeuclidean")
    for near in rng.choice(squared[np.triu_indices(60, 1)], 40):
        for delta in (np.sqrt(near), np.sqrt(near + 1)):
            starts, neighbours = coverage._graph(features, delta)
            found = np.zeros((60, 60), bool)
            found[np.repeat(np.arange(60), np.diff(starts)), neighbours] = True
            np.testing.assert_array_equal(found, (squared < delta**2) & ~np.eye(60, dtype=bool))


@pytest.mark.parametrize("scale", [1e-22, 1e22])
def test_prob_cover_does_not_depend_on_the_unit(scale):
    features = clustered()
    rows, _ = prob_cover((features * np.float32(scale)).astype(np.float32), np.array([], int), 20, 0.9 * scale)
    assert rows.tolist() == prob_cover(features, np.array([], int), 20, 0.9)[0].tolist()


@pytest.mark.parametrize(("offset", "sigma"), [(0, 1.0), (1e3, 1.0), (0, 1e-3), (0, 1e-30), (0, 1e4)])
def test_max_herding_on_real_valued_features(offset, sigma):
    features = clustered(offset=offset)
    weights = np.random.default_rng(1).random(700)
    labeled = np.array([3, 699])
    rows, gains = max_herding(features, labeled, 40, sigma, weights)
    picks, found = herd_by_brute_force(features, labeled, 40, sigma, weights)
    np.testing.assert_allclose(gains, found, rtol=1e-6, atol=1e-9)
    assert rows.tolist() == picks
    rows, gains = max_herding(features, labeled, 40, sigma)
    assert rows.tolist() == herd_by_brute_force(features, labeled, 40, sigma, np.full(700, 1 / 700))[0]


def test_identical_rows_are_covered_by_the_first():
    features = np.ones((6, 3), np.float32)
    rows, gains = prob_cover(features, [1], 5, 0.1)
    assert rows.tolist() == [0, 2, 3, 4, 5]
    assert gains.tolist() == [6] * 5  # everything is covered: each pick starts anew
    rows, gains = max_herding(features, [1], 5)
    assert rows.tolist() == [0, 2, 3, 4, 5]
    np.testing.assert_allclose(gains, 0, atol=1e-12)


def test_a_graph_that_is_too_large_is_refused(monkeypatch):
    monkeypatch.setattr(coverage, "MAX_PAIRS", 14)
    with pytest.raises(ValueError, match=r"delta: found 2.0, which joins more than 14 pairs of rows"):
        prob_cover(np.zeros((6, 2)), [], 1, 2.0)
    monkeypatch.setattr(coverage, "MAX_PAIRS", 15)
    prob_cover(np.zeros((6, 2)), [], 1, 2.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": np.array([[0.0], [np.nan], [1.0]])}, r"features\[1, 0\]: found nan"),
        ({"features": np.array([[0.0, 1], [1, 0], [0, -np.inf]])}, r"features\[2, 1\]: found -inf"),
        ({"features": np.zeros(3)}, r"features: found shape \(3,\)"),
        ({"features": np.zeros((3, 0))}, r"features: found shape \(3, 0\)"),
        ({"labeled": [0, 3]}, r"labeled\[1\]: found 3, expected 0\.\.2"),
        ({"labeled": [-1]}, r"labeled\[0\]: found -1"),
        ({"labeled": [1, 1]}, "labeled: found row 1 2 times"),
        ({"labeled": [[1]]}, r"labeled: found int64 of shape \(1, 1\)"),
        ({"labeled": [0.5]}, r"labeled: found float64 of shape \(1,\)"),
        ({"budget": 3}, r"budget: found 3, expected 1\.\.2"),
        ({"budget": 0}, "budget: found 0"),
        ({"budget": -2}, "budget: found -2"),
        ({"delta": 0}, "delta: found 0, expected a number above 0"),
        ({"delta": np.nan}, "delta: found nan"),
        ({"sigma": -1.0}, "sigma: found -1.0"),
        ({"weights": [1, 2]}, r"weights: found shape \(2,\), expected \(3,\)"),
        ({"weights": [1, np.nan, 1]}, r"weights\[1\]: found nan"),
        ({"weights": [1, 1, -1]}, r"weights\[2\]: found -1.0"),
        ({"weights": [0, 0, 0]}, "weights: found 0 everywhere"),
    ],
)
def test_what_is_wrong_is_named(change, message):
    arguments = {"features": np.zeros((3, 1)), "labeled": [0], "budget": 1} | change
    if not change.keys() & {"sigma", "weights"}:
        with pytest.raises(ValueError, match=message):
            prob_cover(**({"delta": 1.0} | arguments))
    if "delta" not in change:
        with pytest.raises(ValueError, match=message):
            max_herding(**arguments)
