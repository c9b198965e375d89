"""BADGE against the embeddings themselves in float64, and against the probabilities of k-means++."""

import tracemalloc
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.distance import cdist
from scipy.special import softmax
from scipy.stats import chisquare

from poolflow.kernels import badge


def embedded(probs, features):
    """Return the gradient embeddings, (N, C D) float64."""
    errors = probs.astype(np.float64)
    errors[np.arange(len(probs)), probs.argmax(axis=1)] -= 1
    return (errors[:, :, None] * features.astype(np.float64)[:, None, :]).reshape(len(probs), -1)


def brute_force(probs, features, budget, rng):
    """k-means++ on the whole embeddings, one number of `rng` a draw."""
    embeddings = embedded(probs, features)
    norms = (embeddings**2).sum(axis=1)
    largest = norms.max()
    picks = [int(np.argmax(norms >= largest * (1 - 1e-12)))]  # equal but for rounding: the lowest
    nearest = cdist(embeddings[picks], embeddings, "sqeuclidean")[0]
    while len(picks) < budget:
        running = nearest.cumsum()
        if running[-1] == 0:
            picks += [row for row in range(len(probs)) if row not in picks][: budget - len(picks)]
            break
        picks.append(int(np.searchsorted(running, rng.random() * running[-1], side="right")))
        nearest = np.minimum(nearest, cdist(embeddings[picks[-1:]], embeddings, "sqeuclidean")[0])
    return picks


@st.composite
def candidates(draw):
    # Few different values: many rows are equal, in one factor or in both.
    size, classes, width = draw(st.tuples(st.integers(1, 40), st.integers(1, 4), st.integers(1, 4)))
    logits = draw(hnp.arrays(np.float32, (size, classes), elements=st.sampled_from([0.0, 1.0, 2.5, 8.0])))
    features = draw(hnp.arrays(np.float32, (size, width), elements=st.integers(0, 3).map(float)))
    return softmax(logits, axis=1).astype(np.float32), features, draw(st.integers(1, size))


@settings(max_examples=500, deadline=None)
@given(candidates(), st.integers(0, 2**32))
def test_picks_equal_brute_force_with_duplicates(pool, seed):
    probs, features, budget = pool
    picks = badge(probs, features, budget, np.random.default_rng(seed))
    assert len(set(picks.tolist())) == budget
    assert picks.tolist() == brute_force(probs, features, budget, np.random.default_rng(seed))


@pytest.mark.parametrize(
    "spread", ["signed", "not negative", "unit vectors", "far from the origin", "drawn three times"]
)
@pytest.mark.parametrize("sharpness", [0.3, 3, 30])
@pytest.mark.parametrize("classes", [2, 10, 60])
def test_picks_equal_brute_force(spread, sharpness, classes):
    rng = np.random.default_rng(classes)
    features, weights = rng.normal(size=(700, 20)), rng.normal(size=(20, classes))
    if spread == "not negative":
        features = np.maximum(features, 0)
    elif spread == "unit vectors":
        features /= np.linalg.norm(features, axis=1, keepdims=True)
    elif spread == "far from the origin":
        features += 1e3
    elif spread == "drawn three times":
        features = features[rng.integers(233, size=700)]
    logits = (features - features.mean(axis=0)) @ weights
    probs = softmax(sharpness * logits / logits.std(), axis=1).astype(np.float32)
    features = features.astype(np.float32)
    picks = badge(probs, features, 150, np.random.default_rng(1))
    assert picks.tolist() == brute_force(probs, features, 150, np.random.default_rng(1))


@pytest.mark.parametrize("exponent", [-110, -60, -1, 60, 120])
def test_the_scale_of_the_features_changes_nothing(exponent):
    rng = np.random.default_rng(0)
    features, probs = rng.normal(size=(300, 8)).astype(np.float32), rng.dirichlet(np.ones(5), size=300)
    expected = badge(probs, features, 100, np.random.default_rng(1))
    scaled = features * np.float32(2.0**exponent)
    np.testing.assert_array_equal(badge(probs, scaled, 100, np.random.default_rng(1)), expected)


def test_rows_of_all_scales():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(300, 8)) * 10.0 ** rng.integers(-30, 30, size=(300, 1))
    probs = rng.dirichlet(np.ones(5), size=300).astype(np.float32)
    picks = badge(probs, features.astype(np.float32), 40, np.random.default_rng(1))
    assert len(set(picks.tolist())) == 40


