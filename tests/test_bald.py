"""BALD, PowerBALD and BatchBALD against cases by hand and enumeration of all joint labels in float64."""

import importlib
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import entr

from poolflow.kernels import _check, bald, batch_bald, power_bald

kernel = importlib.import_module("poolflow.kernels.bald")  # the package's `bald` is the function


@st.composite
def passes(draw, rows=8):
    """Few rows, passes and classes; probabilities exactly 0 and 1 and repeated rows among them."""
    shape = draw(st.tuples(st.integers(1, rows), st.integers(1, 4), st.integers(1, 3)))
    weights = draw(hnp.arrays(np.float64, shape, elements=st.sampled_from([0.0, 1.0, 2.0, 5.0])))
    weights[weights.sum(axis=2) == 0, 0] = 1
    mc_probs = weights / weights.sum(axis=2, keepdims=True)
    return mc_probs[draw(st.lists(st.integers(0, shape[0] - 1), min_size=shape[0], max_size=shape[0]))]


def information(mc_probs, rows):
    """Return I(labels of `rows`; pass), every joint label enumerated."""
    chosen = mc_probs[list(rows)].astype(np.float64)
    joint = []
    for labels in itertools.product(range(mc_probs.shape[2]), repeat=len(chosen)):
        joint.append(np.prod([probs[:, label] for probs, label in zip(chosen, labels, strict=True)], axis=0))
    joint = np.array(joint)  # (labels, T)
    return entr(joint.mean(axis=1)).sum() - entr(joint).sum(axis=0).mean()


def greedy(mc_probs, budget):
    """Return the picks and gains of BatchBALD by enumeration; of gains within 1e-12 the lowest row's."""
    picks, gains = [], []
    for _ in range(budget):
        left = [row for row in range(len(mc_probs)) if row not in picks]
        before = information(mc_probs, picks) if picks else 0
        found = np.array([information(mc_probs, [*picks, row]) - before for row in left])
        if found.max() <= 1e-12:
            alone = {row: information(mc_probs, [row]) for row in left}
            rest = sorted(left, key=lambda row: (-round(alone[row], 12), row))[: budget - len(picks)]
            return picks + rest, gains + [0.0] * len(rest)
        place = int(np.argmax(found >= found.max() - 1e-12))
        picks.append(left[place])
        gains.append(found[place])
    return picks, gains


def generated(rows, passes, classes, sharpness=1.0, seed=0):
    rng = np.random.default_rng(seed)
    logits = sharpness * (rng.normal(size=(rows, 1, classes)) + rng.normal(size=(rows, passes, classes)))
    powers = np.exp(logits - logits.max(axis=2, keepdims=True))
    return powers / powers.sum(axis=2, keepdims=True)


def test_bald_by_hand():
    agree = [[0.5, 0.5], [0.5, 0.5]]
    sure = [[1, 0], [1, 0]]
    disagree = [[1, 0], [0, 1]]
    halfway = [[1, 0], [0.5, 0.5]]
    expected = [0, 0, np.log(2), 2 * np.log(2) - 0.75 * np.log(3) - 0.5 * np.log(2)]
    np.testing.assert_allclose(bald(np.array([agree, sure, disagree, halfway])), expected, rtol=0, atol=1e-12)


@given(passes(), st.sampled_from([1, 7, 2**17]))
def test_bald_equals_enumeration(mc_probs, block):
    original, _check.BLOCK = _check.BLOCK, block
    try:
        scores = bald(mc_probs)
    finally:
        _check.BLOCK = original
    np.testing.assert_allclose(scores, [information(mc_probs, [row]) for row in range(len(mc_probs))], atol=1e-12)
    assert (scores >= 0).all()


@settings(max_examples=60, deadline=None)
@given(passes(rows=5), st.data())
def test_batch_bald_equals_enumeration(mc_probs, data):
    budget = data.draw(st.integers(1, len(mc_probs)))
    rows, gains = batch_bald(mc_probs, budget, rng=None)  # all joint labels are enumerated: nothing is drawn
    expected_rows, expected_gains = greedy(mc_probs, budget)
    np.testing.assert_allclose(gains, expected_gains, rtol=0, atol=2e-12)
    assert rows.tolist() == expected_rows


