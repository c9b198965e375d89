"""Softmax regression: one linear layer on the pixels, or on a table of features.

The frozen-feature setting, in which only the last layer of a pretrained network is learned (Zhang et al. 2024,
LabelBench). The penultimate layer is the input itself, flattened: D values, (D + 1) x classes parameters.
"""

import math

import torch
from torch import nn

INPUTS = ("images", "features")
BOUNDS = {"dropout": ">= 0, < 1"}


class Network(nn.Module):
    """`dropout` is of the inputs."""

    def __init__(self, shape, classes, dropout=0.0):
        super().__init__()
        self.features = nn.Flatten()
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(math.prod(shape), classes))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return logits, (n, classes)."""
        return self.head(self.features(inputs))
