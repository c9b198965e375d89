"""Class probabilities: the softmax, (N, classes); the mean over the members of an ensemble."""

import torch

from poolflow.training import networks


def output(members, images, precision):
    """Return (n, classes)."""
    logits = [networks.logits(network, images, precision) for network in members]
    return torch.stack([values.softmax(dim=1) for values in logits], dim=1).mean(dim=1)
