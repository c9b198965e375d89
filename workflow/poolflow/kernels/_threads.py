"""Single-threaded BLAS for many small products, whose threads would wait for each other longer than they compute."""

from functools import cache

from threadpoolctl import ThreadpoolController


@cache
def _libraries():
    return ThreadpoolController()  # finding them takes a millisecond


def single():
    """Return a context in which BLAS uses one thread."""
    return _libraries().limit(limits=1, user_api="blas")
