"""Class probabilities of each member of an ensemble, (N, members, classes)."""

import torch

from poolflow.training import networks

VARIANT = "ensemble"


def output(members, images, precision):
    """Return (n, members, classes)."""
    return torch.stack([networks.logits(network, images, precision).softmax(dim=1) for network in members], dim=1)
