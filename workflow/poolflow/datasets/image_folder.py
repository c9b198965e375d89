"""Your own images: a folder, or a zip or tar archive, in which each class has a folder.

Either `train/` and `test/` lie at the top, with the class folders in them, or the class folders do, and a stratified
part is set aside for the test, another one when a class gets more images. Folders inside a class folder belong to the
class. Images in `unlabeled/` at the top are training images without a label. One folder around all of it is ignored,
and so are hidden files, those of a system's own making and files that are no images by their extension: the job says
how many. The rows are sorted by name, those without a label behind the others. `_images.py` says how sizes and modes
are brought to one. Cost: decoding all images, once; memory for all pixels.

A folder that is called like a part (`Train`, `validation`, `unlabelled`) is no class, nor are folders that hold folders
of the same names, unless `classes` names them.

Where `classes` names the classes, not every one needs an image: at first there may be none with a label, and no test
set. Images at the top, in no folder, then are without a label as well. To label one is to move it to its class.
"""

import os
import re
import unicodedata
from collections import Counter, defaultdict
from pathlib import PurePosixPath

import numpy as np

from poolflow.data.listing import empty_folders, hidden
from poolflow.datasets import _images
from poolflow.datasets._images import Seen, listing, shown
from poolflow.datasets._images import load as load_images
from poolflow.datasets._split import split
from poolflow.job import StageError

