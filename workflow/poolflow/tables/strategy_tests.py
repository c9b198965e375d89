"""Query strategies compared: paired differences of each with random, and of all pairs, with intervals, tests, verdicts.

A difference is that of two strategies at one seed, from the same initial pool: `mean` over the `seeds` that have both
(those that lack one are `missing`), its bootstrap interval (95 %, BCa), in how many seeds it is in favour (`wins`), `p`
of the exact sign-flip test, and `p_holm` adjusted for all `comparisons` of its `family`: with the `reference` (random,
or its control on networks of the same kind), or all `pairs`. `verdict` is better or worse where p_holm is at most
`statistics.alpha`; equal where two one-sided tests, adjusted likewise (`p_equal`), say that the difference is smaller
than `statistics.least_difference`; else undecided, and `seeds_needed` would find that difference with a power of 80 %.
`initial_pool` is empty for the mean over the initial pools. `below`, `within` and `above` are the probabilities of the
Bayesian signed-rank test, where `statistics.bayesian` asks for them.
"""

from poolflow.tables import _comparisons

NEEDS = ("curves.csv",)
AT_LEAST = {"strategies": 2, "cycles": 1}


def table(results, metric, reference, alpha, least_difference, budgets, bayesian):
    """Return a row for each data set, learner, initial pool or their mean, pair, score and family."""
    curves = results.table("curves")
    return _comparisons.tests(curves, "strategy", reference, metric, alpha, least_difference, budgets, bayesian)
