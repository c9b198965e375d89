"""The published files of a data set, and the check that they are the published ones."""

import hashlib
import os
from dataclasses import dataclass
from functools import partial

from poolflow.job import StageError


@dataclass(frozen=True)
class File:
    """A file to be at hand before a data set is read.

    Attributes
    ----------
    path : where it belongs, relative to `data_root`
    urls : where it can be had, the preferred one first
    checksum : MD5 or SHA-256 of the whole file, in hexadecimal digits; "" for the SHA-256 that its server says
    instead : paths relative to `data_root` (its unpacked content) that make the file unnecessary, if all of them exist
    """

    path: str
    urls: tuple
    checksum: str
    instead: tuple = ()

    def unpacked(self, root):
        """Return whether the content lies unpacked below `root` already."""
        return bool(self.instead) and all(os.path.exists(os.path.join(root, path)) for path in self.instead)


def md5(path):
    """Return the MD5 of a file in hexadecimal digits."""
    return checksum(path, "MD5")


def checksum(path, kind):
    """Return the "MD5" or "SHA-256" of a file in hexadecimal digits."""
    made = {"MD5": partial(hashlib.md5, usedforsecurity=False), "SHA-256": hashlib.sha256}[kind]
    with open(path, "rb") as file:
        return hashlib.file_digest(file, made).hexdigest()


def kind_of(expected):
    """Return what a checksum in hexadecimal digits is: "MD5" or "SHA-256"."""
    return {32: "MD5", 64: "SHA-256"}[len(expected)]


def verified(path, expected):
    """Return `path` once its content has the expected MD5 or SHA-256.

    Raises
    ------
    StageError
        When it is missing or has another one.
    """
    kind = kind_of(expected)
    if not os.path.exists(path):
        raise StageError(f"{path} is missing; run snakemake again to fetch it, or put it there ({kind} {expected})")
    found = checksum(path, kind)
    if found != expected:
        raise StageError(
            f"{path} has the {kind} {found}, expected {expected}: it is damaged or another file; move it away and run "
            "snakemake again"
        )
    return path