def test_draws_have_the_probabilities_of_kmeans_plus_plus():
    rng = np.random.default_rng(0)
    probs, features = rng.dirichlet(np.ones(3), size=5).astype(np.float32), rng.normal(size=(5, 2)).astype(np.float32)
    embeddings = embedded(probs, features)
    distances = cdist(embeddings, embeddings, "sqeuclidean")
    first = int((embeddings**2).sum(axis=1).argmax())
    expected = {}
    for second, third in permutations(set(range(5)) - {first}, 2):
        one, two = distances[first], np.minimum(distances[first], distances[second])
        expected[first, second, third] = one[second] / one.sum() * two[third] / two.sum()
    assert np.isclose(sum(expected.values()), 1)
    counts = dict.fromkeys(expected, 0)
    for _ in range(4000):
        counts[tuple(badge(probs, features, 3, rng).tolist())] += 1
    assert chisquare(list(counts.values()), [4000 * p for p in expected.values()]).pvalue > 0.01


def test_each_pick_but_the_first_takes_one_number():
    data, rng, same = (np.random.default_rng(0) for _ in range(3))
    probs, features = data.dirichlet(np.ones(3), size=1000), data.normal(size=(1000, 4)).astype(np.float32)
    badge(probs, features, 30, rng)
    same.random(29)
    assert rng.random() == same.random()


@pytest.mark.parametrize(("number", "expected"), [(0.0, 1), (1 - 2.0**-53, 699)])
def test_the_ends_of_the_draw_are_no_row_at_distance_zero(number, expected):
    class Fixed:
        def random(self):
            return number

    features = np.ones((701, 1), np.float32)
    features[[0, 700]] = 2  # the first pick and its duplicate
    picks = badge(np.full((701, 2), 0.5), features, 2, Fixed())
    assert picks.tolist() == [0, expected]


def test_the_first_pick_has_the_largest_embedding():
    probs = np.array([[1, 0], [0.6, 0.4], [0.5, 0.5], [0.5, 0.5]], np.float32)
    assert badge(probs, np.ones((4, 3), np.float32), 1, np.random.default_rng(0)).tolist() == [2]
    assert badge(probs, np.array([[9], [9], [1], [1]], np.float32), 1, np.random.default_rng(0)).tolist() == [1]


@pytest.mark.parametrize("value", [0, 1, 1e-30])
def test_where_nothing_differs_the_lowest_rows_are_picked_without_a_draw(value):
    rng = np.random.default_rng(0)
    picks = badge(np.full((600, 2), 0.5), np.full((600, 3), value, np.float32), 5, rng)
    assert picks.tolist() == [0, 1, 2, 3, 4]
    assert rng.random() == np.random.default_rng(0).random()


def test_sure_rows_are_picked_when_nothing_else_is_left():
    probs = np.eye(2, dtype=np.float32)[[0, 1, 0, 1]]
    probs[2] = 0.5
    picks = badge(probs, np.ones((4, 1), np.float32), 4, np.random.default_rng(0))
    assert picks[0] == 2
    assert picks[1] in (0, 1, 3)
    assert picks[2:].tolist() == sorted({0, 1, 3} - {picks[1]})


def test_memory_does_not_hold_the_embeddings():
    rng = np.random.default_rng(0)
    probs, features = rng.dirichlet(np.ones(200), size=3000).astype(np.float32), np.ones((3000, 400), np.float32)
    tracemalloc.start()
    badge(probs, features + rng.random((3000, 400), np.float32), 20, rng)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 * 2**20  # the embeddings would be 960 MB


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"probs": [[0.5, 0.5], [0.6, 0.6]]}, r"probs\[1\]: found \[0\.6, 0\.6\]"),
        ({"probs": [[0.5, 0.5], [np.nan, 1]]}, r"probs\[1\]: found \[nan, 1\.0\]"),
        ({"probs": [0.5, 0.5]}, r"probs: found shape \(2,\)"),
        ({"features": [[0.0], [np.inf]]}, r"features\[1, 0\]: found inf"),
        ({"features": [0.0, 1.0]}, r"features: found shape \(2,\)"),
        ({"features": [[0.0]]}, "features: found 1 rows, expected 2 as in probs"),
        ({"budget": 3}, r"budget: found 3, expected 1\.\.2"),
        ({"budget": 0}, r"budget: found 0, expected 1\.\.2"),
        ({"budget": -1}, r"budget: found -1, expected 1\.\.2"),
    ],
)
def test_what_is_wrong_is_named(change, message):
    arguments = {"probs": [[0.5, 0.5], [0.9, 0.1]], "features": [[0.0], [1.0]], "budget": 1} | change
    with pytest.raises(ValueError, match=message):
        badge(**arguments, rng=np.random.default_rng(0))
