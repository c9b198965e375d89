"""The candidates of a pool: rows of a data set, some of them mirrored or with noise, and the classes to tell apart."""

import numpy as np

from poolflow.data import store
from poolflow.data.rows import take
from poolflow.job import Damaged


def inputs(file, part):
    """Return the HDF5 data set of a part ("train" or "test"): images (N, H, W, C) uint8 or features (N, D) float32."""
    return file[f"{part}/features" if "features" in file[part] else f"{part}/images"]


class Candidates:
    """What a `pool.h5` says.

    Attributes
    ----------
    indices : (N,) int64
        The data-set row of each candidate; a row may stand for several.
    flip, given : (N,) bool
        Whether a candidate is mirrored left to right, and whether its label is given from the start.
    validation : (V,) int64
        Data-set rows of the validation split, none of them in the pool.
    classes : int
        The number of classes to tell apart.
    """

    def __init__(self, path):
        with store.read(path) as file:
            self.indices, self.flip, self.given = (file[name][:] for name in ("indices", "flip", "given"))
            self.validation = file["validation"][:]
            self.classes = int(file.attrs["classes"])
            self._class_ids = file.attrs["class_ids"]
            self._noise, self._noise_seed = float(file.attrs["noise"]), int(file.attrs["noise_seed"])
        columns = self.indices, self.flip, self.given
        if self.indices.dtype.kind not in "iu" or len({column.shape for column in columns}) > 1 or not len(self):
            found = ", ".join(f"{column.dtype} {column.shape}" for column in columns)
            raise Damaged(f"{path}: found {found} as indices, flip and given, expected integers (N,), bool (N,) twice")
        if len(self._class_ids) != self.classes or np.intersect1d(self.indices, self.validation).size:
            raise Damaged(f"{path}: its classes or its validation rows are not what its job wrote")

    def __len__(self):
        return len(self.indices)

    def classes_of(self, labels):
        """Return the class, 0 to `classes` - 1, of each label of the data set; -1 for no label or another class."""
        table = np.full(max(labels.max(initial=-1), self._class_ids.max()) + 2, -1)
        table[self._class_ids] = np.arange(self.classes)
        return table[labels]

    def read(self, file, rows):
        """Return the images or features of some candidates (pool rows, in any order) from an open `dataset.h5`."""
        values = take(inputs(file, "train"), self.indices[rows])
        mirrored = self.flip[rows]
        if mirrored.any():
            values[mirrored] = values[mirrored, :, ::-1]
        if self._noise:
            for value, row in zip(values, rows, strict=True):
                # A counter of its own for each candidate: its noise is the same in whatever batch it is read.
                rng = np.random.Generator(np.random.Philox(key=self._noise_seed, counter=[0, 0, 0, int(row)]))
                value[...] = np.rint(value + rng.normal(0, 255 * self._noise, value.shape)).clip(0, 255)
        return values
