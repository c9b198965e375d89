"""ResNet-18 for small images, with a projection to fewer features before the last layer.

He, Zhang, Ren & Sun (2016), table 1, with their stem for CIFAR (section 4.2: 3x3, stride 1, no pooling), in the form
of Chandra et al. (2021), section 6.1: after the average over all positions dropout, 0.5 for DBAL alone, then a linear
projection to 128 features (512 for Tiny ImageNet), then the last layer. 11,235,786 parameters for 10 classes of RGB
images; 11,173,962 without the projection. torchvision's blocks, initialised as there: He et al. (2015). Chandra's code
differs from the paper: it pools after the stem and projects by two linear layers, 512 - ReLU - 128, with no dropout.
"""

import torch
from torch import nn
from torchvision.models.resnet import BasicBlock, ResNet

INPUTS = ("images",)
MIN_SIDE = 8
TAPS = ("body.3", "body.4", "body.5")
BOUNDS = {"projection": ">= 0", "dropout": ">= 0, < 1"}


class Network(nn.Module):
    """The penultimate layer has `projection` features, 0 for 512 without a projection; dropout comes before it."""

    def __init__(self, shape, classes, projection=128, dropout=0.0):
        super().__init__()
        resnet = ResNet(BasicBlock, [2, 2, 2, 2], num_classes=1)
        stem = nn.Conv2d(shape[2], 64, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(stem.weight, mode="fan_out", nonlinearity="relu")
        blocks = (resnet.layer1, resnet.layer2, resnet.layer3, resnet.layer4)
        self.body = nn.Sequential(stem, resnet.bn1, resnet.relu, *blocks)
        self.dropout = nn.Dropout(dropout)
        self.projection = nn.Linear(512, projection) if projection else nn.Identity()
        self.head = nn.Linear(projection or 512, classes)

    def before_dropout(self, images: torch.Tensor) -> torch.Tensor:
        """Return the average over all positions, (n, 512)."""
        return self.body(images).mean((2, 3))

    def after_dropout(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the projection of these averages, (n, projection)."""
        return self.projection(self.dropout(hidden))

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Return the projected average over all positions, (n, projection)."""
        return self.after_dropout(self.before_dropout(images))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits, (n, classes)."""
        return self.head(self.features(images))
