"""Your own images as arrays with labels, in one HDF5 or NPZ file.

The keys and the labels are those of `_tables.py`. Images are uint8, or floats in 0..1, which are brought to 0..255 and
rounded. They are (N, height, width), grey; (N, height, width, 1 or 3); or else (N, 1 or 3, height, width).
"""

import os

import numpy as np

from poolflow.datasets._tables import load as load_table

LOCAL = ("path",)
BOUNDS = {"test_fraction": "> 0, < 1", "split_seed": ">= 0"}


def load(root, path: str, test_fraction: float = 0.2, split_seed: int = 0):
    """Return the images of the file `path`, relative to `root` unless absolute.

    `test_fraction` of each class, drawn by `split_seed`, is for the test where the file has no test set.
    """
    return load_table(os.path.join(root, os.path.expanduser(path)), "images", understand, test_fraction, split_seed)


def understand(source):
    """Return the shape and type of images, and the function that brings a block of them there."""
    shape, kind = source.shape, source.dtype.kind
    if source.dtype != np.uint8 and kind != "f":
        raise ValueError(f"found {source.dtype}, expected uint8, or floats in 0..1")
    if len(shape) == 3:
        shape, order = (*shape, 1), (0, 1, 2, 3)
    elif len(shape) == 4 and shape[3] in (1, 3):
        order = (0, 1, 2, 3)
    elif len(shape) == 4 and shape[1] in (1, 3):
        shape, order = (shape[0], shape[2], shape[3], shape[1]), (0, 2, 3, 1)
    else:
        raise ValueError(f"found the shape {shape}, expected (N, H, W), (N, H, W, 1 or 3) or (N, 1 or 3, H, W)")

    def convert(block):
        if kind == "f":
            low, high = block.min(), block.max()
            if not (low >= 0 and high <= 1):
                raise ValueError(f"found floats from {low} to {high}, expected 0..1; or write uint8")
            block = np.rint(block * np.float32(255)).astype(np.uint8)
        return (block[..., None] if block.ndim == 3 else block).transpose(order)

    return shape, np.dtype(np.uint8), convert
