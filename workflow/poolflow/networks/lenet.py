"""LeNet-like: two convolutions, one fully connected hidden layer, softmax.

LeCun, Bottou, Bengio & Haffner (1998), in its widths: 6 and 16 kernels of 5 x 5, each followed by 2x2 pooling, and
120 hidden units, here with max pooling and ReLU and without the second hidden layer, the form that Geifman & El-Yaniv
(2017), section 4.1, give: 34,622 parameters on MNIST.
"""

import torch
from torch import nn

INPUTS = ("images",)
MIN_SIDE = 16
TAPS = ("features.2", "features.5")
BOUNDS = {"first": ">= 1", "second": ">= 1", "hidden": ">= 1", "dropout": ">= 0, < 1"}


class Network(nn.Module):
    """The penultimate layer has `hidden` units; Caffe's wider LeNet is first=20, second=50, hidden=500."""

    def __init__(self, shape, classes, first=6, second=16, hidden=120, dropout=0.0):
        super().__init__()
        height, width = (((side - 4) // 2 - 4) // 2 for side in shape[:2])
        self.features = nn.Sequential(
            nn.Conv2d(shape[2], first, 5),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Conv2d(first, second, 5),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(second * height * width, hidden),
            nn.ReLU(),
        )
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(hidden, classes))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits, (n, classes)."""
        return self.head(self.features(images))
