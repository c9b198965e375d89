"""Ways of choosing the initial pool, one file each.

A file has NEEDS and `select(pool, size, rng, **parameters)`, as a query strategy has, and SCORED = False where scores
mean nothing; nothing is labelled yet. NEEDS may name `images`, `given`, what a pretext task gives (`scores`,
`clusters`, `features`), and `oracle`, the true classes, for a control only. A literal PRETEXT names the task that is
used unless the config says otherwise, a literal BOUNDS says what the parameters accept, see `poolflow.study.bounds`.
"""
