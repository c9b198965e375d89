"""Your own features: a table (N, D) of floats with labels, in one HDF5 file, learned as it is.

The keys and the labels are those of `_tables.py`. The table is never in memory as a whole; it becomes float32. An NPZ
file will do for a table that fits into memory.
"""

import os

import numpy as np

from poolflow.datasets._tables import load as load_table

KIND = "features"
LOCAL = ("path",)
BOUNDS = {"test_fraction": "> 0, < 1", "split_seed": ">= 0"}


def load(root, path: str, test_fraction: float = 0.2, split_seed: int = 0):
    """Return the features of the file `path`, relative to `root` unless absolute.

    `test_fraction` of each class, drawn by `split_seed`, is for the test where the file has no test set.
    """
    return load_table(os.path.join(root, os.path.expanduser(path)), "features", understand, test_fraction, split_seed)


def understand(source):
    """Return the shape and type of features, and the function that brings a block of them there."""
    if source.dtype.kind != "f" or len(source.shape) != 2:
        raise ValueError(f"found {source.dtype} {source.shape}, expected floats (N, D)")

    def convert(block):
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused
            return block.astype(np.float32)

    return source.shape, np.dtype(np.float32), convert
