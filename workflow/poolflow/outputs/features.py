"""Penultimate layer, (N, D); that of the first member of an ensemble."""

from poolflow.training import networks


def output(members, images, precision):
    """Return (n, D)."""
    return networks.features(members[0], images, precision)
