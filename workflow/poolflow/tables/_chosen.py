"""What several tables read of the initial pools."""

import itertools


def chosen_sets(results):
    """Yield (data set, seed, pool, {initial pool: rows (L,)}) of each repetition."""
    for dataset, seed in itertools.product(results.datasets, results.seeds):
        pool, chosen, count = results.pool(dataset, seed), {}, None
        for name in results.initial_pools:
            chosen[name] = results.initial_pool(dataset, name, seed, pool, count)
            count = len(chosen[name])
        yield dataset, seed, pool, chosen
