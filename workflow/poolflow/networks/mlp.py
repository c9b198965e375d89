"""Multilayer perceptron: ReLU hidden layers on the pixels, or on a table of features.

One hidden layer, as in the 2-D example of Geifman & El-Yaniv (2017), section 5, by default of 256 units, as in the
code of Ash et al. (2020), BADGE: 203,530 parameters on MNIST.
"""

import math
from itertools import pairwise

import torch
from torch import nn

INPUTS = ("images", "features")
BOUNDS = {"hidden": ">= 1", "layers": ">= 0", "dropout": ">= 0, < 1"}


class Network(nn.Module):
    """`layers` hidden layers of `hidden` units; dropout only before the last, linear, layer."""

    def __init__(self, shape, classes, hidden=256, layers=1, dropout=0.0):
        super().__init__()
        sizes = [math.prod(shape)] + [hidden] * layers
        hidden_layers = [layer for size in pairwise(sizes) for layer in (nn.Linear(*size), nn.ReLU())]
        self.features = nn.Sequential(nn.Flatten(), *hidden_layers)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(sizes[-1], classes))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return logits, (n, classes)."""
        return self.head(self.features(inputs))
