"""Ways of choosing the initial pool, one file each.

A file has NEEDS and `select(pool, size, rng, **parameters)`, as a query strategy has; nothing is labelled yet.
A literal ONE_PER_CLASS = True says that `size` must be at least the number of classes.
"""
