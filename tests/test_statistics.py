"""The statistics of paired differences, against formulas by hand, brute force, and other implementations."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from poolflow.kernels import statistics
from poolflow.kernels.errors import InputError
from poolflow.repetitions import comparisons_of, in_words, repetitions_for

RNG = np.random.default_rng(0)
DIFFERENCES = st.lists(st.integers(-50, 50), min_size=1, max_size=8)


def brute_force(values):
    """Return the p value of the sign-flip test by all signs, in exact arithmetic."""
    sums = [
        abs(sum(s * v for s, v in zip(signs, values, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(values))
    ]
    return sum(total >= abs(sum(values)) for total in sums) / len(sums)


@given(DIFFERENCES)
@settings(max_examples=60, deadline=None)
def test_the_sign_flip_test_is_that_of_all_signs(values):
    (p,) = statistics.sign_flip(np.array([values], float))
    assert p == pytest.approx(min(1.0, brute_force(values)))


def test_the_least_p_of_a_sign_flip_test_and_what_it_needs():
    for count in range(2, 12):
        (p,) = statistics.sign_flip(np.arange(1.0, count + 1)[None])
        assert p == 2 / 2**count
        # The least number for one comparison is the first whose p is at most 0.05.
        assert (p <= 0.05) == (count >= repetitions_for(1))
    assert [repetitions_for(number) for number in (1, 10, 35)] == [6, 9, 11]  # worked by hand: 2 m / 2^n <= 0.05
    assert repetitions_for(5, alpha=0.32) == 5  # 10 / 2^5 = 0.3125


def test_what_is_missing_is_left_out_and_many_repetitions_are_sampled():
    values = np.array([[1.0, 2, 3, np.nan], [1, 2, 3, 4], [np.nan] * 4, [5, np.nan, np.nan, np.nan]])
    assert statistics.sign_flip(values)[[0, 1, 3]].tolist() == [0.25, 0.125, 1]
    assert np.isnan(statistics.sign_flip(values)[2])
    many = RNG.normal(0.4, 1, (1, 20))
    assert statistics.sign_flip(many)[0] == pytest.approx(stats.ttest_1samp(many[0], 0).pvalue, abs=0.02)


def test_intervals_are_those_of_scipy_and_of_equal_values_that_value():
    values = RNG.normal(0.3, 1, (40, 7))
    values[3, 2] = np.nan
    values[4] = 0.25
    found = statistics.intervals(values)
    for row in (0, 3, 39):
        sample = values[row][np.isfinite(values[row])]
        expected = stats.bootstrap((sample,), np.mean, n_resamples=99_999, method="BCa", rng=1).confidence_interval
        np.testing.assert_allclose(found[row], expected, atol=0.06)
    assert found[4].tolist() == [0.25, 0.25]
    assert np.isnan(statistics.intervals(np.array([[1.0, 2]]))).all()  # of two there is none
    np.testing.assert_array_equal(statistics.intervals(values[::-1])[::-1], found)  # whatever is beside it


def test_equivalence_is_two_one_sided_t_tests():
    values = RNG.normal(0.001, 0.01, (5, 8))
    found = statistics.equivalence(values, 0.02)
    for row, p in zip(values, found, strict=True):
        below = stats.ttest_1samp(row, -0.02, alternative="greater").pvalue
        above = stats.ttest_1samp(row, 0.02, alternative="less").pvalue
        assert p == pytest.approx(max(below, above))
    assert statistics.equivalence(np.array([[0.01] * 3, [0.03] * 3]), 0.02).tolist() == [0, 1]


def test_holm_by_hand_and_with_a_missing_value():
    # Sorted: 0.01 x 3, 0.03 x 2, 0.04 x 1, and none falls below the one before it.
    np.testing.assert_allclose(statistics.holm([0.04, 0.01, 0.03]), [0.06, 0.03, 0.06])
    np.testing.assert_allclose(statistics.holm([0.04, np.nan, 0.03]), [0.06, np.nan, 0.06])


@pytest.mark.parametrize("values", [[0.2], [0.9, 0.8], [0.01, 0.01, 0.5, 0.02], RNG.random(20) ** 3, []])
def test_holm_as_another_package_has_it(values):
    expected = multipletests(values, method="holm")[1] if len(values) else []
    np.testing.assert_allclose(statistics.holm([np.nan, *values]), [np.nan, *expected])


def test_repetitions_to_decide_have_the_power_that_another_package_says():
    for spread, difference, comparisons in ((1, 1, 1), (1, 0.5, 3), (2, 0.7, 10)):
        count = statistics.repetitions_to_decide(spread, difference, comparisons)
        power = TTestPower()
        alpha = 0.05 / comparisons
        assert power.power(difference / spread, count, alpha) >= 0.8 or count == repetitions_for(comparisons)
        assert power.power(difference / spread, count - 1, alpha) < 0.8 or count == repetitions_for(comparisons)
    assert statistics.repetitions_to_decide(0, 1, 10) == 9
    assert np.isnan(statistics.repetitions_to_decide(np.nan, 1))
    assert np.isnan(statistics.repetitions_to_decide(1, 1e-3))


def test_the_null_keeps_its_error_rate():
    """1,000 studies in which all strategies are random, six seeds and one comparison, or nine and eight."""
    for seeds, comparisons in ((6, 1), (9, 8)):
        studies = np.random.default_rng(1).standard_t(3, (1000, comparisons, seeds))
        studies -= np.random.default_rng(2).standard_t(3, (1000, 1, seeds))  # the same random in all of a study
        p = statistics.sign_flip(studies.reshape(-1, seeds)).reshape(1000, comparisons)
        wrong = np.mean([(statistics.holm(row) <= 0.05).any() for row in p])
        assert wrong <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 1000)


def test_the_bayesian_signed_rank_test_of_one_difference_by_hand():
    # Weights (w, 1 - w) of the prior's 0 and of 1, uniform: of the pairs (0, 0), (0, 1), (1, 0), (1, 1) only those with
    # a 1 have a mean above 0.2: their weight 1 - w^2 is the larger one where w < sqrt(1 / 2).
    below, within, above = statistics.signed_rank([1.0], 0.2)
    assert below == 0
    assert above == pytest.approx(np.sqrt(0.5), abs=0.01)
    assert within + above == pytest.approx(1)
    mirrored = statistics.signed_rank([-1.0, -2, np.nan], 0.2)
    np.testing.assert_allclose(mirrored[::-1], statistics.signed_rank([1.0, 2], 0.2), atol=0.01)


def test_areas_and_labels_by_hand():
    labels, values = [10, 20, 40], [0.5, 0.7, 0.9]
    assert statistics.normalised_area(labels, values) == pytest.approx((10 * 0.6 + 20 * 0.8) / 30)
    assert statistics.normalised_area(labels, values, 15, 30) == pytest.approx((5 * 0.65 + 10 * 0.75) / 15)
    assert statistics.normalised_area([5], [0.3]) == statistics.normalised_area([5, 5], [0.1, 0.3]) == 0.3
    assert statistics.labels_to_reach(labels, values, 0.8) == pytest.approx(30)
    assert statistics.labels_to_reach(labels, values, 0.5) == statistics.labels_to_reach(labels, values, 0.2) == 10
    assert np.isnan(statistics.labels_to_reach(labels, values, 0.95))
    assert statistics.labels_to_reach([1, 2, 3, 4], [0.1, 0.8, 0.2, 0.9], 0.7) == pytest.approx(
        1 + 6 / 7
    )  # the first time
    assert statistics.at(labels, values, 30) == pytest.approx(0.8)
    assert statistics.at([10, 20, 20, 30], [0, 1, 3, 4], 20) == 3  # the later one
    assert np.isnan(statistics.at(labels, values, 41))
    assert np.isnan(statistics.at(labels, values, 9))


@pytest.mark.parametrize(
    ("labels", "values", "message"),
    [
        ([1, 2], [0.1], "shapes"),
        ([], [], "shapes"),
        ([2, 1], [0.1, 0.2], "labels: found 1 after more"),
        ([1, 2], [0.1, np.nan], "values: found nan"),
        ([1, np.inf], [0.1, 0.2], "labels: found inf"),
    ],
)
def test_a_curve_that_is_none_is_refused(labels, values, message):
    with pytest.raises(InputError, match=message):
        statistics.normalised_area(labels, values)


def test_differences_that_are_none_are_refused():
    with pytest.raises(InputError, match=r"differences\[0, 1\]: found inf"):
        statistics.sign_flip(np.array([[1, np.inf]]))
    with pytest.raises(InputError, match=r"found shape \(2,\)"):
        statistics.intervals(np.array([1.0, 2]))


def test_penalties_count_significant_wins_as_a_t_test_does():
    values = RNG.normal(0, 1, (3, 40, 5)) + np.array([0, 0.8, 1.6])[:, None, None]
    found = statistics.penalties(values)
    for one, other in itertools.permutations(range(3), 2):
        tests = [stats.ttest_rel(values[one, t], values[other, t]) for t in range(40)]
        # Of five repetitions the critical value is the paper's 2.776.
        assert found[one, other] == np.mean([test.statistic > 2.776 for test in tests])
    assert found[2, 0] > 0.2
    assert np.diag(found).tolist() == [0, 0, 0]
    same = np.zeros((2, 3, 4))
    same[1, 0] = 1  # always better by as much
    np.testing.assert_allclose(statistics.penalties(same), [[0, 0], [1 / 3, 0]])


def test_seeds_in_words():
    assert in_words(3, 1) == "3 seeds: no difference can be significant; 6 can decide one comparison"
    assert in_words(1, 10).startswith(
        "1 seed: no difference can be significant; 6 can decide one comparison, 9 one of 10"
    )
    assert in_words(6, 10) == "6 seeds can decide one comparison; of 10 together none can be significant, 9 can decide"
    assert in_words(11, 35) == "11 seeds can decide each of 35 comparisons"
    study = {"initial_pools": "abcde", "strategies": "abcdefgh", "learners": "a", "cycles": 3}
    assert comparisons_of(study) == 35
    assert comparisons_of(study | {"cycles": 0}) == 32
    assert comparisons_of({"initial_pools": "a", "strategies": "a", "learners": "a", "cycles": 3}) == 0
    assert comparisons_of({"initial_pools": "a", "strategies": "ab", "learners": "abcde", "cycles": 0}) == 8
