"""The labelled set of a cycle, `labeled.h5`."""

from poolflow.data import store


def read_labeled(path):
    """Return (indices int64, scores float64, cycles int64) of a `labeled.h5`."""
    with store.read(path) as file:
        return tuple(file[name][:] for name in ("indices", "score", "cycle"))
