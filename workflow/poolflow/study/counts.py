"""How many images a pool's settings leave, worked out before anything runs.

Imported by the config check, so it imports nothing heavy.
"""


def long_tail(largest, classes, factor):
    """Return each class' number of images: int(largest * factor ** (-i / (classes - 1))) for class i.

    A power law from `largest` images down to `largest / factor`. Cui et al. (2019), section 5.1, as their code rounds
    it: factor 50 on CIFAR-10 leaves 5000, 3237, 2096, 1357, 878, 568, 368, 238, 154 and 100 images.
    """
    return [int(largest * (1 / factor) ** (i / max(1, classes - 1))) for i in range(classes)]


def pool_size(size, classes, settings):
    """Return the number of candidates that a pool's settings make of `size` images in classes of one size."""
    if settings["known_classes"]:
        size = settings["images_per_class"] * (2 * settings["known_classes"] + settings["novel_classes"])
        classes = settings["known_classes"] + settings["novel_classes"]
    if settings["imbalance"] > 1:
        size = sum(long_tail(size / classes, classes, settings["imbalance"]))
    if settings["subset"]:
        size = min(size, settings["subset"])
    size -= round(size * settings["validation"])
    given = settings["images_per_class"] * settings["known_classes"] if settings["known_classes"] else settings["start"]
    rest = (size - given) * (1 + settings["flips"]) * settings["bootstrap"]
    return (given + rest) * settings["copies"]
