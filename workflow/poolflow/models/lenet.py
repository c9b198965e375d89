"""LeNet-like: two convolutions, one fully connected hidden layer, softmax.

LeCun et al. (1998) in the widths of Caffe's example, which "LeNet" mostly means since (20 and 50 kernels of 5 x 5,
each followed by 2x2 max pooling, 500 hidden ReLU units): 431,080 parameters on MNIST. Geifman & El-Yaniv (2017),
section 4.1, use a network of this form.
"""

import torch
from torch import nn

MIN_SIDE = 16


class Network(nn.Module):
    """The penultimate layer has `hidden` units."""

    def __init__(self, shape, classes, hidden=500):
        super().__init__()
        height, side, channels = (shape[0] - 4) // 2, (shape[1] - 4) // 2, shape[2]
        height, side = (height - 4) // 2, (side - 4) // 2
        self.features = nn.Sequential(
            nn.Conv2d(channels, 20, 5),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Conv2d(20, 50, 5),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(50 * height * side, hidden),
            nn.ReLU(),
        )
        self.head = nn.Linear(hidden, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits, (n, classes)."""
        return self.head(self.features(images))
