"""The published files of a data set, and the check that they are the published ones."""

import hashlib
import os
from dataclasses import dataclass

from poolflow.job import StageError


@dataclass(frozen=True)
class File:
    """A file to be at hand before a data set is read.

    Attributes
    ----------
    path : where it belongs, relative to `data_root`
    urls : where it can be had, the preferred one first
    md5 : of the whole file, in hexadecimal digits
    instead : paths relative to `data_root` (its unpacked content) that make the file unnecessary, if all of them exist
    """

    path: str
    urls: tuple
    md5: str
    instead: tuple = ()

    def unpacked(self, root):
        """Return whether the content lies unpacked below `root` already."""
        return bool(self.instead) and all(os.path.exists(os.path.join(root, path)) for path in self.instead)


def md5(path):
    """Return the MD5 of a file in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def verified(path, expected):
    """Return `path` once its content has the expected MD5.

    Raises
    ------
    StageError
        When it is missing or has another one.
    """
    if not os.path.exists(path):
        raise StageError(f"{path} is missing; run snakemake again to fetch it, or put it there (MD5 {expected})")
    found = md5(path)
    if found != expected:
        raise StageError(
            f"{path} has the MD5 {found}, expected {expected}: it is damaged or another file; move it away and run "
            "snakemake again"
        )
    return path
