"""Tiny ImageNet-200: 100,000 training and 10,000 test photographs of 200 kinds of things, 64 x 64, colour.

Le & Yang (2015), Stanford CS231n. The labelled validation part is the test set; the unlabelled test part is ignored.
Read from tiny-imagenet-200.zip, or the unpacked tiny-imagenet-200, in <data_root>, without unpacking it; another
archive or folder of the same layout may be named (it is neither fetched nor are there checksums for it).
"""

import os

import numpy as np

from poolflow.data.archives import members
from poolflow.data.published import File, verified
from poolflow.datasets._images import is_image
from poolflow.datasets._images import load as load_images
from poolflow.job import StageError

SIZE = 100_000
CLASSES = 200
SHAPE = (64, 64, 3)
ARCHIVE = "tiny-imagenet-200.zip"
FOLDER = "tiny-imagenet-200"
URLS = ("https://cs231n.stanford.edu/tiny-imagenet-200.zip", "http://cs231n.stanford.edu/tiny-imagenet-200.zip")
MD5 = "90528d7ca1a48142e341f4ef8d21d0de"
TABLES = ("wnids.txt", "words.txt", "val/val_annotations.txt")


def files(path="tiny-imagenet-200.zip"):
    """Return the archive, unless another one is named."""
    return [File(ARCHIVE, URLS, MD5, tuple(f"{FOLDER}/{table}" for table in TABLES))] if path == ARCHIVE else []


def load(root, path: str = "tiny-imagenet-200.zip"):
    """Return the images with their names; a class has the first word of words.txt for it."""
    where = os.path.join(root, os.path.expanduser(path))
    for file in files(path):
        where = os.path.join(root, FOLDER) if file.unpacked(root) else verified(where, file.checksum)
    names, tables, top = [], {}, None
    for name, content in members(where, lambda name: name.endswith(TABLES)):
        names.append(name)
        if content is not None:
            table = next(table for table in TABLES if name.endswith(table))
            tables[table] = content.decode(errors="replace").splitlines()
            top = name.removesuffix(table)
    for table in TABLES:
        if table not in tables:
            raise StageError(f"{where}: found no {table}, expected the layout of Tiny ImageNet-200")
    wnids = [line.strip() for line in tables["wnids.txt"] if line.strip()]
    words = dict(line.split("\t", 1) for line in tables["words.txt"] if "\t" in line)
    validation = dict(line.split("\t")[:2] for line in tables["val/val_annotations.txt"] if "\t" in line)
    classes = {wnid: row for row, wnid in enumerate(wnids)}
    rows = {"train": [], "test": []}
    for name in sorted(names):
        parts = name.removeprefix(top).split("/")
        if is_image(name) and parts[0] in ("train", "val"):
            wnid = parts[1] if parts[0] == "train" else validation.get(parts[-1])
            if wnid not in classes:
                raise StageError(f"{where}: found no class for {name} in wnids.txt and val_annotations.txt")
            rows["train" if parts[0] == "train" else "test"].append((name, classes[wnid]))
    lacking = len(validation) - len(rows["test"])
    if lacking or not rows["train"]:
        raise StageError(
            f"{where}: found {len(rows['train'])} images in train and {len(rows['test'])} in val, "
            f"expected some, and the {len(validation)} of val_annotations.txt"
        )
    places = {name: (part, row) for part in rows for row, (name, _) in enumerate(rows[part])}
    images = load_images(where, places, colour=True)
    return {
        "train": (images["train"], np.array([label for _, label in rows["train"]])),
        "test": (images["test"], np.array([label for _, label in rows["test"]])),
        "classes": [words.get(wnid, wnid).split(",")[0].strip() for wnid in wnids],
        "names": {part: [name for name, _ in rows[part]] for part in rows},
    }
