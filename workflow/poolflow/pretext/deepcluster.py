"""DeepCluster: learn to predict clusters that are made anew from the features learned so far.

Caron, Bojanowski, Joulin & Douze (2018); proposed for initial pools by Chandra et al. (2021), section 3.2.2. Before
each epoch k-means makes `many` clusters of the network's features as unit vectors; in the epoch the network learns to
predict them from crops and mirror images, each cluster drawn alike. The logits are 10 times the cosines with the
clusters' centres, as in the second version (Caron et al. 2020, appendix D), which needs no new last layer for each
epoch. The clusters of the pool are those of a last k-means, as many as there are classes unless set. Cost: epochs (N
passes forward and backward, N forward, and k-means).
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from poolflow.job import StageError
from poolflow.training import networks, views

NETWORK = True
GIVES = ("features", "clusters")
LENGTH = 10.0  # of the features before the last layer
BOUNDS = {
    "many": ">= 2, <= pool",
    "epochs": ">= 1",
    "batch_size": ">= 2",
    "optimizer": "adam or adamw or lars or sgd",
    "learning_rate": "> 0",
    "weight_decay": ">= 0",
    "crop": ">= 0, <= 1",
    "precision": "float32 or bfloat16",
    "clusters": ">= 1, <= pool",
    "starts": ">= 1",
}


class Model(nn.Module):
    """The study's network and the centres of the clusters (many, D)."""

    def __init__(self, network, width, many):
        super().__init__()
        self.network = network
        self.register_buffer("centres", torch.zeros(many, width))

    def forward(self, images, precision="float32"):
        """Return the features of normalised images as unit vectors, (n, D)."""
        return F.normalize(networks.features(self.network, images, precision))


def build(task, many: int | None = None):
    """Return the untrained model for `many` clusters; ten for each class unless set, as in the paper."""
    many = 10 * task.classes if many is None else many
    if many > task.size:
        raise StageError(f"many: found {many}, expected at most the {task.size} images in the pool")
    network = task.network()
    return Model(network, networks.width(network, task.shape), many)


def train(
    task,
    model,
    epochs=20,
    batch_size=256,
    optimizer="sgd",
    learning_rate=0.05,
    weight_decay=1e-5,
    crop=0.2,
    flip=True,
    precision="float32",
):
    """Train, with new clusters before each epoch."""
    updates = task.optimizer(model.parameters(), optimizer, learning_rate, weight_decay)
    for epoch in task.epochs(epochs, model=model, optimizer=updates):
        model.eval()
        found, centres = k_means(task, model, len(model.centres), task.rng(f"epoch {epoch}"), starts=1)
        model.train()
        model.centres = F.normalize(torch.from_numpy(centres)).to(task.device)
        targets, sizes = torch.from_numpy(found).long().to(task.device), np.bincount(found)
        drawn = torch.multinomial(torch.from_numpy(1 / sizes[found]), task.size, replacement=True)
        for rows in task.batches(batch_size, drawn):
            images = views.view(views.unit(task.images[rows]), crop=crop, flip=flip, blur=0, jitter=0, grey=0)
            logits = LENGTH * model(task.standard(images), precision) @ model.centres.T
            task.update(F.cross_entropy(logits, targets[rows]), updates, learning_rate)


def k_means(task, model, count, rng, starts):
    """Return the cluster of each image (N,) and the centres (count, D) of k-means on the features."""
    from sklearn.cluster import KMeans

    found = features(task, model)
    if not np.isfinite(found).all():
        raise StageError("the features are not finite any more; lower the learning_rate or the weight_decay")
    fitted = KMeans(count, n_init=starts, random_state=int(rng.integers(2**31))).fit(found)
    return fitted.labels_, fitted.cluster_centers_


def features(task, model):
    """Return the network's penultimate layer as unit vectors, (N, D)."""
    return task.map(lambda images, rows: model(task.normalise(images)), what="features")


def clusters(task, model, clusters: int | None = None, starts: int = 3):
    """Return the cluster of each image (N,) and the number of clusters."""
    count = task.classes if clusters is None else clusters
    if count > task.size:
        raise StageError(f"clusters: found {count}, expected at most the {task.size} images in the pool")
    return k_means(task, model, count, task.rng("clusters"), starts)[0], count
