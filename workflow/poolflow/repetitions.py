"""What a number of seeds can decide, before anything runs."""

import math


def repetitions_for(comparisons, alpha=0.05):
    """Return the least number of repetitions with which one of so many comparisons can be significant.

    The least p of the exact sign-flip test is 2 / 2^n, and Holm multiplies it by the number of comparisons.
    """
    return math.ceil(math.log2(2 * comparisons / alpha) - 1e-12)


def in_words(seeds, comparisons, alpha=0.05):
    """Return what so many seeds can decide, in a line."""
    one, all_ = repetitions_for(1, alpha), repetitions_for(max(1, comparisons), alpha)
    found = f"{seeds} seed{'s' * (seeds != 1)}"
    more = f", {all_} one of {comparisons}" if comparisons > 1 else ""
    if seeds < one:
        return f"{found}: no difference can be significant; {one} can decide one comparison{more}"
    if seeds < all_:
        return (
            f"{found} can decide one comparison; of {comparisons} together none can be significant, {all_} can decide"
        )
    return (
        f"{found} can decide {'each of ' if comparisons > 1 else ''}{comparisons} comparison{'s' * (comparisons > 1)}"
    )


def comparisons_of(study):
    """Return how many comparisons with a reference the largest family of a study's tests has, 0 for none."""
    pools, strategies, learners = (len(study[key]) for key in ("initial_pools", "strategies", "learners"))
    return max(pools * (strategies - 1) if study["cycles"] else 0, strategies * (max(pools, learners) - 1))
