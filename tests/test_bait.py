"""BAIT against inverses of whole matrices."""

from importlib import import_module

import numpy as np
import pytest

from poolflow import kernels
from poolflow.job import StageError
from poolflow.kernels import bait
from poolflow.strategies import bait as strategy


def draw(n=14, classes=3, width=4, seed=0, concentration=1.0):
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet(np.full(classes, concentration), n)
    return probs.astype(np.float32), rng.normal(size=(n, width)).astype(np.float32)


def brute(probs, features, labeled, budget, regularisation=1.0):
    """Return picks and how much each lowered the trace, with an explicit inverse for every candidate."""
    probs, features = probs.astype(np.float64), features.astype(np.float64)
    (n, classes), width = probs.shape, features.shape[1]
    # The embedding of the published code: row c is sqrt(p_c) (e_c - p) (x) h.
    embedded = np.array(
        [
            [np.kron(np.sqrt(p[c]) * (np.eye(classes)[c] - p), h) for c in range(classes)]
            for p, h in zip(probs, features, strict=True)
        ]
    )
    information = embedded.transpose(0, 2, 1) @ embedded
    fisher = information.mean(axis=0)
    total = len(labeled) + budget
    base = regularisation * np.eye(classes * width)
    if len(labeled):
        base = base + information[labeled].mean(axis=0) * len(labeled) / total

    def trace(chosen):
        return np.trace(np.linalg.inv(base + information[chosen].sum(axis=0) * budget / total) @ fisher)

    left, chosen, gains = [row for row in range(n) if row not in labeled], [], []
    for _ in range(min(2 * budget, len(left))):
        traces = {row: trace([*chosen, row]) for row in left if row not in chosen}
        best = min(traces, key=traces.get)
        gains.append(trace(chosen) - traces[best])
        chosen.append(best)
    while len(chosen) > budget:
        traces = [trace([row for row in chosen if row != removed]) for removed in chosen]
        position = int(np.argmin(traces))
        chosen.pop(position)
        gains.pop(position)
    return chosen, gains


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("labeled", [[], [3], [1, 7, 9]])
@pytest.mark.parametrize("budget", [1, 3, 5])
def test_picks_are_those_of_explicit_inverses(seed, labeled, budget):
    probs, features = draw(seed=seed, concentration=(0.2, 1.0)[seed % 2])
    features *= 3
    rows, gains = bait(probs, features, labeled, budget)
    expected, lowered = brute(probs, features, labeled, budget)
    assert rows.tolist() == expected
    np.testing.assert_allclose(gains, lowered, rtol=1e-7)


def test_the_backward_phase_removes_other_rows_than_the_last():
    changed = 0
    for seed in range(6):
        probs, features = draw(seed=seed)
        rows, _ = bait(probs, features, [1], 4)
        forward, _ = bait(probs, features, [1], 13)  # of 13, all are added and none is removed
        changed += rows.tolist() != forward[:4].tolist()
    assert changed


@pytest.mark.parametrize("regularisation", [1e-3, 1.0, 10.0])
@pytest.mark.parametrize("block", [1, 50, 2**22])
def test_regularisation_and_blocks(monkeypatch, regularisation, block):
    monkeypatch.setattr(import_module("poolflow.kernels.bait"), "BLOCK", block)
    probs, features = draw(n=12, classes=4, width=3)
    rows, gains = bait(probs, features, [0, 11], 3, regularisation)
    expected, lowered = brute(probs, features, [0, 11], 3, regularisation)
    assert rows.tolist() == expected
    np.testing.assert_allclose(gains, lowered, rtol=1e-6)


def test_many_steps_do_not_drift():
    probs, features = draw(n=120, classes=3, width=4, seed=5, concentration=0.3)
    features *= 10
    rows, gains = bait(probs, features, [], 30, 0.01)
    expected, lowered = brute(probs, features, [], 30, 0.01)
    assert rows.tolist() == expected
    np.testing.assert_allclose(gains, lowered, rtol=1e-5)


def test_duplicates_and_ties():
    probs, features = draw(n=4)
    rows, gains = bait(np.tile(probs, (3, 1)), np.tile(features, (3, 1)), [], 4)
    assert len(set(rows)) == 4
    assert np.isfinite(gains).all()
    rows, _ = bait(np.full((6, 3), 1 / 3), np.ones((6, 2)), [0], 2)
    assert len(set(rows)) == 2
    # One class, or certain predictions: nothing is to be learned, and any row is as good.
    for certain in (np.ones((6, 1)), np.tile([1.0, 0.0], (6, 1))):
        rows, gains = bait(certain, np.ones((6, 2)), [0], 2)
        assert len(set(rows) - {0}) == 2
        assert (gains == 0).all()


def test_bad_input_is_named():
    probs, features = draw()
    nan = features.copy()
    nan[5, 1] = np.nan
    cases = [
        ((probs, nan, [], 2), r"features\[5, 1\]: found nan, expected a finite number"),
        ((probs * 2, features, [], 2), r"probs\[0\]: .* expected probabilities that sum to 1"),
        ((probs[:5], features, [], 2), "features: found 14 rows, expected 5, those of probs"),
        ((probs, features, [14], 2), r"labeled\[0\]: found 14, expected 0\.\.13"),
        ((probs, features, [3, 3], 2), "labeled: found row 3 2 times"),
        ((probs, features, [3], 14), r"budget: found 14, expected 1\.\.13"),
        ((probs, features, [3], 0), r"budget: found 0, expected 1\.\.13"),
        ((probs, features, [3], 2, 0.0), "regularisation: found 0.0, expected a number above 0"),
    ]
    for arguments, message in cases:
        with pytest.raises(ValueError, match=message):
            bait(*arguments)


def test_too_many_classes_times_features_are_one_line():
    class View:
        probs, features = np.full((4, 100), 0.01), np.zeros((4, 64))
        labeled = np.array([0])

    message = "bait: features: found 100 classes x 64 features = 6400, expected at most 6000"
    with pytest.raises(StageError, match=message):
        strategy.select(View, 1, None)
    assert kernels.bait is bait