def test_batch_bald_with_every_look_equals_enumeration():
    mc_probs = generated(40, 6, 2)
    rows, gains = batch_bald(mc_probs, 11, rng=None)  # 2 ** 11 joint labels: the first look is taken
    expected_rows, expected_gains = greedy(mc_probs, 11)
    assert rows.tolist() == expected_rows
    np.testing.assert_allclose(gains, expected_gains, rtol=0, atol=1e-12)


def test_a_duplicate_tells_what_a_second_label_tells_and_nothing_where_labels_are_certain():
    a, b = [[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]], [[0.3, 0.7], [0.6, 0.4], [0.1, 0.9]]
    certain = [[1, 0], [0, 1], [0, 1]]
    mc_probs = np.array([certain, b, certain, a])
    rows, gains = batch_bald(mc_probs, 4, rng=None)
    assert rows.tolist()[0] == 0
    assert rows.tolist()[-1] == 2  # I(certain, a, b, certain') = I(certain, a, b)
    assert gains[-1] == 0
    np.testing.assert_allclose(gains.sum(), information(mc_probs, [0, 1, 3]), atol=1e-12)


def test_the_sum_of_gains_never_exceeds_ln_t_and_then_the_rest_goes_by_bald():
    mc_probs = generated(200, 3, 4, sharpness=8)
    rows, gains = batch_bald(mc_probs, 200, np.random.default_rng(0))
    assert sorted(rows) == list(range(200))
    assert gains.sum() <= np.log(3) + 1e-9
    rest = rows[gains == 0]
    assert len(rest) > 150
    assert (np.diff(bald(mc_probs)[rest]) <= 1e-12).all()


def test_drawn_joint_labels_estimate_what_enumeration_finds():
    mc_probs = generated(20, 5, 3)
    exact_rows, exact = batch_bald(mc_probs, 6, rng=None)
    rows, _ = batch_bald(mc_probs, 6, np.random.default_rng(0), joint_samples=200)
    assert rows[:5].tolist() == exact_rows[:5].tolist()  # up to 3 ** 4 labels enumerated
    estimates = [
        batch_bald(mc_probs[exact_rows], 6, np.random.default_rng(seed), joint_samples=200)[1][5] for seed in range(200)
    ]
    error = np.std(estimates) / np.sqrt(len(estimates))
    assert 0 < error < 0.01 * exact[5]
    assert abs(np.mean(estimates) - exact[5]) < 4 * error


def test_the_same_generator_gives_the_same_picks_and_screening_does_not_change_them(monkeypatch):
    mc_probs = generated(150, 10, 5, sharpness=2).astype(np.float32)
    rows, gains = batch_bald(mc_probs, 9, np.random.default_rng(3))
    again, _ = batch_bald(mc_probs, 9, np.random.default_rng(3))
    assert rows.tolist() == again.tolist()
    monkeypatch.setattr(kernel, "SCREENS", ())
    plain, plain_gains = batch_bald(mc_probs, 9, np.random.default_rng(3))
    assert rows.tolist() == plain.tolist()
    np.testing.assert_allclose(gains, plain_gains, rtol=0, atol=1e-12)


def test_what_some_joint_samples_say_bounds_the_gain_closely():
    mc_probs = generated(400, 8, 5).astype(np.float32)
    concentrations = np.random.default_rng(0).choice([0.02, 1.0], size=(20_000, 1))
    posteriors = np.random.default_rng(1).gamma(concentrations, size=(20_000, 8)) + 1e-9
    posteriors /= posteriors.sum(axis=1, keepdims=True)
    posteriors = posteriors[np.argsort(posteriors.max(axis=1))]
    weights = np.random.default_rng(2).random(20_000) / 10_000
    joint = weights, posteriors, mc_probs, kernel._negentropies(mc_probs), np.arange(400)
    gains = kernel._gains(*joint)
    for samples, excess in ((128, 0.5), (1024, 0.25)):
        bounds = kernel._upper_bounds(*joint, samples)
        assert (bounds >= gains).all()
        assert np.median(bounds / gains) < 1 + excess


def test_all_joint_labels_are_enumerated_up_to_joint_samples():
    mc_probs = generated(10, 4, 3)
    batch_bald(mc_probs, 4, rng=None, joint_samples=27)
    with pytest.raises(AttributeError):  # 27 joint labels of the first three picks: they are drawn
        batch_bald(mc_probs, 4, rng=None, joint_samples=26)


