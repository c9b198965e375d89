"""Where the files of a study lie, below its folder."""


def dataset(name):
    """Return the path of a data set."""
    return f"{name}/dataset.h5"


def pool(dataset, seed):
    """Return the path of the pool of one repetition."""
    return f"{dataset}/pool/seed{seed}.h5"


def pretext(dataset, task, seed):
    """Return the folder of a pretext task."""
    return f"{dataset}/pretext/{task}/seed{seed}"


def cycle(dataset, learner, chain, seed, number):
    """Return the folder of a cycle of a chain, `<initial pool>[+<variant>]` or `<initial pool>/<strategy>`."""
    return f"{dataset}/{learner}/{chain}/seed{seed}/cycle{number}"
