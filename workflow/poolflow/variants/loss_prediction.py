"""Loss prediction: a module beside the network learns to predict the network's loss on an image.

Yoo & Kweon (2019), Learning loss for active learning, sections 3.2 and 3.3. It reads the layers that the network's TAPS
name and the penultimate one.
"""

import torch
from torch import nn

from poolflow.training import networks

PAIRS = True  # compares the images of a mini-batch
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


def attach(network, taps, shape):
    """Give an untrained network for inputs of a shape the module, as `loss_prediction`, and the names of its `taps`."""
    network.taps = taps
    with torch.no_grad():
        _, tapped = tap(network.eval(), networks.blank(shape), "float32")
    network.train().loss_prediction = LossPrediction([values.shape[1] for values in tapped])


def tap(network, inputs, precision):
    """Return the penultimate layer (n, D), and what the module reads: [(n, width), ...] as float32."""
    tapped = []
    hooks = [
        network.get_submodule(name).register_forward_hook(lambda _, __, output: tapped.append(average(output)))
        for name in network.taps
    ]
    hidden = networks.features(network, inputs, precision)
    for hook in hooks:
        hook.remove()
    return hidden, [*tapped, hidden]


def loss(network, losses_of, precision, step, total):
    """Return the loss of a mini-batch at update `step` of `total`: the learner's, and the module's ranking loss.

    After the part STOP of the updates the module goes on learning, and the network learns from the learner's alone.
    """
    tapped = []

    def forward(inputs):
        hidden, tapped[:] = tap(network, inputs, precision)
        return network.head(hidden)

    losses = losses_of(forward)
    predicted = network.loss_prediction([values.detach() for values in tapped] if step >= STOP * total else tapped)
    return losses.mean() + WEIGHT * ranking_loss(predicted, losses)
