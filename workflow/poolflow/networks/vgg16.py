"""VGG-16 with batch normalisation, for images of 32 x 32: thirteen convolutions and one hidden layer of 512 units.

Simonyan & Zisserman (2015), table 1, column D, the network of Geifman & El-Yaniv (2017), section 4.2, in the form for
CIFAR of Geifman's code: 14,991,946 parameters for 10 classes of RGB images. Larger images leave more positions after
the five poolings, and the hidden layer sees them all. torchvision's convolutions, initialised as there: He et al.
(2015), and a standard deviation of 0.01 in the linear layers. Geifman's code normalises after the ReLU instead of
before it, and also drops between convolutions (0.3 and 0.4).
"""

import torch
from torch import nn
from torchvision.models.vgg import cfgs, make_layers

INPUTS = ("images",)
MIN_SIDE = 32
TAPS = ("features.0.6", "features.0.13", "features.0.23", "features.0.33", "features.0.43")
BOUNDS = {"hidden": ">= 1", "dropout": ">= 0, < 1"}


class Network(nn.Module):
    """The penultimate layer has `hidden` units; dropout before it and after it."""

    def __init__(self, shape, classes, hidden=512, dropout=0.5):
        super().__init__()
        height, width, channels = shape
        convolutions = make_layers(cfgs["D"], batch_norm=True)
        convolutions[0] = nn.Conv2d(channels, 64, 3, padding=1)
        self.features = nn.Sequential(
            convolutions,
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(512 * (height // 32) * (width // 32), hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(inplace=True),
        )
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(hidden, classes))
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(layer.bias)
            elif isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=0.01)
                nn.init.zeros_(layer.bias)

    def before_dropout(self, images: torch.Tensor) -> torch.Tensor:
        """Return what the convolutions leave, (n, 512 x positions)."""
        return self.features[:2](images)

    def after_dropout(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the hidden layer, (n, hidden)."""
        return self.features[2:](hidden)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits, (n, classes)."""
        return self.head(self.features(images))
