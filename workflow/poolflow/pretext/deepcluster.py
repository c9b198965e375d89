"""DeepCluster: learn to predict clusters, which are made anew from what was learned.

Caron, Bojanowski, Joulin & Douze (2018); proposed for initial pools by Chandra et al. (2021), section 3.2.2. Before
each epoch k-means makes `many` clusters of the network's features (PCA to 256 dimensions at most, whitened, unit
length), the last layer is drawn anew, and an epoch learns to predict the clusters from cropped and mirrored images,
each cluster drawn alike. The clusters of the pool are those of a last k-means, as many as there are classes unless set.
Cost: epochs (N passes forward and backward, N forward, and k-means).
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from poolflow import networks, views
from poolflow.stage import StageError

NETWORK = True
GIVES = ("features", "clusters")
DIMENSIONS = 256


class Model(nn.Module):
    """The study's network and a linear layer over the clusters."""

    def __init__(self, network, width, many):
        super().__init__()
        self.network = network
        self.clusters = nn.Linear(width, many)

    def forward(self, images, precision="float32"):
        """Return logits (n, many) for normalised images."""
        return self.clusters(networks.features(self.network, images, precision))


def build(task, many: int | None = None):
    """Return the untrained model for `many` clusters; ten for each class unless set, as in the paper."""
    many = 10 * task.classes if many is None else many
    if not 1 < many <= task.size:
        raise StageError(f"many: found {many}, expected 2..{task.size}, the number of images in the pool")
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
        found, _ = k_means(features(task, model), model.clusters.out_features, task.rng(f"epoch {epoch}"), starts=1)
        targets = torch.from_numpy(found).long().to(task.device)
        model.train()
        model.clusters.reset_parameters()
        for values in updates.state.get(model.clusters.weight, {}), updates.state.get(model.clusters.bias, {}):
            for value in values.values():
                if torch.is_tensor(value):
                    value.zero_()  # what the optimizer remembers belongs to the layer that was
        sizes = np.bincount(found)
        weights = torch.from_numpy(1 / sizes[found])
        drawn = torch.multinomial(weights, task.size, replacement=True)
        for rows in task.batches(batch_size, drawn):
            images = views.view(views.unit(task.images[rows]), crop=crop, flip=flip, blur=0, jitter=0, grey=0)
            loss = F.cross_entropy(model(task.standard(images), precision), targets[rows])
            task.update(loss, updates, learning_rate)


def k_means(features, count, rng, starts):
    """Return the cluster of each row (N,) of whitened features, and the features so prepared."""
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA

    dimensions = min(DIMENSIONS, *features.shape)
    seed = int(rng.integers(2**31))
    reduced = PCA(dimensions, whiten=True, svd_solver="covariance_eigh").fit_transform(features)
    reduced /= np.maximum(np.linalg.norm(reduced, axis=1, keepdims=True), 1e-12)
    return KMeans(count, n_init=starts, random_state=seed).fit_predict(reduced), reduced


def features(task, model):
    """Return the network's penultimate layer, (N, D)."""
    return task.map(
        lambda images, rows: networks.features(model.network, task.normalise(images), "float32"), what="features"
    )


def clusters(task, model, clusters: int | None = None, starts: int = 3):
    """Return the cluster of each image (N,) and the number of clusters."""
    count = task.classes if clusters is None else clusters
    if not 0 < count <= task.size:
        raise StageError(f"clusters: found {count}, expected 1..{task.size}, the number of images in the pool")
    return k_means(features(task, model), count, task.rng("clusters"), starts)[0], count
