"""SimCLR: recognise two views of the same image among views of other images.

Chen, Kornblith, Norouzi & Hinton (2020), the NT-Xent loss: of the 2 n views in a batch each is to find the other view
of its image, -log(exp(s / T) / sum over the 2 n - 1 others of exp(s' / T)), s the cosine of their projections. The
network's penultimate layer is followed by a projection of one hidden layer. Score: the mean of that loss between an
image and variants of it, each altered in one way: mirrored, blurred, jittered, grey (Chandra et al. 2021, section 5.2;
grey images have no fourth). The others in its denominator are `negatives` images drawn once, the same for every image;
the published code has none, so that its loss is 0 for every image. High are images that many others resemble (on MNIST
the ones); an image unlike all others is easily told from them and scores low. Cost: 2 epochs N passes forward and
backward.
"""

import torch
import torch.nn.functional as F
from torch import nn

from poolflow.job import StageError
from poolflow.training import networks, views

NETWORK = True
GIVES = ("features", "scores")
JITTER = 0.4  # of the jittered variant, as in training
BOUNDS = {
    "projection": ">= 1",
    "epochs": ">= 1",
    "batch_size": ">= 2",
    "temperature": "> 0",
    "optimizer": "adam or adamw or lars or sgd",
    "learning_rate": "> 0",
    "weight_decay": ">= 0",
    "schedule": "constant or cosine",
    "crop": ">= 0, <= 1",
    "blur": ">= 0, <= 1",
    "jitter": ">= 0",
    "grey": ">= 0, <= 1",
    "precision": "float32 or bfloat16",
    "layer": "penultimate or projection",
    "negatives": ">= 1, < pool",
}


class Model(nn.Module):
    """The study's network and a projection head."""

    def __init__(self, network, width, size):
        super().__init__()
        self.network = network
        self.projection = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, size))

    def forward(self, images, precision="float32"):
        """Return the penultimate layer (n, width) and unit-length projections (n, size) of normalised images."""
        hidden = networks.features(self.network, images, precision)
        return hidden, F.normalize(self.projection(hidden))


def build(task, projection=128):
    """Return the untrained model, with a projection to that many dimensions."""
    network = task.network()
    return Model(network, networks.width(network, task.shape), projection)


def train(
    task,
    model,
    epochs=20,
    batch_size=256,
    temperature=0.1,
    optimizer="sgd",
    learning_rate=0.2,
    weight_decay=1e-4,
    schedule="cosine",
    crop=0.2,
    flip=True,
    blur=0.5,
    jitter=0.4,
    grey=0.2,
    precision="float32",
):
    """Train on two views of each image in a batch; `crop` to `grey` are those of `poolflow.training.views.view`."""
    updates = task.optimizer(model.parameters(), optimizer, learning_rate, weight_decay)
    for _ in task.epochs(epochs, model=model, optimizer=updates):
        for rows in task.batches(batch_size):
            twice = views.unit(task.images[rows]).repeat(2, 1, 1, 1)
            twice = views.view(twice, crop=crop, flip=flip, blur=blur, jitter=jitter, grey=grey)
            _, projected = model(task.standard(twice), precision)
            task.update(nt_xent(projected, temperature), updates, learning_rate, schedule)


def nt_xent(projected, temperature):
    """Return the mean NT-Xent loss of unit vectors (2 n, D), of which i and n + i belong to one image."""
    scaled = projected / temperature
    first, second = projected.chunk(2)
    positive = (first * second).sum() / temperature  # of both, that of each pair
    all_others = (scaled @ projected.T).fill_diagonal_(-torch.inf).logsumexp(dim=1)
    return all_others.mean() - 2 * positive / len(projected)


def features(task, model, layer="penultimate"):
    """Return the features of each image as unit vectors (N, D), of the network's penultimate layer or the projection.

    The published code clusters the projection.
    """

    def unit(images, rows):
        hidden, projected = model(task.normalise(images))
        return F.normalize(hidden) if layer == "penultimate" else projected

    return task.map(unit, what="features")


def scores(task, model, negatives=512, temperature=0.1):
    """Return each image's mean contrastive loss (N,) in nats."""
    if negatives >= task.size:
        raise StageError(f"negatives: found {negatives}, expected less than the {task.size} images in the pool")
    # One more than needed: an image that is among them has the others, every other image those but the last.
    drawn = task.rng("negatives").choice(task.size, negatives + 1, replace=False)
    others = torch.from_numpy(task.map(lambda images, rows: model(task.normalise(images))[1], torch.from_numpy(drawn)))
    others, drawn = others.to(task.device), torch.from_numpy(drawn).to(task.device)
    factors = views.draw_factors(task.size, JITTER)  # an image has the same in whatever batch it comes

    def losses(images, rows):
        images = views.unit(images)
        _, anchor = model(task.standard(images))
        hidden = rows[:, None] == drawn
        hidden[:, -1] |= ~hidden.any(dim=1)
        against = (anchor @ others.T / temperature).masked_fill(hidden, -torch.inf)
        jittered = views.changed(images, factors=factors[:, rows.cpu()])
        variants = [views.mirrored(images), views.blurred(images), jittered]
        variants += [views.greyed(images)] if images.shape[1] == 3 else []
        total = 0
        for variant in variants:
            _, variant = model(task.standard(variant))
            positive = (anchor * variant).sum(dim=1, keepdim=True) / temperature
            total = total - torch.cat([positive, against], dim=1).log_softmax(dim=1)[:, 0]
        return (total / len(variants)).double()

    return task.map(losses, what="scores")
