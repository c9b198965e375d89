"""What to label next: the images that a strategy asks for in the last cycle, in that order, in the first seed."""

from poolflow.figures._sheet import sheet

NEEDS = ("pools", "labeled")
AT_LEAST = {"cycles": 1}
DATASETS = "named"
SEEDS = "first"
PIXELS = True
FILE = "{dataset}/{learner}/to_label/{initial_pool}/{strategy}"


def draw(results):
    """Return the figure."""
    dataset, *chain = (results.names[key] for key in ("dataset", "learner", "initial_pool", "strategy"))
    pool = results.pool(dataset, results.seeds[0])
    rows, cycles, _ = results.labeled(dataset, *chain, results.seeds[0], pool)
    return sheet(results, pool, rows[cycles == results.cycles], chain)
