"""Scores against formulas by hand and scipy."""

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import entropy as scipy_entropy

from poolflow.kernels import (
    bald,
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
    np.testing.assert_allclose(entropy(probs), scipy_entropy(wide, axis=1), atol=1e-12)  # it normalises as well
    ordered = np.sort(wide / wide.sum(axis=1, keepdims=True), axis=1)[:, ::-1]
    np.testing.assert_allclose(least_confidence(probs), 1 - ordered[:, 0], atol=1e-14)
    if probs.shape[1] > 1:
        np.testing.assert_allclose(margin(probs), 1 - (ordered[:, 0] - ordered[:, 1]), atol=1e-14)


def exactly(logits):
    """Return entropy, 1 - p_1st and 1 - (p_1st - p_2nd) of the softmax of logits (C,), with 80 digits."""
    with mpmath.workdps(80):
        powers = [mpmath.exp(mpmath.mpf(float(value))) for value in logits]
        *rest, second, first = sorted(value / sum(powers) for value in powers)
        others = [*rest, second]
        return -sum(p * mpmath.log(p) for p in [*others, first]), sum(others), sum(others) + second


def test_saturated_probabilities_are_told_apart_as_their_logits_are():
    rng = np.random.default_rng(0)
    scales = np.geomspace(1, 60, 200)  # 1 - p_1st from 1/2 to 1e-35: in float32 p_1st is 1 from 3e-8 on
    logits = torch.from_numpy(
        rng.normal(size=(200, 5)) + np.eye(5)[rng.integers(5, size=200)] * scales[:, None]
    ).float()
    probs = logits.softmax(dim=1).numpy()
    assert (probs.max(axis=1) == 1).sum() > 50
    expected = [exactly(row) for row in logits.numpy()]
    for score, values in zip((entropy, least_confidence, margin), zip(*expected, strict=True), strict=True):
        found = score(probs)
        errors = [float(abs(value - exact) / exact) for value, exact in zip(found, values, strict=True)]
        assert max(errors) < 1e-5
        assert len(set(found)) == 200
        assert np.argsort(found).tolist() == sorted(range(200), key=values.__getitem__)


def test_passes_that_are_all_saturated_are_told_apart():
    logits = np.random.default_rng(0).normal(size=(200, 6, 4))
    logits[..., 0] += np.linspace(20, 60, 200)[:, None]
    mc_probs = torch.from_numpy(logits).float().softmax(dim=2).numpy()
    assert (mc_probs[..., 0] > 1 - 1e-6).all()
    wide = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    others = wide[..., 1:].mean(axis=1)
    np.testing.assert_allclose(least_confidence(mean_probs(mc_probs)), others.sum(axis=1), rtol=1e-5)
    np.testing.assert_allclose(margin(mean_probs(mc_probs)), others.sum(axis=1) + others.max(axis=1), rtol=1e-5)
    # Of the information what the rare classes have: the sure one adds something of the second order.
    rare = (wide[..., 1:] * np.log(wide[..., 1:] / others[:, None])).sum(axis=2).mean(axis=1)
    np.testing.assert_allclose(bald(mc_probs), rare, rtol=1e-4)
    assert rare.min() < 1e-24


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
