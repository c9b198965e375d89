"""What the two convolutional autoencoders share."""

from itertools import pairwise

import torch.nn.functional as F
from torch import nn

HALVINGS = 4


class Autoencoder(nn.Module):
    """Four convolutions that halve the image, in `width`, 2, 4 and 8 `width` channels, and their mirror image.

    Kernels of 3 x 3, stride 2, batch normalisation and LeakyReLU, as in the code that Chandra et al. (2021) name
    (AntixK's vanilla VAE); a last convolution and tanh give pixels in -1..1. Images are padded with black to multiples
    of 16 pixels, and what was padded is cut off again.
    """

    def __init__(self, shape, width, outputs):
        super().__init__()
        self.height, self.side, channels = shape
        self.grid = tuple(-(-length // 2**HALVINGS) for length in (self.height, self.side))
        widths = [channels, *(width * 2**step for step in range(HALVINGS))]
        self.inner = widths[-1] * self.grid[0] * self.grid[1]
        down = [block(nn.Conv2d(a, b, 3, 2, 1), b) for a, b in pairwise(widths)]
        up = [
            block(nn.ConvTranspose2d(b, a, 3, 2, 1, output_padding=1), a)
            for a, b in zip([width, *widths[1:-1]], widths[1:], strict=True)
        ][::-1]
        self.encoder = nn.Sequential(*down, nn.Flatten(), nn.Linear(self.inner, outputs))
        self.start = nn.Sequential(nn.Linear(outputs, self.inner), nn.Unflatten(1, (widths[-1], *self.grid)))
        self.decoder = nn.Sequential(*up, nn.Conv2d(width, channels, 3, padding=1), nn.Tanh())

    def encode(self, images):
        """Return the code (n, outputs) of images (n, channels, height, width) in -1..1."""
        below, right = (cells * 2**HALVINGS for cells in self.grid)
        return self.encoder(F.pad(images, (0, right - self.side, 0, below - self.height), value=-1.0))

    def decode(self, code):
        """Return images (n, channels, height, width) in -1..1."""
        return self.decoder(self.start(code))[:, :, : self.height, : self.side]


def block(convolution, channels):
    """Return a convolution with batch normalisation and LeakyReLU."""
    return nn.Sequential(convolution, nn.BatchNorm2d(channels), nn.LeakyReLU())


def signed(images):
    """Return uint8 images (n, height, width, channels) as float32 (n, channels, height, width) in -1..1."""
    return images.permute(0, 3, 1, 2).float() / 127.5 - 1


def square(error):
    """Return the mean of squares of each image, (n,)."""
    return error.square().flatten(1).mean(1)
