"""Your own images: a folder, or a zip or tar archive, in which each class has a folder.

Either `train/` and `test/` lie at the top, with the class folders in them, or the class folders do, and a stratified
part is set aside for the test. Folders inside a class folder belong to the class. Images in `unlabeled/` at the top
are training images without a label. One folder around all of it is ignored, and so are hidden files and files that
are no images by their extension. The rows are sorted by name, those without a label behind the others. How sizes and
modes are brought to one is said in `_images.py`. Cost: decoding all images, once; memory for all pixels.
"""

import os

import numpy as np

from poolflow.datasets._images import listing
from poolflow.datasets._images import load as load_images
from poolflow.datasets._split import split
from poolflow.stage import StageError

LOCAL = ("path",)


def load(
    root,
    path: str,
    size: int | None = None,
    mode: str = "auto",
    train: str = "train",
    test: str = "test",
    unlabeled: str = "unlabeled",
    test_fraction: float = 0.2,
    split_seed: int = 0,
):
    """Return the images with their names.

    Parameters
    ----------
    path : folder or archive, relative to `root` unless absolute
    size : scale the shorter side to it and crop the centre; None: all images have one size
    mode : "grey", "rgb", or "auto" (colour when any image has)
    train, test, unlabeled : names of the folders at the top
    test_fraction, split_seed : how much of each class is for the test, and what draws it, where there is no `test/`
    """
    path = os.path.join(root, path)
    names, colour = listing(path, mode)
    parts = layout(path, names, train, test, unlabeled)
    classes = sorted({label for part in ("train", "all") for _, label in parts[part]})
    strange = [name for name, label in parts["test"] if label not in classes]
    if strange:
        raise StageError(f"{path}: found no training image of the class of {strange[0]}")
    rows = {part: [(name, classes.index(label)) for name, label in parts[part]] for part in ("train", "test")}
    if parts["all"]:
        labels = np.array([classes.index(label) for _, label in parts["all"]])
        for part, chosen in zip(rows, split(labels, test_fraction, split_seed), strict=True):
            rows[part] = [(parts["all"][row][0], labels[row]) for row in chosen]
    rows["train"] += [(name, -1) for name in parts["unlabeled"]]
    places = {name: (part, row) for part in rows for row, (name, _) in enumerate(rows[part])}
    images = load_images(path, places, colour, size)
    return {
        "train": (images["train"], np.array([label for _, label in rows["train"]])),
        "test": (images["test"], np.array([label for _, label in rows["test"]])),
        "classes": classes,
        "names": {part: [name for name, _ in rows[part]] for part in rows},
    }


def layout(path, names, train, test, unlabeled):
    """Return {"train", "test", "all": (name, class) pairs, "unlabeled": names}; "all" is what is to be split."""
    if not names:
        raise StageError(f"{path}: found no image, expected folders of images, one for each class")
    split_up = {name: name.split("/") for name in names}
    tops = {parts[0] for parts in split_up.values()}
    if len(tops) == 1 and tops.isdisjoint({train, test}) and all(len(parts) > 2 for parts in split_up.values()):
        split_up = {name: parts[1:] for name, parts in split_up.items()}
        tops = {parts[0] for parts in split_up.values()}
    found = {"train": [], "test": [], "all": [], "unlabeled": []}
    parted = not tops.isdisjoint({train, test})
    for name, parts in split_up.items():
        if parts[0] == unlabeled and len(parts) > 1:
            found["unlabeled"].append(name)
        elif len(parts) < (3 if parted and parts[0] in (train, test) else 2):
            raise StageError(f"{path}: found {name} outside the class folders, expected it in the folder of its class")
        elif not parted:
            found["all"].append((name, parts[0]))
        elif parts[0] in (train, test):
            found["train" if parts[0] == train else "test"].append((name, parts[1]))
        else:
            raise StageError(
                f"{path}: found the folder {parts[0]} beside {train} and {test}, expected nothing else than "
                f"{unlabeled}; move its images to {train}, {test} or {unlabeled}, or remove it"
            )
    for part, word in (("train", train), ("test", test)):
        if parted and not found[part]:
            raise StageError(
                f"{path}: found no images in {word}/, expected {train}/ and {test}/; to have a test set drawn, "
                "put the class folders at the top"
            )
    if not parted and not found["all"]:
        raise StageError(f"{path}: found images without a class only, expected folders of images, one for each class")
    return found
