"""The labelled set of a cycle, `labeled.h5`."""

from poolflow.data import store


def write_labeled(path, job, rows, scores, cycles):
    """Write `labeled.h5`: pool rows in the order acquired, with the cycle and the score of each."""
    with store.create(path, job) as file:
        file["indices"] = rows
        file["cycle"] = cycles
        file["score"] = scores


def read_labeled(path):
    """Return (indices int64, scores float64, cycles int64) of a `labeled.h5`."""
    with store.read(path) as file:
        return tuple(file[name][:] for name in ("indices", "score", "cycle"))