def test_rows_that_sum_to_1_only_nearly_are_normalised():
    mc_probs = generated(30, 4, 3)
    rows, gains = batch_bald(mc_probs, 6, rng=None)
    scaled_rows, scaled_gains = batch_bald(mc_probs * 1.0009, 6, rng=None)
    assert rows.tolist() == scaled_rows.tolist()
    np.testing.assert_allclose(scaled_gains, gains, atol=1e-12)


def test_more_classes_than_joint_samples_are_drawn_from_the_second_pick_on():
    mc_probs = generated(30, 4, 50)
    rows, gains = batch_bald(mc_probs, 5, np.random.default_rng(0), joint_samples=10)
    assert len(set(rows.tolist())) == 5
    assert (gains >= 0).all()
    assert rows[0] == np.argmax(bald(mc_probs))


def test_batch_bald_agrees_with_batchbald_redux():
    redux = pytest.importorskip("batchbald_redux.batchbald")
    torch = pytest.importorskip("torch")
    mc_probs = generated(100, 8, 4)
    logs = torch.log(torch.tensor(mc_probs, dtype=torch.float64))
    expected = redux.get_batchbald_batch(logs, 6, 10_000, dtype=torch.float64)
    rows, gains = batch_bald(mc_probs, 6, rng=None)
    assert rows.tolist() == expected.indices
    np.testing.assert_allclose(np.cumsum(gains), expected.scores, atol=1e-6)  # its scores are joint information


def test_power_bald_draws_in_proportion_to_bald():
    mc_probs = np.concatenate([generated(4, 5, 3), np.full((1, 5, 3), 1 / 3)])
    scores = bald(mc_probs)
    assert scores[4] < 1e-12
    first = [power_bald(mc_probs, 1, np.random.default_rng(seed))[0][0] for seed in range(3000)]
    shares = np.bincount(first, minlength=5) / 3000
    np.testing.assert_allclose(shares, scores / scores.sum(), atol=0.04)
    rows, values = power_bald(mc_probs, 5, np.random.default_rng(0))
    assert rows[-1] == 4
    assert np.isfinite(values).all()
    assert (np.diff(values) <= 0).all()
    steep, _ = power_bald(mc_probs, 4, np.random.default_rng(0), beta=1e6)
    assert steep.tolist() == np.argsort(-scores)[:4].tolist()


GOOD = np.full((3, 2, 2), 0.5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"mc_probs": np.where(np.arange(12).reshape(3, 2, 2) == 7, np.nan, 0.5)},
            r"mc_probs\[1, 1\]: found \[0.5, nan",
        ),
        ({"mc_probs": np.where(np.arange(12).reshape(3, 2, 2) == 8, np.inf, 0.5)}, r"mc_probs\[2, 0\]: found \[inf"),
        ({"mc_probs": GOOD * 1.01}, r"mc_probs\[0, 0\]: found \[0.505, 0.505\].*within 0.001"),
        ({"mc_probs": GOOD + np.array([-1, 1])}, r"mc_probs\[0, 0\]: found \[-0.5, 1.5\]"),
        ({"mc_probs": GOOD[0]}, r"mc_probs: found shape \(2, 2\), expected \(N, T, C\)"),
        ({"mc_probs": GOOD[:, :0]}, r"mc_probs: found shape \(3, 0, 2\)"),
        ({"budget": 0}, r"budget: found 0, expected 1\.\.3"),
        ({"budget": -1}, r"budget: found -1"),
        ({"budget": 4}, r"budget: found 4, expected 1\.\.3"),
        ({"joint_samples": 0}, "joint_samples: found 0"),
        ({"beta": 0}, "beta: found 0"),
        ({"beta": np.nan}, "beta: found nan"),
    ],
)
def test_what_is_wrong_is_named(change, message):
    arguments = {"mc_probs": GOOD, "budget": 1, "rng": np.random.default_rng(0)} | change
    kernels = (
        [power_bald] if "beta" in change else [batch_bald] if "joint_samples" in change else [batch_bald, power_bald]
    )
    for function in kernels:
        with pytest.raises(ValueError, match=message):
            function(**arguments)
    if "mc_probs" in change:
        with pytest.raises(ValueError, match=message):
            bald(arguments["mc_probs"])
