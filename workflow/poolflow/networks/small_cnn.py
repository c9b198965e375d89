"""Two convolutions and one hidden layer, for images of about 8 x 8 pixels."""

import torch
from torch import nn

INPUTS = ("images",)
MIN_SIDE = 4
TAPS = ("features.1", "features.4")
BOUNDS = {"width": ">= 1", "hidden": ">= 1", "dropout": ">= 0, < 1"}


class Network(nn.Module):
    """3x3 convolutions of `width` and 2 `width` channels, 2x2 max pooling, `hidden` ReLU units, a linear head."""

    def __init__(self, shape, classes, width=32, hidden=128, dropout=0.0):
        super().__init__()
        height, side, channels = shape
        self.features = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(2 * width * (height // 2) * (side // 2), hidden),
            nn.ReLU(),
        )
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(hidden, classes))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits, (n, classes)."""
        return self.head(self.features(images))
