"""Query strategies, one file each.

A file has NEEDS, a literal tuple of the attributes of `poolflow.selection.Pool` that it uses (`oracle`, the true
classes, and `test`, the test images and theirs, only in a control, whose first line says "oracle control"), and
`select(pool, budget, rng, **parameters)`, which returns `budget` unlabelled pool rows, best first, and a finite score
for each. The rows come in a random order: the first of several with the same score is a random one of them. A literal
SCORED = False says that equal scores mean nothing: there are none, or they are those of sets. Keyword arguments after
`rng` are its parameters; the config may set them. A literal INPUTS says what it takes of the data set or the learner,
"images" or "features", both if it is missing. A literal BOUNDS says what they accept, see `poolflow.study.bounds`.
"""
