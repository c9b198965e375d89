"""Your own images: a folder, or a zip or tar archive, in which each class has a folder.

Either `train/` and `test/` lie at the top, with the class folders in them, or the class folders do, and a stratified
part is set aside for the test, another one when a class gets more images. Folders inside a class folder belong to the
class. Images in `unlabeled/` at the top are training images without a label. One folder around all of it is ignored,
and so are hidden files and files that are no images by their extension. The rows are sorted by name, those without a
label behind the others. `_images.py` says how sizes and modes are brought to one. Cost: decoding all images,
once; memory for all pixels.

Where `classes` names the classes, not every one needs an image: at first there may be none with a label, and no test
set. Images at the top, in no folder, then are without a label as well. To label one is to move it to its class.
"""

import os

import numpy as np

from poolflow.datasets._images import listing
from poolflow.datasets._images import load as load_images
from poolflow.datasets._split import split
from poolflow.job import StageError

LOCAL = ("path",)
NAMES = True
BOUNDS = {"size": ">= 1", "mode": "auto or grey or rgb", "test_fraction": ">= 0, < 1", "split_seed": ">= 0"}


def load(
    root,
    path: str,
    size: int | None = None,
    mode: str = "auto",
    classes: list | None = None,
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
    classes : names of all classes, in their order; None: those of the folders that are there, sorted
    train, test, unlabeled : names of the folders at the top
    test_fraction, split_seed : how much of each class is for the test, and what draws it, where there is no `test/`; 0
        for no test set
    """
    path = os.path.join(root, path)
    names, colour = listing(path, mode)
    named = classes is not None
    if named:
        check_classes(classes, {train, test, unlabeled})
    parts = layout(path, names, train, test, unlabeled, classes)
    classes = classes or sorted({label for part in ("train", "all") for _, label in parts[part]})
    pairs = parts["train"] + parts["all"] + parts["test"]
    if strange := [pair for pair in pairs if pair[1] not in classes]:
        name, label = strange[0]
        if not named:
            raise StageError(f"{path}: found no training image of the class of {name}")
        raise StageError(
            f"{path}: found {name} in the folder {label}, expected one of the classes {', '.join(classes)}; add "
            f"{label} to them, or move its images to {unlabeled}"
        )
    rows = {part: [(name, classes.index(label)) for name, label in parts[part]] for part in ("train", "test", "all")}
    together = rows.pop("all")
    labels = np.array([label for _, label in together], np.int64)
    if test_fraction == 0 or (named and np.bincount(labels, minlength=1).max() < 2):
        rows["train"] += together
    elif together:
        for part, chosen in zip(rows, split(labels, test_fraction, split_seed), strict=True):
            rows[part] = [together[row] for row in chosen]
    rows["train"] += [(name, -1) for name in parts["unlabeled"]]
    if not rows["train"]:
        raise StageError(f"{path}: found images in {test}/ only, expected some in {train}/ or {unlabeled}/")
    places = {name: (part, row) for part in rows for row, (name, _) in enumerate(rows[part])}
    images = load_images(path, places, colour, size)
    data = {
        part: (images.get(part, images["train"][:0]), np.array([label for _, label in rows[part]], np.int64))
        for part in rows
    }
    return data | {"classes": classes, "names": {part: [name for name, _ in rows[part]] for part in rows}}


def check_classes(classes, folders):
    """Raise StageError unless `classes` is a list of different names, none of them that of another folder."""
    for name in classes:
        if not isinstance(name, str):
            raise StageError(f"classes: found {name!r}, expected the names of folders; write it in quotes")
        if name in folders or classes.count(name) > 1:
            raise StageError(
                f"classes: found {name}, expected each class once, and none of {', '.join(sorted(folders))}"
            )


def layout(path, names, train, test, unlabeled, classes=None):
    """Return {"train", "test", "all": (name, class) pairs, "unlabeled": names}; "all" is what is to be split."""
    if not names:
        raise StageError(f"{path}: found no image, expected folders of images, one for each class")
    split_up = {name: name.split("/") for name in names}
    tops = {parts[0] for parts in split_up.values()}
    own = {train, test, *([unlabeled, *classes] if classes else [])}
    depth = 1 if classes else 2  # of an image in the one folder around all
    if len(tops) == 1 and tops.isdisjoint(own) and all(len(parts) > depth for parts in split_up.values()):
        split_up = {name: parts[1:] for name, parts in split_up.items()}
        tops = {parts[0] for parts in split_up.values()}
    found = {"train": [], "test": [], "all": [], "unlabeled": []}
    parted = not tops.isdisjoint({train, test})
    for name, parts in split_up.items():
        if (len(parts) == 1 and classes) or (len(parts) > 1 and parts[0] == unlabeled):
            found["unlabeled"].append(name)
        elif len(parts) < (3 if parted and parts[0] in (train, test) else 2):
            hint = "" if len(parts) > 1 else "; if classes have no labelled image yet, write classes: [their names]"
            raise StageError(
                f"{path}: found {name} outside the class folders, expected it in the folder of its class{hint}"
            )
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
        if parted and not found[part] and not classes:
            raise StageError(
                f"{path}: found no images in {word}/, expected {train}/ and {test}/; to have a test set drawn, "
                "put the class folders at the top"
            )
    if not parted and not found["all"] and not classes:
        raise StageError(
            f"{path}: found images without a class only, expected folders of images, one for each class; if classes "
            "have no labelled image yet, write classes: [their names]"
        )
    return found
