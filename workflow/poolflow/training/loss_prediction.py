"""A network that predicts its own loss: the loss-prediction module of Yoo & Kweon (2019) and its ranking loss."""

import torch
from torch import nn

WIDTH = 128  # units of each branch
MARGIN = 1.0  # of the ranking loss
WEIGHT = 1.0  # of the ranking loss beside the network's own
STOP = 0.6  # part of the training after which the module no longer moves the network: 120 of 200 epochs


class LossPrediction(nn.Module):
    """A branch of `WIDTH` ReLU units for each tapped layer, and a linear layer from all of them to one number."""

    def __init__(self, widths):
        super().__init__()
        self.branches = nn.ModuleList(nn.Sequential(nn.Linear(width, WIDTH), nn.ReLU()) for width in widths)
        self.last = nn.Linear(WIDTH * len(widths), 1)

    def forward(self, tapped):
        """Return the predicted losses (n,) for the averages of the tapped layers, [(n, width), ...]."""
        hidden = [branch(values) for branch, values in zip(self.branches, tapped, strict=True)]
        return self.last(torch.cat(hidden, dim=1)).squeeze(1)


def average(output):
    """Return the average of a layer's output over all positions, (n, channels) float32."""
    return output.flatten(2).float().mean(2) if output.ndim > 2 else output.float()


def ranking_loss(predicted, losses):
    """Return the mean over pairs of max(0, margin - sign(l_i - l_j) (p_i - p_j)), for predictions p of losses l.

    The first image of the batch is compared with the last, the second with the last but one, and so on: in the order
    of a random batch, n // 2 pairs drawn at random. That in the middle of an odd batch has no partner, and a pair of
    equal losses moves nothing.
    """
    pairs = len(losses) // 2
    sign = torch.sign(losses - losses.flip(0))[:pairs].detach()
    difference = (predicted - predicted.flip(0))[:pairs]
    return (MARGIN - sign * difference).clamp(min=0).sum() / max(1, pairs)
