"""Scores against formulas by hand and scipy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import entropy as scipy_entropy

from poolflow.kernels import (
    entropy,
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
    np.testing.assert_allclose(bits, [1, 0, 2 - 0.75 * np.log2(3)], rtol=0, atol=1e-12)
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
    np.testing.assert_allclose(variation_ratio(mc_probs), [1 / 3, 0, 0], atol=1e-12)
    np.testing.assert_allclose(vote_entropy(mc_probs), [np.log(3) - 2 / 3 * np.log(2), 0, 0], atol=1e-12)
    np.testing.assert_allclose(vote_margin(mc_probs), [2 / 3, 0, 0], atol=1e-12)
    np.testing.assert_allclose(mean_probs(mc_probs)[0], [0.5, 0.7 / 3, 0.8 / 3], atol=1e-12)
    np.testing.assert_allclose(mc_entropy(mc_probs)[1:], [0, np.log(2)], atol=1e-12)
    assert vote_margin(np.ones((2, 3, 1))).tolist() == [0, 0]


@given(distributions(), st.integers(1, 5))
def test_committee_scores_count_votes(probs, members):
    mc_probs = np.stack([np.roll(probs, member, axis=0) for member in range(members)], axis=1)
    votes = [np.bincount(row.argmax(axis=1), minlength=probs.shape[1] + 1) / members for row in mc_probs]
    np.testing.assert_allclose(variation_ratio(mc_probs), [1 - max(row) for row in votes])
    np.testing.assert_allclose(vote_entropy(mc_probs), scipy_entropy(votes, axis=1), atol=1e-12)
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
