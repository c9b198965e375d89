"""Initial pools compared: paired differences of each with random, and of all pairs, with intervals, tests, verdicts.

As `strategy_tests`, for two initial pools with the same strategy; `strategy` is empty for the mean over the strategies.
"""

from poolflow.tables import _comparisons

NEEDS = ("curves.csv",)
AT_LEAST = {"initial_pools": 2}


def table(results, metric, reference_pool, alpha, least_difference, budgets, bayesian):
    """Return a row for each data set, learner, strategy or their mean, pair, score and family."""
    curves = results.table("curves")
    return _comparisons.tests(
        curves, "initial_pool", reference_pool, metric, alpha, least_difference, budgets, bayesian
    )
