"""What reports read of a study: the labelled sets, the true classes of a pool, and how sets overlap."""

import numpy as np

from poolflow.data import store
from poolflow.data.candidates import Candidates
from poolflow.data.labeled import check_rows


class KnownPool:
    """A pool and the true class of each of its rows: for reports alone, no selection sees it.

    Attributes
    ----------
    candidates : poolflow.data.candidates.Candidates
    classes : (N,) int64
        The class, 0 to C - 1, of each pool row; -1 where it has no label.
    names : list of C str
    """

    def __init__(self, pool, dataset):
        self.candidates = Candidates(pool)
        with store.read(dataset) as file:
            labels, names = file["train/labels"][:], [name.decode() for name in file.attrs["classes"]]
        check_rows(pool, self.candidates.indices, len(labels))
        self.classes = self.candidates.classes_of(labels[self.candidates.indices])
        order = np.argsort(self.candidates.classes_of(np.arange(len(names))))  # first those that are not in the pool
        self.names = [names[label] for label in order[-self.candidates.classes :]]

    def __len__(self):
        return len(self.classes)

    def counts(self, rows):
        """Return the number of images of each class, (C,) int64, among pool rows that have a label."""
        classes = self.classes[rows]
        return np.bincount(classes[classes >= 0], minlength=len(self.names))


def shared(first, second, size, cycles=0):
    """Return how many rows two growing labelled sets have in common at the end of each cycle, (cycles + 1,) int64.

    Parameters
    ----------
    first, second : (rows, cycles), each (L,) int64
        A row counts from its cycle on.
    size : int
        Number of pool rows. Cost: O(size) in time and memory.
    """
    since = np.full((2, size), cycles + 1)
    for known, (rows, row_cycles) in zip(since, (first, second), strict=True):
        known[rows] = row_cycles
    return np.bincount(since.max(axis=0), minlength=cycles + 2)[: cycles + 1].cumsum()
