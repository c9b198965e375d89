"""Class probabilities of passes with dropout, (N, passes, classes)."""

import torch
from torch import nn

from poolflow.training import networks

VARIANT = "dropout"


def output(members, images, precision, passes):
    """Return (n, passes, classes); batch normalisation keeps its statistics."""
    return torch.stack(list(stochastic(members[0], images, precision, passes)), dim=1)


def stochastic(network, images, precision, count):
    """Yield the softmax of `count` passes with dropout; batch normalisation keeps its statistics."""
    dropouts = [module for module in network.modules() if isinstance(module, nn.modules.dropout._DropoutNd)]
    for module in dropouts:
        module.train()
    only_in_head = set(dropouts) <= set(network.head.modules())
    for repetition in range(count):
        if not repetition or not only_in_head:
            hidden = networks.features(network, images, precision)
        yield network.head(hidden).softmax(dim=1)
