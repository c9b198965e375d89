"""The network of the last cycle, for a query strategy that needs `model`."""

import numpy as np
import torch

from poolflow.data import store
from poolflow.data.candidates import inputs
from poolflow.training import networks, weights
from poolflow.training.device import device


def network_of(pool):
    """Return the last cycle's network, in eval mode on the configured device, and what normalises images for it.

    Of an ensemble it is the first member. `pool` is a `poolflow.selection.Pool` whose plugin needs `model`.
    """
    path, dataset, learner = pool.model
    where = device(learner)
    with store.read(dataset) as file:
        shape = inputs(file, "train").shape[1:]
        normalise = networks.Normalise(file.attrs["mean"], file.attrs["std"], where)
    network = networks.build(learner, shape, pool.classes).to(where).eval()
    weights.give(network, weights.load(path, where)[0], path)
    return network, normalise


@torch.inference_mode()
def last_layer(network, normalise, images):
    """Return the inputs of the last layer (n, D) float32 and the softmax outputs (n, C) float32 of some images."""
    features, probs = [], []
    for part in torch.from_numpy(images).split(networks.evaluation_batch(images.shape[1:])):
        found = network.features(normalise(part))
        features.append(found.float().cpu().numpy())
        probs.append(network.head(found).softmax(dim=1).float().cpu().numpy())
    return np.concatenate(features), np.concatenate(probs)


def head_of(network):
    """Return the weights (C, D) and biases (C,) of a network's last layer, float64."""
    last = [module for module in network.head.modules() if isinstance(module, torch.nn.Linear)][-1]
    return last.weight.detach().double().cpu().numpy(), last.bias.detach().double().cpu().numpy()