LOCAL = ("path",)
NAMES = True
BOUNDS = {
    "size": ">= 1, <= 10000",
    "mode": "auto or grey or rgb",
    "test_fraction": ">= 0, < 1",
    "split_seed": ">= 0",
    "bits": ">= 9, <= 16",
    "max_pixels": ">= 1",
    "unreadable": "refuse or skip",
    "duplicates": "keep or refuse or drop",
}
# Of a folder, the files that count.
ENDINGS = (
    ".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif",
    ".tiff", ".webp",
)  # fmt: skip
# What folders of parts are called, and classes are not: `Train`, `test_set`, `val2017`; a pattern, in small letters.
PARTS = (
    r"_?(train|training|test|testing|val|valid|validation|dev|eval|evaluation|hold[ _-]?out|unlabell?ed)"
    r"([ _-]?(set|data|images|imgs|split))?[ _-]?\d*"
)


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
    bits: int = 16,
    max_pixels: int = 89_478_485,
    unreadable: str = "refuse",
    duplicates: str = "keep",
):
    """Return the images with their names, and what was seen of them as `notes`.

    Parameters
    ----------
    path : folder or archive, relative to `root` unless absolute
    size : scale the shorter side to it and crop the centre; None: all images have one size
    mode : "grey", "rgb", or "auto" (colour when any image has)
    classes : names of all classes, in their order; None: those of the folders that are there, sorted
    train, test, unlabeled : names of the folders at the top
    test_fraction, split_seed : how much of each class is for the test, and what draws it, where there is no `test/`; 0
        for no test set
    bits : of 16-bit images, how many are used: 12 for a camera of 12 bits
    max_pixels : the largest image that is read
    unreadable : what becomes of images that cannot be read, "refuse" or "skip"
    duplicates : of images whose files are the same, "keep" all; "refuse" them where they lie in two classes, or in both
        the training and the test set; or "drop" the training image that is in the test set, all but one of a class,
        and all that lie in two classes
    """
    path, seen = os.path.join(root, os.path.expanduser(path)), Seen()
    names, colour = listing(path, mode, seen, max_pixels)
    train, test, unlabeled = map(composed, (train, test, unlabeled))
    named = classes is not None
    if named:
        check_classes(classes, {train, test, unlabeled})
        classes = [composed(name) for name in classes]
    parts = layout(path, names, train, test, unlabeled, classes)
    classes = classes or sorted({label for part in ("train", "all") for _, label in parts[part]})
    pairs = parts["train"] + parts["all"] + parts["test"]
    if strange := [pair for pair in pairs if pair[1] not in classes]:
        examples = {label: name for name, label in reversed(strange)}
        labels = sorted(examples)
        found = shown([examples[label] for label in labels])
        if not named:
            raise StageError(f"{path}: found no training image of the class of {found}")
        one = len(labels) == 1
        raise StageError(
            f"{path}: found {found} in the folder{'s'[one:]} {shown(labels)}, expected one of the classes "
            f"{', '.join(classes)}; add {shown(labels)} to them, or move {'its' if one else 'their'} images to "
            f"{unlabeled}"
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
    images = load_images(path, places, colour, size, bits, max_pixels, seen, unreadable == "skip")
    alike, dropped = same_files(path, rows, seen, duplicates)
    kept = {
        part: [row for row, (name, _) in enumerate(rows[part]) if name not in dropped and name not in seen.unreadable]
        for part in rows
    }
    if not kept["train"]:
        raise StageError(f"{path}: found no training image that is left")
    data, left = {}, {part: [rows[part][row] for row in kept[part]] for part in rows}
    for part in rows:
        values = images.get(part, images.get("train", images.get("test"))[:0])
        values = values if len(kept[part]) == len(values) else values[kept[part]]
        data[part] = values, np.array([label for _, label in left[part]], np.int64)
    notes = [*seen_of(path, parts, seen, bits), *much_alike(classes), *alike]
    return data | {
        "classes": classes,
        "names": {part: [name for name, _ in left[part]] for part in left},
        "notes": notes,
    }


def same_files(path, rows, seen, duplicates):
    """Return what is to be said of images whose files are the same, and the names of those to drop."""
    groups = defaultdict(list)
    for part in rows:
        for name, label in rows[part]:
            if name not in seen.unreadable:
                groups[seen.contents[name]].append((part, label, name))
    kinds, dropped = defaultdict(list), set()
    for group in groups.values():
        names, labels = [name for _, _, name in group], {label for _, label, _ in group if label >= 0}
        if len(group) == 1:
            continue
        if len(labels) > 1:
            kinds["in two classes"].append(" = ".join(names))
            dropped |= set(names)
        elif len({part for part, _, _ in group}) > 1:
            kinds["in the training and the test set"].append(" = ".join(names))
        else:
            kinds["more than once in a class"].append(" = ".join(names))
        kept = min(group, key=lambda one: (one[0] != "test", one[1] < 0))  # the test's; one with a label
        dropped |= {name for name in names if name != kept[2]}
    found = [f"{len(some)} image{'s'[len(some) == 1 :]} {what}: {shown(some)}" for what, some in kinds.items()]
    if duplicates == "refuse" and kinds.keys() - {"more than once in a class"}:
        raise StageError(f"{path}: found {'; '.join(found)}; remove what is wrong, or write duplicates: keep or drop")
    if duplicates == "drop" and dropped:
        return [*found, f"dropped {len(dropped)} of them"], dropped
    return found, set()


def seen_of(path, parts, seen, bits):
    """Return what is to be said of the files that were not read, and of how images were read."""
    notes = []
    if seen.skipped:
        rare = sorted(
            {name[name.rindex(".") :].lower() for name in seen.skipped if name.lower().endswith(_images.RARE)}
        )
        hint = f"; Pillow has no reader for {', '.join(rare)} here" if rare else ""
        example = min(seen.skipped, key=hidden)  # one that is not hidden says more
        notes.append(f"skipped {len(seen.skipped)}, as {example}{hint}")
    images = [one if isinstance(one, str) else one[0] for part in parts.values() for one in part]
    full = {str(folder) for name in images for folder in PurePosixPath(name).parents}
    others = {str(PurePosixPath(name).parent) for name in seen.skipped if not hidden(name)} - full
    if empty := sorted(others.union(empty_folders(path))):
        notes.append(f"no image in {shown(empty)}")
    if seen.unreadable:
        notes.append(f"left out {len(seen.unreadable)} that cannot be read, as {sorted(seen.unreadable)[0]}")
    used = max(9, seen.highest.bit_length())
    if seen.deep and used < bits:
        notes.append(f"{seen.deep} images of 16 bits use none of the upper half, and come out dark: write bits: {used}")
    if seen.deep_colour and seen.highest_colour < 128:
        notes.append(
            f"{seen.deep_colour} colour images of 16 bits use none of the upper half, and come out dark: save them "
            "with 8 bits"
        )
    return notes


def much_alike(classes):
    """Return what is to be said of classes whose names differ in case or spaces only."""
    groups = defaultdict(list)
    for name in classes:
        groups["".join(name.split()).casefold()].append(repr(name))
    return [f"{' and '.join(some)} are different classes" for some in groups.values() if len(some) > 1]


def check_classes(classes, folders):
    """Raise StageError unless `classes` is a list of different names, none of them that of another folder."""
    for name in classes:
        if not isinstance(name, str):
            raise StageError(f"classes: found {name!r}, expected the names of folders; write it in quotes")
        if name in folders or classes.count(name) > 1:
            raise StageError(
                f"classes: found {name}, expected each class once, and none of {', '.join(sorted(folders))}"
            )


def composed(text):
    """Return a text with its letters composed: macOS takes apart what other systems do not (NFC of Unicode)."""
    return unicodedata.normalize("NFC", text)


def check_folders(path, places, unlabeled):
    """Raise StageError when the folders at the top look like parts of a data set and not like classes."""
    below = {parts[0]: set() for parts in places if len(parts) > 1 and parts[0] != unlabeled}
    for parts in places:
        if len(parts) > 2 and parts[0] in below:
            below[parts[0]].add(parts[1])
    tops = sorted(below)
    if named := [top for top in tops if re.fullmatch(PARTS, top.lower())]:
        raise StageError(
            f"{path}: found the folder {named[0]}, which is called like a part of a data set and not like a class; "
            f"write train: {named[0]} (or test:, unlabeled:) for what it is, or classes: [{', '.join(tops)}] if it is "
            "one"
        )
    counts = Counter(folder for folders in below.values() for folder in folders)
    shared = sorted(folder for folder, count in counts.items() if count > max(1, len(tops) / 2))
    if shared:
        where = "each" if all(not folders.isdisjoint(shared) for folders in below.values()) else "most"
        raise StageError(
            f"{path}: found the folders {shown(shared)} in {where} of {shown(tops)}, so that these look like parts of "
            f"a data set and not like classes; write train: {tops[0]} and test: {tops[1]}, move the class folders to "
            f"the top, or write classes: [{', '.join(tops)}] if they are"
        )


def layout(path, names, train, test, unlabeled, classes=None):
    """Return {"train", "test", "all": (name, class) pairs, "unlabeled": names}; "all" is what is to be split."""
    if not names:
        raise StageError(f"{path}: found no image, expected folders of images, one for each class")
    split_up = {name: composed(name).split("/") for name in names}
    tops = {parts[0] for parts in split_up.values()}
    own = {train, test, *([unlabeled, *classes] if classes else [])}
    depth = 1 if classes else 2  # of an image in the one folder around all
    if len(tops) == 1 and tops.isdisjoint(own) and all(len(parts) > depth for parts in split_up.values()):
        split_up = {name: parts[1:] for name, parts in split_up.items()}
        tops = {parts[0] for parts in split_up.values()}
    found = {"train": [], "test": [], "all": [], "unlabeled": []}
    parted = not tops.isdisjoint({train, test})
    if not parted and not classes:
        check_folders(path, split_up.values(), unlabeled)
    outside = []
    for name, parts in split_up.items():
        if (len(parts) == 1 and classes) or (len(parts) > 1 and parts[0] == unlabeled):
            found["unlabeled"].append(name)
        elif len(parts) < (3 if parted and parts[0] in (train, test) else 2):
            outside.append(name)
        elif not parted:
            found["all"].append((name, parts[0]))
        elif parts[0] in (train, test):
            found["train" if parts[0] == train else "test"].append((name, parts[1]))
        else:
            raise StageError(
                f"{path}: found the folder {parts[0]} beside {train} and {test}, expected nothing else than "
                f"{unlabeled}; move its images to {train}, {test} or {unlabeled}, or remove it"
            )
    if outside:
        no_folder = any(len(split_up[name]) == 1 for name in outside)
        hint = "; if classes have no labelled image yet, write classes: [their names]" if no_folder else ""
        one = "it" if len(outside) == 1 else "each"
        raise StageError(
            f"{path}: found {shown(outside)} outside the class folders, expected {one} in the folder of its class{hint}"
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
