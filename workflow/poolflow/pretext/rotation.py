"""Rotation: recognise by how many quarter turns an image was rotated.

Gidaris, Singh & Komodakis (2018); proposed for initial pools by Chandra et al. (2021), section 3.2.1, and not run
there. The network's penultimate layer is followed by a linear layer with four outputs; a batch holds each image in all
four positions. Score: the mean cross-entropy over the four. Cost: 4 epochs N passes forward and backward.
"""

import torch
import torch.nn.functional as F
from torch import nn

from poolflow.job import StageError
from poolflow.training import networks

NETWORK = True
GIVES = ("features", "scores")
BOUNDS = {
    "epochs": ">= 1",
    "batch_size": ">= 2",
    "optimizer": "adam or adamw or lars or sgd",
    "learning_rate": "> 0",
    "weight_decay": ">= 0",
    "schedule": "constant or cosine",
    "precision": "float32 or bfloat16",
}


class Model(nn.Module):
    """The study's network with four outputs."""

    def __init__(self, network, width):
        super().__init__()
        self.network = network
        self.turns = nn.Linear(width, 4)

    def forward(self, images, precision="float32"):
        """Return logits (n, 4) for normalised images."""
        return self.turns(networks.features(self.network, images, precision))


def build(task):
    """Return the untrained model."""
    if task.shape[0] != task.shape[1]:
        raise StageError(f"rotation takes square images, found {task.shape[0]} x {task.shape[1]}")
    network = task.network()
    return Model(network, networks.width(network, task.shape))


def train(
    task,
    model,
    epochs=20,
    batch_size=128,
    optimizer="sgd",
    learning_rate=0.05,
    weight_decay=5e-4,
    schedule="cosine",
    flip=True,
    precision="float32",
):
    """Train on the four rotations of each image of a batch, mirrored or not if `flip`."""
    updates = task.optimizer(model.parameters(), optimizer, learning_rate, weight_decay)
    for _ in task.epochs(epochs, model=model, optimizer=updates):
        for rows in task.batches(batch_size):
            images = task.images[rows]
            if flip:
                mirrored = torch.rand(len(rows)).to(task.device) < 0.5
                images = torch.where(mirrored[:, None, None, None], images.flip(2), images)
            images, turns = four(images)
            loss = F.cross_entropy(model(task.normalise(images), precision), turns)
            task.update(loss, updates, learning_rate, schedule)


def four(images):
    """Return images (4 n, height, width, channels), first all as they are, and their quarter turns (4 n,)."""
    turns = torch.arange(4, device=images.device).repeat_interleave(len(images))
    return torch.cat([images.rot90(turn, (1, 2)) for turn in range(4)]), turns


def features(task, model):
    """Return the network's penultimate layer as unit vectors, (N, D)."""
    return task.map(
        lambda images, rows: F.normalize(networks.features(model.network, task.normalise(images), "float32")),
        what="features",
    )


def scores(task, model):
    """Return each image's mean cross-entropy over the four rotations (N,) in nats."""

    def losses(images, rows):
        turned, turns = four(images)
        loss = F.cross_entropy(model(task.normalise(turned)).double(), turns, reduction="none")
        return loss.view(4, -1).mean(0)

    return task.map(losses, what="scores")
