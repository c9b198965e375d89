"""VAE: reconstruct an image from a few normally distributed latent variables.

Kingma & Welling (2014), the vanilla VAE that Chandra et al. (2021), sections 5.2 and 6.3, train: four convolutions each
way, loss mean((x - x')^2) + `kl` / N KL(q(z|x) || N(0, 1)) with pixels in -1..1, the code's weight of the KL term;
Adam, a part of the images held out and the epoch with their lowest loss kept. Score: the error of the reconstruction
from the mean of q, mean((x - x')^2), as in the paper, or with score="total" the whole loss, as in the code. Cost:
epochs N passes forward and backward of the autoencoder.
"""

import torch
from torch import nn

from poolflow.job import StageError
from poolflow.pretext._autoencoder import Autoencoder, signed, square
from poolflow.task import Best

GIVES = ("features", "scores")
BOUNDS = {
    "width": ">= 1",
    "latent": ">= 1",
    "epochs": ">= 1",
    "batch_size": ">= 2",
    "optimizer": "adam or adamw or lars or sgd",
    "learning_rate": "> 0",
    "weight_decay": ">= 0",
    "kl": ">= 0",
    "validation": "> 0, < 1",
    "score": "reconstruction or total",
}


class Model(nn.Module):
    """The autoencoder and, from its code, mean and logarithm of the variance of q."""

    def __init__(self, shape, width, latent):
        super().__init__()
        self.autoencoder = Autoencoder(shape, width, latent)
        self.autoencoder.encoder[-1] = nn.Linear(self.autoencoder.inner, 2 * latent)

    def forward(self, images, draw):
        """Return reconstructions, from a `draw` of q or from its mean, that mean (n, latent) and the KL terms (n,)."""
        mean, log_variance = self.autoencoder.encode(images).chunk(2, dim=1)
        noise = torch.randn(mean.shape).to(mean.device) * (log_variance / 2).exp() if draw else 0
        kl = (mean.square() + log_variance.exp() - 1 - log_variance).sum(1) / 2
        return self.autoencoder.decode(mean + noise), mean, kl


def build(task, width=16, latent=64):
    """Return the untrained model; the paper's has width=32 and latent=128."""
    return Model(task.shape, width, latent)


def train(
    task,
    model,
    epochs=20,
    batch_size=200,
    optimizer="adam",
    learning_rate=1e-3,
    weight_decay=0.0,
    kl=128.0,
    validation=0.05,
):
    """Train on all but the held-out images and keep the epoch with the lowest loss on those."""
    held_out = round(validation * task.size)
    if not 0 < held_out <= task.size - 2:
        raise StageError(f"validation: found {validation}, expected a part that leaves images to train and to validate")
    order = torch.from_numpy(task.rng("validation").permutation(task.size))
    updates, best = task.optimizer(model.parameters(), optimizer, learning_rate, weight_decay), Best(model)
    for _ in task.epochs(epochs, model=model, optimizer=updates, best=best):
        for rows in task.batches(batch_size, order[held_out:]):
            task.update(losses(model, task.images[rows], kl / task.size, draw=True).mean(), updates, learning_rate)
        model.eval()
        best.offer(float(total(task, model, kl, order[:held_out]).mean()))
    best.restore()


def losses(model, images, kl, draw):
    """Return the loss of each of some uint8 images, (n,)."""
    images = signed(images)
    rebuilt, _, divergence = model(images, draw)
    return square(images - rebuilt) + kl * divergence


def total(task, model, kl, rows=None):
    """Return the loss of images, all of them or `rows`, from the mean of q: (n,) array."""
    return task.map(lambda images, _: losses(model, images, kl / task.size, draw=False).double(), rows, what="losses")


def features(task, model):
    """Return the mean of q, (N, latent)."""
    return task.map(lambda images, rows: model(signed(images), draw=False)[1], what="features")


def scores(task, model, score="reconstruction", kl=128.0):
    """Return each image's loss (N,): its "reconstruction" error, or the "total"."""
    return total(task, model, kl if score == "total" else 0.0)
