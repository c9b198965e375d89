"""VAAL: ask for the images that a discriminator finds least like the labelled ones, in the latent space of a VAE.

Sinha, Ebrahimi & Darrell (2019), Variational adversarial active learning, section 3. On labelled and unlabelled images
x a VAE with q(z|x) minimises E |x - x'|^2 / 2 + beta KL(q(z|x) || N(0, 1)), plus `adversary` times the cross-entropy of
the discriminator's answers on the mean of q with "labelled" for all; the discriminator minimises that with the truth.
Score: 1 - p(labelled). Cost: epochs x N / 64 updates of both networks in the acquisition, on `device`.

The defaults are the paper's for CIFAR (latent 32, Adam at 5e-4, 64 images of each kind in a batch) except for width=128
and 100,000 updates, epochs=128 for 50,000 images: those take a GPU. An epoch has each unlabelled image once. The
encoder halves the image to 2 or 3 pixels, in convolutions of `width`, 2, 4, 8, 8, ... `width` channels, the decoder
mirrors it, the discriminator has five linear layers, as in the authors' code. That code sums the KL term over the batch
but averages the squares over all pixels, which leaves nothing in z, and one version lets the VAE help the
discriminator; neither is done here. Pixels are standardised, and both kinds are normalised as one batch.
"""

import math
from itertools import pairwise

import numpy as np
import torch
from torch import nn
from tqdm import trange

from poolflow.job import StageError
from poolflow.kernels import top_k
from poolflow.training import networks
from poolflow.training.device import device as device_of

INPUTS = ("images",)
NEEDS = ("images",)
HIDDEN = 512  # units of the discriminator
BOUNDS = {
    "latent": ">= 1",
    "width": ">= 1",
    "epochs": ">= 1",
    "batch_size": ">= 1",
    "learning_rate": "> 0",
    "beta": ">= 0",
    "adversary": ">= 0",
    "device": "auto or cpu or cuda",
}


def select(
    pool,
    budget,
    rng,
    latent=32,
    width=32,
    epochs=20,
    batch_size=64,
    learning_rate=5e-4,
    beta=1.0,
    adversary=1.0,
    device="cpu",
):
    """Return the `budget` unlabelled rows of the highest score, best first."""
    if pool.images.ndim == 2:
        raise StageError("vaal takes images, but the data set holds features")
    if min(pool.images.shape[1:3]) < 2:
        raise StageError("vaal takes images of 2 x 2 at least, found {} x {}".format(*pool.images.shape[1:3]))
    device = device_of({"threads": torch.get_num_threads(), "device": device, "deterministic": True})
    torch.manual_seed(int(rng.integers(2**63)))
    images, labeled = torch.from_numpy(pool.images).to(device), torch.from_numpy(pool.labeled)
    normalise = networks.Normalise(*moments(pool.images), device)
    vae = VAE(images.shape[1:], latent, width).to(device)
    discriminator = make_discriminator(latent).to(device)
    optimizers = [torch.optim.Adam(module.parameters(), learning_rate, fused=True) for module in (vae, discriminator)]
    for epoch in trange(1, epochs + 1, desc="vaal", mininterval=5):
        total = torch.zeros((), device=device)
        order = torch.from_numpy(pool.unlabeled)[torch.randperm(len(pool.unlabeled))]
        for batch in order.split(batch_size):
            known = labeled[torch.randint(len(labeled), (len(batch),))]
            inputs = normalise(images[torch.cat([known, batch]).to(device)])
            total += update(vae, discriminator, optimizers, inputs, beta, adversary)
        if not torch.isfinite(total):
            raise StageError(f"the loss of vaal became {total.item()} in epoch {epoch}; lower the learning_rate")
    return top_k(scores(vae.eval(), discriminator, images, normalise), budget, rows=pool.unlabeled)


def moments(images):
    """Return mean and standard deviation of each channel, as fractions; the latter is 1/255 at least."""
    shares = np.stack([np.bincount(channel.ravel(), minlength=256) for channel in np.moveaxis(images, -1, 0)])
    shares = shares / images[..., 0].size
    values = np.arange(256) / 255
    mean = shares @ values
    return mean, np.sqrt((shares @ values**2 - mean**2).clip(min=1 / 255**2))


