"""A template: copy this file to a name of your own, and name that in the config. First line: what it asks for.

Author (year), section. Score: the formula, in its unit. Cost: in N (pool), b (budget), C (classes) and D (features).
"""

from poolflow.kernels import margin, top_k

# What the workflow computes for it: outputs of the network (the files of outputs/), images, given, labels, model.
# `poolflow.selection.Pool` says what each of them is.
NEEDS = ("probs",)
# What the parameters accept, see `poolflow.study.bounds`: a config with another value is refused before anything runs.
BOUNDS = {"power": "> 0"}


def select(pool, budget, rng, power=1.0):
    """Return `budget` different rows of `pool.unlabeled`, best first, and a finite score for each.

    All randomness comes from `rng`, a numpy.random.Generator. Arguments after it are the strategy's parameters, which a
    config may set.
    """
    return top_k(margin(pool.probs) ** power, budget, rows=pool.unlabeled)
