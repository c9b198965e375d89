"""Learners compared: paired differences of each with a plain one, and of all pairs, with intervals, tests, verdicts.

As `pool_tests`, for two learners from the same initial pool with the same strategy; `strategy` is empty for the mean
over the strategies.
"""

from poolflow.tables import _comparisons

NEEDS = ("curves.csv",)
AT_LEAST = {"learners": 2}
SWAPPED = {"learner": "initial_pool", "initial_pool": "learner"}


def table(results, metric, reference_learner, alpha, least_difference, budgets, bayesian):
    """Return a row for each data set, initial pool, strategy or their mean, pair, score and family."""
    curves = results.table("curves").rename(columns=SWAPPED)
    found = _comparisons.tests(
        curves, "initial_pool", reference_learner, metric, alpha, least_difference, budgets, bayesian
    )
    return found.rename(columns=SWAPPED | {"other_pool": "other_learner"})
