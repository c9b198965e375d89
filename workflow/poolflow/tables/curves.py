"""Learning curves: every chain, seed and cycle with its number of labels, accuracies, losses and seconds.

`variant` is the kind of network that the chain trains, empty for the plain one: a difference between two kinds is that
of the networks as well. `labeled` counts the images that have a label: in a cycle whose images have no answer yet it is
that of the last one, and so is the network. Accuracies are fractions, losses nats, seconds those of the training loop.
Of a learner that makes pseudo-labels `pseudo_accuracy` is which part of them is right, `pseudo_coverage` which part of
the unlabelled images has one. Cycle 0 is trained once for an initial pool, and once more for each variant of the
network that strategies need, and stands in the curve of each.
"""

import pandas as pd

NEEDS = ("metrics",)
CHAIN = ["dataset", "learner", "initial_pool", "strategy", "variant"]
METRICS = [
    "labeled",
    "test_accuracy",
    "test_loss",
    "validation_accuracy",
    "validation_loss",
    "train_accuracy",
    "train_loss",
    "classes_found",
    "pseudo_accuracy",
    "pseudo_coverage",
    "seconds",
]


def table(results):
    """Return a row for each chain, seed and cycle; a metric that nothing has is left out."""
    rows = []
    for *chain, seed in results.chains():
        for cycle in range(results.cycles + 1):
            metrics = results.metrics(*chain, seed, cycle)
            rows.append([*chain, results.variant(chain[-1]), seed, cycle, *(metrics.get(metric) for metric in METRICS)])
    return pd.DataFrame(rows, columns=[*CHAIN, "seed", "cycle", *METRICS]).dropna(axis="columns", how="all")
