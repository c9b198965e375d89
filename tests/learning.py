"""Training in this process, without a file: images that are easily told apart, and the loop with a plain learner."""

from types import SimpleNamespace

import numpy as np
import torch
from conftest import TRAINING

from poolflow.learners import supervised
from poolflow.training import networks
from poolflow.training.loop import fit

NORMALISE = networks.Normalise(np.array([0.5]), np.array([0.25]), torch.device("cpu"))


def clusters(n=40, classes=4):
    rng = np.random.default_rng(0)
    labels = np.arange(n) % classes
    images = rng.normal(30 + 60 * labels[:, None, None, None], 8, (n, 8, 8, 1)).clip(0, 255).astype(np.uint8)
    return torch.from_numpy(images), torch.from_numpy(labels)


def train(network, images, labels, validation=None, variant=None, normalise=NORMALISE, **changes):
    """Train a network with the learner `supervised`; return the epoch whose weights it keeps."""
    examples = SimpleNamespace(images=images, labels=labels, new=None, normalise=normalise)
    settings = TRAINING | changes
    return fit(network, supervised.Learner(examples, settings), settings, validation, variant)
