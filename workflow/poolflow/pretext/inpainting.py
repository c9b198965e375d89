"""Inpainting: reconstruct the hidden middle of an image from its surroundings.

Pathak et al. (2016), context encoders, without the adversarial loss; proposed for initial pools by Chandra et al.
(2021), section 3.2.1, and not run there. The middle square of half the image's sides is set to the mean of the pixels
around it; four convolutions each way rebuild the image, and the loss is the mean squared error of the hidden part, with
pixels in -1..1. Score: that error. Cost: epochs N passes forward and backward of the autoencoder.
"""

from torch import nn

from poolflow.job import StageError
from poolflow.pretext._autoencoder import Autoencoder, signed, square

GIVES = ("features", "scores")
BOUNDS = {
    "width": ">= 1",
    "latent": ">= 1",
    "epochs": ">= 1",
    "batch_size": ">= 2",
    "optimizer": "adam or adamw or lars or sgd",
    "learning_rate": "> 0",
    "weight_decay": ">= 0",
}


class Model(nn.Module):
    """An autoencoder of images whose middle is hidden."""

    def __init__(self, shape, width, latent):
        super().__init__()
        self.autoencoder = Autoencoder(shape, width, latent)
        height, side, _ = shape
        self.rows, self.columns = (slice(length // 4, length // 4 + length // 2) for length in (height, side))

    def forward(self, images):
        """Return the error of the hidden part (n,) and the code (n, latent) of uint8 images."""
        images = signed(images)
        inside = (slice(None), slice(None), self.rows, self.columns)
        middle, hidden = images[inside], images.clone()
        hidden[inside] = 0
        around = images[0, 0].numel() - middle[0, 0].numel()
        hidden[inside] = hidden.sum((2, 3), keepdim=True) / around
        code = self.autoencoder.encode(hidden)
        return square(self.autoencoder.decode(code)[inside] - middle), code


def build(task, width=16, latent=64):
    """Return the untrained model."""
    if min(task.shape[:2]) < 2:
        raise StageError("inpainting takes images of 2 x 2 at least, found {} x {}".format(*task.shape[:2]))
    return Model(task.shape, width, latent)


def train(task, model, epochs=20, batch_size=200, optimizer="adam", learning_rate=1e-3, weight_decay=0.0):
    """Train on all images."""
    updates = task.optimizer(model.parameters(), optimizer, learning_rate, weight_decay)
    for _ in task.epochs(epochs, model=model, optimizer=updates):
        for rows in task.batches(batch_size):
            task.update(model(task.images[rows])[0].mean(), updates, learning_rate)


def features(task, model):
    """Return the code of each image without its middle, (N, latent)."""
    return task.map(lambda images, rows: model(images)[1], what="features")


def scores(task, model):
    """Return each image's mean squared error of the hidden part, (N,)."""
    return task.map(lambda images, rows: model(images)[0].double(), what="scores")
