"""The 13-layer convolutional network of semi-supervised learning: nine convolutions, three poolings, one linear.

Laine & Aila (2017), appendix A, table 5, the network of Simeoni et al. (2020): 128 features, 3,121,802 parameters for
10 classes of RGB images. The input gets Gaussian noise while training; dropout follows the first two poolings only.
Initialised as in Laine's code: He et al. (2015), with gain 1 in the linear layer. Batch normalisation as in Simeoni's
code, not mean-only; weight normalisation, which both have, is left out: it changes nothing before batch normalisation,
and the last layer is plain here.
"""

import torch
from torch import nn

INPUTS = ("images",)
MIN_SIDE = 12
TAPS = ("layers.9", "layers.20")
BOUNDS = {"noise": ">= 0", "dropout": ">= 0, < 1"}


class Network(nn.Module):
    """`noise` is a standard deviation; Simeoni's code has noise=0 and normalise=True: features of length 1."""

    def __init__(self, shape, classes, noise=0.15, normalise=False, dropout=0.5):
        super().__init__()
        self.noise, self.normalise = noise, normalise
        self.layers = nn.Sequential(
            *convolution(shape[2], 128, 3, padding=1),
            *convolution(128, 128, 3, padding=1),
            *convolution(128, 128, 3, padding=1),
            nn.MaxPool2d(2),
            nn.Dropout(dropout),
            *convolution(128, 256, 3, padding=1),
            *convolution(256, 256, 3, padding=1),
            *convolution(256, 256, 3, padding=1),
            nn.MaxPool2d(2),
            nn.Dropout(dropout),
            *convolution(256, 512, 3, padding=0),
            *convolution(512, 256, 1, padding=0),
            *convolution(256, 128, 1, padding=0),
        )
        self.head = nn.Linear(128, classes)
        nn.init.kaiming_normal_(self.head.weight, nonlinearity="linear")
        nn.init.zeros_(self.head.bias)

    def before_dropout(self, images: torch.Tensor) -> torch.Tensor:
        """Return the first three convolutions, pooled, (n, 128, height / 2, width / 2)."""
        if self.training and self.noise:
            images = images + self.noise * torch.randn_like(images)
        return self.layers[:10](images)

    def after_dropout(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the average of the last convolution over all positions, (n, 128)."""
        features = self.layers[10:](hidden).mean((2, 3))
        return nn.functional.normalize(features) if self.normalise else features

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Return the average of the last convolution over all positions, (n, 128)."""
        return self.after_dropout(self.before_dropout(images))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits, (n, classes)."""
        return self.head(self.features(images))


def convolution(channels, width, side, padding):
    """Return the layers of one row of the table; batch normalisation brings the bias."""
    layer = nn.Conv2d(channels, width, side, padding=padding, bias=False)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return layer, nn.BatchNorm2d(width), nn.LeakyReLU(0.1, inplace=True)
