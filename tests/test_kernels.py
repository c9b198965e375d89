"""Kernels against formulas by hand, scipy, and brute force in float64."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.distance import cdist
from scipy.stats import entropy as scipy_entropy

from poolflow.kernels import (
    entropy,
    k_center_greedy,
    kcenter,
    least_confidence,
    margin,
    mc_entropy,
    mean_probs,
    top_k,
    variation_ratio,
    vote_entropy,
    vote_margin,
)


@st.composite
def distributions(draw):
    shape = draw(st.tuples(st.integers(1, 30), st.integers(1, 12)))
    weights = draw(hnp.arrays(np.float64, shape, elements=st.floats(0, 1))) + 1e-9
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def test_hand_cases():
    probs = np.array([[0.5, 0.5], [1, 0], [0.75, 0.25]])
    bits = entropy(probs) / np.log(2)
    np.testing.assert_allclose(bits, [1, 0, 2 - 0.75 * np.log2(3)], rtol=0, atol=1e-15)
    np.testing.assert_allclose(least_confidence(probs), [0.5, 0, 0.25])
    np.testing.assert_allclose(margin(probs), [1, 0, 0.5])


@given(distributions())
def test_scores_against_scipy_and_sorting(probs):
    wide = probs.astype(np.float64)
    np.testing.assert_allclose(entropy(probs), -(wide * np.log(np.maximum(wide, 1e-300))).sum(axis=1), atol=1e-12)
    np.testing.assert_allclose(entropy(probs), scipy_entropy(wide, axis=1), atol=1e-5)
    ordered = np.sort(wide, axis=1)[:, ::-1]
    np.testing.assert_array_equal(least_confidence(probs), 1 - ordered[:, 0])
    if probs.shape[1] > 1:
        np.testing.assert_array_equal(margin(probs), 1 - (ordered[:, 0] - ordered[:, 1]))


def test_committee_scores_by_hand():
    two_to_one = [[0.9, 0.1, 0], [0.6, 0.4, 0], [0, 0.2, 0.8]]
    unanimous = [[1, 0, 0]] * 3
    tied_members = [[0.5, 0.5, 0]] * 3  # a vote goes to the lower class
    mc_probs = np.array([two_to_one, unanimous, tied_members])
    np.testing.assert_allclose(variation_ratio(mc_probs), [1 / 3, 0, 0], atol=1e-15)
    np.testing.assert_allclose(vote_entropy(mc_probs), [np.log(3) - 2 / 3 * np.log(2), 0, 0], atol=1e-15)
    np.testing.assert_allclose(vote_margin(mc_probs), [2 / 3, 0, 0], atol=1e-15)
    np.testing.assert_allclose(mean_probs(mc_probs)[0], [0.5, 0.7 / 3, 0.8 / 3], atol=1e-15)
    np.testing.assert_allclose(mc_entropy(mc_probs)[1:], [0, np.log(2)], atol=1e-15)
    assert vote_margin(np.ones((2, 3, 1))).tolist() == [0, 0]


@given(distributions(), st.integers(1, 5))
def test_committee_scores_count_votes(probs, members):
    mc_probs = np.stack([np.roll(probs, member, axis=0) for member in range(members)], axis=1)
    votes = [np.bincount(row.argmax(axis=1), minlength=probs.shape[1] + 1) / members for row in mc_probs]
    np.testing.assert_allclose(variation_ratio(mc_probs), [1 - max(row) for row in votes])
    np.testing.assert_allclose(vote_entropy(mc_probs), scipy_entropy(votes, axis=1), atol=1e-15)
    if probs.shape[1] > 1:
        ordered = np.sort(votes, axis=1)
        np.testing.assert_allclose(vote_margin(mc_probs), 1 - (ordered[:, -1] - ordered[:, -2]))


@pytest.mark.parametrize("score", [mc_entropy, variation_ratio, vote_entropy, vote_margin, mean_probs])
def test_members_that_are_no_distribution_are_named(score):
    mc_probs = np.full((3, 2, 2), 0.5)
    mc_probs[2, 1] = [0.2, np.nan]
    with pytest.raises(ValueError, match=r"mc_probs\[2, 1\]: found \[0\.2, nan\]"):
        score(mc_probs)
    with pytest.raises(ValueError, match=r"mc_probs: found shape \(2, 2\)"):
        score(mc_probs[0])


@pytest.mark.parametrize("score", [entropy, least_confidence, margin])
@pytest.mark.parametrize(
    ("row", "message"), [([np.nan, 1], "nan"), ([0.6, 0.6], r"probs\[1\]"), ([1.5, -0.5], r"-0\.5")]
)
def test_rows_that_are_no_distribution_are_named(score, row, message):
    with pytest.raises(ValueError, match=message):
        score(np.array([[0.5, 0.5], row]))


@given(hnp.arrays(np.float64, st.integers(1, 40), elements=st.sampled_from([0.0, 0.25, 0.5, 1.0])), st.data())
def test_top_k_takes_the_highest_and_of_equal_ones_the_lowest_row(scores, data):
    rows = np.array(sorted(data.draw(st.sets(st.integers(0, len(scores) - 1), min_size=1))))
    k = data.draw(st.integers(1, len(rows)))
    picked, values = top_k(scores, k, rows)
    assert picked.tolist() == sorted(rows.tolist(), key=lambda row: (-scores[row], row))[:k]
    np.testing.assert_array_equal(values, scores[picked])


def test_top_k_refuses_nan_and_too_many():
    with pytest.raises(ValueError, match=r"scores\[2\] is NaN"):
        top_k(np.array([np.nan, 1, np.nan]), 1, np.array([1, 2]))
    with pytest.raises(ValueError, match=r"found 3, expected 1\.\.2"):
        top_k(np.arange(3.0), 3, np.array([0, 1]))


def brute_force(features, labeled, budget):
    """Farthest-first by the whole float64 distance matrix."""
    distances = cdist(features.astype(np.float64), features.astype(np.float64), "sqeuclidean")
    chosen, picks = list(labeled), []
    if not chosen:
        centre = features.astype(np.float64).mean(axis=0)
        picks.append(int(np.argmax(((features - centre) ** 2).sum(axis=1))))
        chosen.append(picks[0])
    while len(picks) < budget:
        nearest = distances[:, chosen].min(axis=1)
        nearest[chosen] = -1
        picks.append(int(np.argmax(nearest)))
        chosen.append(picks[-1])
    return picks


@st.composite
def pools(draw):
    # Small whole numbers: many ties and duplicates, and every distance exact in float64.
    shape = draw(st.tuples(st.integers(2, 40), st.integers(1, 5)))
    features = draw(hnp.arrays(np.float32, shape, elements=st.integers(-4, 4).map(float)))
    labeled = draw(st.sets(st.integers(0, len(features) - 1), max_size=len(features) - 1))
    budget = draw(st.integers(1, len(features) - len(labeled)))
    return features, np.array(sorted(labeled), dtype=np.int64), budget


@settings(max_examples=200)
@given(pools(), st.sampled_from([1, 16, 2**22]))
def test_k_center_equals_brute_force_with_ties_and_duplicates(pool, block):
    features, labeled, budget = pool
    if not len(labeled):
        features = (
            features[:, :1] * 0 + np.arange(len(features), dtype=np.float32)[:, None] ** 2
        )  # no tie with the mean
    original, kcenter.BLOCK = kcenter.BLOCK, block
    try:
        assert k_center_greedy(features, labeled, budget).tolist() == brute_force(features, labeled, budget)
    finally:
        kcenter.BLOCK = original


def test_k_center_on_real_valued_features():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(500, 32)).astype(np.float32)
    labeled = rng.choice(500, 20, replace=False)
    picks, distances = k_center_greedy(features, labeled, 60, return_distances=True)
    assert picks.tolist() == brute_force(features, labeled, 60)
    expected = [cdist(features[[p]], features[[*labeled, *picks[:i]]]).min() for i, p in enumerate(picks)]
    np.testing.assert_allclose(distances, expected, rtol=1e-6)
    assert (np.diff(distances) <= 1e-9).all()  # farthest-first: the radius only shrinks


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": np.array([[0.0], [np.nan], [1.0]])}, r"features\[1\]"),
        ({"features": np.array([[0.0], [1.0], [np.inf]])}, r"features\[2\]"),
        ({"features": np.zeros(3)}, r"shape \(3,\)"),
        ({"labeled": [3]}, r"labeled: found 3\.\.3, expected 0\.\.2"),
        ({"labeled": [-1]}, r"labeled: found -1"),
        ({"labeled": [0, 0]}, "1 repeated rows"),
        ({"budget": 3}, r"budget: found 3, expected 1\.\.2"),
        ({"budget": 0}, "budget: found 0"),
    ],
)
def test_k_center_names_what_is_wrong(change, message):
    arguments = {"features": np.zeros((3, 1)), "labeled": [0], "budget": 1} | change
    with pytest.raises(ValueError, match=message):
        k_center_greedy(**arguments)
