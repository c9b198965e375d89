"""Inputs: the pixels themselves, or the ready features of a data set, as features; nothing is learned.

The baseline for every feature that is learned. Cost: O(N D).
"""

INPUTS = ("images", "features")
GIVES = ("features",)


def features(task, model):
    """Return the inputs of a network as rows, each channel or dimension with mean 0 and deviation 1, (N, D)."""
    return task.map(lambda images, rows: task.normalise(images).flatten(1), what="features")
