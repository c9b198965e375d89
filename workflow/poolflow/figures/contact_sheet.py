"""Contact sheet of an initial pool: the images that it chose in the first seed, in that order."""

from poolflow.figures._sheet import sheet

NEEDS = ("pools", "initial_pools")
DATASETS = "images"
SEEDS = "first"
PIXELS = True
FILE = "{dataset}/pools/first_{initial_pool}"


def draw(results):
    """Return the figure."""
    dataset, name, seed = results.names["dataset"], results.names["initial_pool"], results.seeds[0]
    pool = results.pool(dataset, seed)
    return sheet(results, pool, results.initial_pool(dataset, name, seed, pool), [name])
