"""Discovered classes: how many have a label, over the cycles, a panel for each initial pool, a line for each strategy.

Kaeding et al. (2016), figure 1, right: some classes are known from the start and others are in the pool alone. Mean and
standard deviation over the seeds.
"""

from poolflow.figures.learning_curves import curves

NEEDS = ("curves.csv",)
DATASETS = "discovery"
FILE = "{dataset}/{learner}/discovered_classes"


def draw(results, title, bands):
    """Return the figure."""
    title = title or f"{results.names['dataset']}, {results.names['learner']}"
    return curves(results.of_names("curves"), "initial_pool", "strategy", "classes_found", title, bands=bands)
