"""Penultimate layer, (N, D), of an ensemble that of the first member."""

from poolflow.training import networks


def output(members, images, precision):
    """Return (n, D)."""
    return networks.features(members[0], images, precision)
