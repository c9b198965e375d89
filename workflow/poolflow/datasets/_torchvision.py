"""Data sets of torchvision: its addresses, checksums and readers, without writing to `root` and without the network."""

import os
import pickle
import struct
import tempfile

import numpy as np
from torchvision.datasets.utils import extract_archive

from poolflow.data.published import File, verified
from poolflow.job import StageError


def idx_files(source):
    """Return the files of MNIST or one of its kin; each may lie unpacked in <root>/<name>/raw."""
    folder = f"{source.__name__}/raw"
    return [
        File(
            f"{folder}/{name}",
            tuple(mirror + name for mirror in source.mirrors),
            md5,
            instead=(f"{folder}/{name.removesuffix('.gz')}",),
        )
        for name, md5 in source.resources
    ]


def load_idx(source, root, unpacked=None):
    """Return MNIST or one of its kin.

    Archives are verified by torchvision's checksums, files that lie unpacked by those of `unpacked` ({name: MD5}),
    and all by the sizes in their headers.
    """
    with tempfile.TemporaryDirectory() as folder:
        raw = os.path.join(folder, source.__name__, "raw")
        os.makedirs(raw)
        for file in idx_files(source):
            (plain,) = file.instead
            name = os.path.basename(plain)
            if file.unpacked(root):
                path = os.path.abspath(os.path.join(root, plain))
                if unpacked:
                    verified(path, unpacked[name])
                check_idx(path)
                os.symlink(path, os.path.join(raw, name))
            else:
                extract_archive(verified(os.path.join(root, file.path), file.checksum), raw)
        parts = {part: source(folder, train=part == "train") for part in ("train", "test")}
    data = {part: (found.data.numpy()[..., None], found.targets.numpy()) for part, found in parts.items()}
    return data | {"classes": source.classes}


def check_idx(path):
    """Raise StageError unless a file of the IDX format is as long as its header says."""
    with open(path, "rb") as file:
        start = file.read(16)
    size = os.path.getsize(path)
    dimensions = {b"\0\0\x08\x01": 1, b"\0\0\x08\x03": 3}.get(start[:4])
    header = 4 + 4 * (dimensions or 0)
    if not dimensions or size < header:
        raise StageError(f"{path} is not a file of MNIST's format, or truncated; delete it and run again")
    expected = header + int(np.prod(struct.unpack(f">{dimensions}I", start[4:header]), dtype=object))
    if size != expected:
        raise StageError(f"{path} has {size:,} bytes, expected {expected:,}; delete it and run again")


def cifar_files(source):
    """Return the archive of CIFAR-10 or CIFAR-100, which may lie unpacked in <root>."""
    names = [name for name, _ in source.train_list + source.test_list] + [source.meta["filename"]]
    instead = tuple(f"{source.base_folder}/{name}" for name in names)
    return [File(source.filename, (source.url,), source.tgz_md5, instead)]


def load_cifar(source, root, labels=None, classes=None):
    """Return CIFAR-10 or CIFAR-100; `labels` and `classes` are the keys of other labels and names in its pickles."""
    (file,) = cifar_files(source)
    checksums = dict(map(tuple, source.train_list + source.test_list)) | {source.meta["filename"]: source.meta["md5"]}
    with tempfile.TemporaryDirectory() as folder:
        if file.unpacked(root):
            folder = root
        else:
            extract_archive(verified(os.path.join(root, file.path), file.checksum), folder)
        for name, md5 in checksums.items():
            verified(os.path.join(folder, source.base_folder, name), md5)
        parts = {part: source(folder, train=part == "train") for part in ("train", "test")}
        names = parts["train"].classes
        data = {part: (found.data, np.array(found.targets)) for part, found in parts.items()}
        if labels:
            names = unpickled(folder, source, source.meta["filename"])[classes]
            for part, ((name, _),) in {"train": source.train_list, "test": source.test_list}.items():
                data[part] = data[part][0], np.array(unpickled(folder, source, name)[labels])
    return data | {"classes": names}


def unpickled(folder, source, name):
    """Return the content of a file whose checksum was verified before."""
    with open(os.path.join(folder, source.base_folder, name), "rb") as file:
        return pickle.load(file, encoding="latin1")


def svhn_files(source):
    """Return the two files of SVHN."""
    return [File(name, (url,), md5) for url, name, md5 in (source.split_list["train"], source.split_list["test"])]


def load_svhn(source, root):
    """Return SVHN."""
    for file in svhn_files(source):
        verified(os.path.join(root, file.path), file.checksum)
    parts = {part: source(root, split=part) for part in ("train", "test")}
    return {part: (found.data.transpose(0, 2, 3, 1), found.labels) for part, found in parts.items()}
