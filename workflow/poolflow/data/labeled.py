"""The labelled set of a cycle, `labeled.h5`."""

import numpy as np

from poolflow.data import store
from poolflow.job import Damaged


def read_labeled(path, size, count=None):
    """Return (rows int64, scores float64, cycles int64), each (L,), of a `labeled.h5` over a pool of `size` rows.

    Raises
    ------
    Damaged
        Unless it has a row or more, `count` of them where that is given, each once and in the pool, with a finite score
        and a cycle each, from 0 on and in order.
    """
    with store.read(path) as file:
        rows, scores, cycles = (file[name][()] for name in ("indices", "score", "cycle"))
    shapes = {rows.shape, scores.shape, cycles.shape}
    if len(shapes) > 1 or rows.ndim != 1 or rows.dtype.kind not in "iu" or cycles.dtype.kind not in "iu":
        found = f"rows {rows.dtype} {rows.shape}, scores {scores.shape}, cycles {cycles.dtype} {cycles.shape}"
        raise Damaged(f"{path}: found {found}, expected integers (L,) with a score and a cycle each")
    if not len(rows):
        raise Damaged(f"{path}: found no rows, expected some")
    check_rows(path, rows, size)
    if len(np.unique(rows)) < len(rows):
        raise Damaged(f"{path}: found {len(rows) - len(np.unique(rows))} rows twice, expected each once")
    if scores.dtype.kind not in "iuf" or not np.isfinite(scores).all():
        raise Damaged(f"{path}: found scores that are not finite numbers")
    if cycles[0] != 0 or not np.isin(np.diff(cycles), (0, 1)).all():
        raise Damaged(f"{path}: found cycles {cycles[0]}..{cycles[-1]}, expected 0, 1, ... in order")
    if count is not None and len(rows) != count:
        raise Damaged(f"{path}: found {len(rows)} rows, expected {count} as in the other initial pools")
    return rows, scores, cycles


def check_rows(path, rows, size):
    """Raise Damaged unless the rows that a file names are in 0..size-1."""
    outside = rows[(rows < 0) | (rows >= size)]
    if len(outside):
        raise Damaged(f"{path}: found row {outside[0]}, expected 0..{size - 1}")
