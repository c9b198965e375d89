"""SCAN: clusters on which an image agrees with its nearest neighbours, then sharpened by its own surest answers.

Van Gansbeke et al. (2020), on the network that another task (SimCLR) has trained and the `neighbours` nearest images by
the cosine of its features. First phase: minimise -log <p(x), p(x')> for an image and one of its neighbours, minus
`entropy` times the entropy of the mean of p over the batch, on strongly altered images. Second phase, self-labelling,
of `self_epochs`: images whose probability exceeds `threshold` as they are teach the network their class on strongly
altered images, by a cross-entropy that weighs the classes alike. A small network that is sure of few images loses
clusters in it, so there is none unless set; the papers' recipes have it. The last layer sees unit vectors times 10, not
the bare features, so that networks of any scale start unsure. The cluster of an image is its most probable class. Cost:
2 epochs N passes for the first phase, 2 self_epochs N for the second, O(N^2 D) for the neighbours.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from poolflow.job import StageError
from poolflow.training import networks, views

NETWORK = True
GIVES = ("features", "clusters")
OF = "simclr"
BASE = ("features", "model")
LENGTH = 10.0  # of the features before the last layer: of another scale they would start all in one cluster
BLOCK = 16_000_000  # similarities held at a time
BOUNDS = {
    "clusters": ">= 2, <= pool",
    "epochs": ">= 1",
    "batch_size": ">= 2",
    "neighbours": ">= 1, < pool",
    "entropy": ">= 0",
    "self_epochs": ">= 0",
    "self_batch_size": ">= 2",
    "threshold": ">= 0, < 1",
    "optimizer": "adam or adamw or lars or sgd",
    "learning_rate": "> 0",
    "weight_decay": ">= 0",
    "precision": "float32 or bfloat16",
}


class Model(nn.Module):
    """The study's network and a linear layer over the clusters, which sees its features at one length."""

    def __init__(self, network, width, count):
        super().__init__()
        self.network = network
        self.clusters = nn.Linear(width, count)

    def forward(self, images, precision="float32"):
        """Return logits (n, clusters) for normalised images."""
        return self.clusters(LENGTH * F.normalize(networks.features(self.network, images, precision)))


def build(task, clusters: int | None = None):
    """Return the model with untrained weights; one cluster for each class unless set."""
    count = task.classes if clusters is None else clusters
    if not 1 < count <= task.size:
        raise StageError(f"clusters: found {count}, expected 2..{task.size}, the number of images in the pool")
    network = task.network()
    return Model(network, networks.width(network, task.shape), count)


def train(
    task,
    model,
    epochs=10,
    batch_size=128,
    neighbours=20,
    entropy=5.0,
    self_epochs=0,
    self_batch_size=500,
    threshold=0.99,
    optimizer="adam",
    learning_rate=1e-3,
    weight_decay=1e-4,
    flip=True,
    precision="float32",
):
    """Train both phases, from the weights of the task that this one builds on."""
    if neighbours >= task.size:
        raise StageError(f"neighbours: found {neighbours}, expected less than the {task.size} images in the pool")
    trained = {key.removeprefix("network."): value for key, value in task.base.items() if key.startswith("network.")}
    model.network.load_state_dict(trained)
    nearest = nearest_neighbours(torch.from_numpy(task.features).to(task.device), neighbours)

    def strong(rows):
        return model(task.standard(views.strong(views.unit(task.images[rows]), flip=flip)), precision)

    updates = task.optimizer(model.parameters(), optimizer, learning_rate, weight_decay)
    for _ in task.epochs(epochs, model=model, optimizer=updates):
        for rows in task.batches(batch_size):
            near = nearest[rows, torch.randint(neighbours, (len(rows),)).to(task.device)]
            here, there = strong(torch.cat([rows, near])).chunk(2)
            task.update(scan_loss(here, there, entropy), updates, learning_rate)

    updates = task.optimizer(model.parameters(), optimizer, learning_rate, weight_decay)
    for _ in task.epochs(self_epochs, "self_epochs", model=model, optimizer=updates) if self_epochs else ():
        for rows in task.batches(self_batch_size):
            with torch.no_grad():
                sure, found = model(task.normalise(task.images[rows]), precision).softmax(dim=1).max(dim=1)
            rows, found = rows[sure > threshold], found[sure > threshold]
            if len(rows) > 1:
                counts = torch.bincount(found, minlength=model.clusters.out_features)
                weights = len(found) / counts.clamp(min=1)
                task.update(F.cross_entropy(strong(rows), found, weight=weights), updates, learning_rate)


def nearest_neighbours(features, count):
    """Return the `count` rows of the highest cosine with each of the features (N, D), itself left out: (N, count)."""
    features, rows = F.normalize(features), []
    for block in torch.arange(len(features), device=features.device).split(max(1, BLOCK // len(features))):
        similar = features[block] @ features.T
        similar[torch.arange(len(block), device=features.device), block] = -torch.inf
        rows.append(similar.topk(count).indices)
    return torch.cat(rows)


def scan_loss(here, there, weight):
    """Return the loss of logits (n, clusters) of images and of a neighbour of each."""
    here, there = here.log_softmax(1), there.log_softmax(1)
    agree = (here + there).logsumexp(1)
    log_mean = here.logsumexp(0) - math.log(len(here))  # where p is below the least float its gradient is finite so
    return -agree.mean() + weight * (log_mean.exp() * log_mean).sum()


def features(task, model):
    """Return the network's penultimate layer as unit vectors, (N, D)."""
    return task.map(
        lambda images, rows: F.normalize(networks.features(model.network, task.normalise(images), "float32")),
        what="features",
    )


def clusters(task, model):
    """Return the cluster of each image (N,) and the number of clusters."""
    found = task.map(lambda images, rows: model(task.normalise(images)).argmax(dim=1), what="clusters")
    return found, model.clusters.out_features