def update(vae, discriminator, optimizers, inputs, beta, adversary):
    """Do one update of each network on a batch, its first half labelled, and return the sum of their losses."""
    truth = torch.zeros(len(inputs), device=inputs.device)
    truth[: len(inputs) // 2] = 1
    mean, log_variance = vae.encode(inputs)
    decoded = vae.decode(mean + torch.randn_like(mean) * (log_variance / 2).exp())
    answers = discriminator(mean).squeeze(1)
    deceived = 2 * nn.functional.binary_cross_entropy_with_logits(answers, torch.ones_like(truth))
    loss = elbo_loss(inputs, decoded, mean, log_variance, beta) + adversary * deceived
    apply(optimizers[0], loss)
    with torch.no_grad():
        mean, _ = vae.encode(inputs)
    seen = 2 * nn.functional.binary_cross_entropy_with_logits(discriminator(mean).squeeze(1), truth)
    apply(optimizers[1], seen)
    return (loss + seen).detach()


def apply(optimizer, loss):
    """Update what the optimizer has, and nothing else."""
    optimizer.zero_grad()
    loss.backward(inputs=optimizer.param_groups[0]["params"])
    optimizer.step()


def elbo_loss(inputs, decoded, mean, log_variance, beta):
    """Return the negative ELBO in nats, without its constant: a mean over labelled images and one over unlabelled."""
    squares = (inputs - decoded).square().flatten(1).sum(1) / 2
    divergence = (mean.square() + log_variance.exp() - 1 - log_variance).sum(1) / 2
    return 2 * (squares + beta * divergence).mean()


@torch.inference_mode()
def scores(vae, discriminator, images, normalise):
    """Return 1 - p(labelled) of every image, (N,) float64."""
    size = networks.evaluation_batch(images.shape[1:])
    answers = [discriminator(vae.encode(normalise(batch))[0]) for batch in images.split(size)]
    return torch.cat(answers).squeeze(1).double().neg().sigmoid().cpu().numpy()


class VAE(nn.Module):
    """The paper's convolutional autoencoder, for images of any size; for 32 x 32 and width=128 that of its code."""

    def __init__(self, shape, latent, width):
        super().__init__()
        self.height, self.width, channels = shape
        halvings = max(1, int(math.log2(min(shape[:2]))) - 1)
        widths = [width * min(2**i, 8) for i in range(halvings)]
        small = [side >> halvings for side in shape[:2]]
        layers = [layer for pair in pairwise([channels, *widths]) for layer in convolution(nn.Conv2d, *pair)]
        self.encoder = nn.Sequential(*layers, nn.Flatten())
        self.mean, self.log_variance = (nn.Linear(widths[-1] * math.prod(small), latent) for _ in range(2))
        large = [2 * math.ceil(side / 2**halvings) for side in shape[:2]]
        layers = [layer for pair in pairwise(widths[::-1]) for layer in convolution(nn.ConvTranspose2d, *pair)]
        self.decoder = nn.Sequential(
            nn.Linear(latent, widths[-1] * math.prod(large)),
            nn.Unflatten(1, (widths[-1], *large)),
            *layers,
            nn.Conv2d(width, channels, 1),
        )

    def encode(self, inputs):
        """Return mean and logarithm of the variance of q(z|x), each (n, latent)."""
        hidden = self.encoder(inputs)
        return self.mean(hidden), self.log_variance(hidden)

    def decode(self, latents):
        """Return images (n, channels, height, width)."""
        return self.decoder(latents)[:, :, : self.height, : self.width]


def convolution(kind, channels, width):
    """Return a convolution that halves, or transposed doubles, the sides; batch normalisation brings the bias."""
    layer = kind(channels, width, 4, stride=2, padding=1, bias=False)
    nn.init.kaiming_normal_(layer.weight)
    return layer, nn.BatchNorm2d(width), nn.ReLU()


def make_discriminator(latent):
    """Return five linear layers, from a latent mean to the logit of p(labelled)."""
    layers = [nn.Linear(*pair) for pair in pairwise([latent, HIDDEN, HIDDEN, HIDDEN, HIDDEN, 1])]
    for layer in layers:
        nn.init.kaiming_normal_(layer.weight)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(*[part for layer in layers for part in (layer, nn.ReLU())][:-1])
