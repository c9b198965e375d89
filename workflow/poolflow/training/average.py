"""The moving average of a network's weights while it is trained."""

import copy
import math

import torch
from torch import nn

from poolflow.training import networks


class Average:
    """A network whose weights are an exponential moving average of those of another one.

    What batch normalisation has seen of the other network's layers says nothing of the layers of this one. So its
    statistics are its own: `settle` recomputes them before it is used (Izmailov et al. 2018, section 3.2).
    """

    def __init__(self, network, decay):
        self.network, self.decay = copy.deepcopy(network), decay

    @torch.no_grad()
    def follow(self, network, step):
        """Move the weights towards those of `network` after its update `step`, from 1; over the first ones a mean."""
        decay = min(self.decay, 1 - 1 / step)
        for old, value in zip(self.network.parameters(), network.parameters(), strict=True):
            old.lerp_(value, 1 - decay)

    @torch.no_grad()
    def settle(self, learner, precision):
        """Recompute the statistics of all batch normalisation over the learner's images and return the network.

        The images are not augmented and nothing is dropped, as when the network is used. Where they do not fit into
        one batch the statistics are the means over the batches, equal parts of a random order that is always the same.
        """
        layers = [module for module in self.network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
        self.network.eval()
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None  # the mean over all batches
            layer.train()
        if layers:
            order = torch.randperm(len(learner.images), generator=torch.Generator().manual_seed(0))
            order = order if len(order) > 1 else order.repeat(2)  # one image alone has no variance
            batches = math.ceil(len(order) / networks.evaluation_batch(learner.images.shape[1:]))
            for rows in order.tensor_split(batches):
                networks.logits(self.network, learner.normalise(learner.images[rows]), precision)
        return self.network.eval()
