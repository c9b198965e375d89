"""Pairs of random views of images per second, beside PIL images and torchvision's transforms in a DataLoader.

    python benchmarks/views.py

The views of SimCLR (Chen et al. 2020) with the values of Van Gansbeke et al. (2020): a random resized crop, mirror,
colour jitter, greyscale and Gaussian blur. The usual loop is the one of published code: a data set that makes a PIL
image of a row and returns two views of it as tensors, collated by a DataLoader in the same process or in a worker.
All take turns, five times each; each process has one thread. poolflow's time includes the step from uint8. Images are
smooth random ones from a fixed generator.
"""

import time

import numpy as np
import torch
import torch.nn.functional as F
from common import machine
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from poolflow import views

CASES = {"28 x 28, grey": (28, 1), "32 x 32, colour": (32, 3)}
COUNT, BATCH = 4096, 512


class Pairs(Dataset):
    """Two views of each image as published code makes them."""

    def __init__(self, images):
        side, channels = images.shape[1], images.shape[3]
        self.images, self.mode = images, "RGB" if channels == 3 else "L"
        self.transform = transforms.Compose(
            [
                transforms.RandomResizedCrop(side, scale=(0.2, 1.0)),
                transforms.RandomHorizontalFlip(),
                transforms.RandomApply([transforms.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
                *([transforms.RandomGrayscale(p=0.2)] if channels == 3 else []),
                transforms.RandomApply([transforms.GaussianBlur(3, (0.1, 2.0))], p=0.5),
                transforms.ToTensor(),
            ]
        )

    def __len__(self):
        return len(self.images)

    def __getitem__(self, row):
        image = Image.fromarray(self.images[row] if self.mode == "RGB" else self.images[row, :, :, 0])
        return self.transform(image), self.transform(image)


def plain(images, workers):
    """Make the pairs as published code does."""
    for _ in DataLoader(Pairs(images), BATCH, shuffle=True, num_workers=workers):
        pass


def ours(images):
    """Make the pairs with poolflow."""
    for rows in torch.randperm(len(images)).split(BATCH):
        batch = views.unit(images.index_select(0, rows))
        views.view(batch)
        views.view(batch)


def compare(name):
    """Print a row of the Markdown table: images per second of each loop, and poolflow's over each of the others."""
    side, channels = CASES[name]
    noise = torch.rand((COUNT, channels, 8, 8), generator=torch.Generator().manual_seed(0))
    smooth = F.interpolate(noise, (side, side), mode="bilinear")
    images = (smooth * 255).round().byte().permute(0, 2, 3, 1).contiguous()
    array = images.numpy()
    runs = {
        "PIL": lambda: plain(array, 0),
        "worker": lambda: plain(array, 1),
        "poolflow": lambda: ours(images),
    }
    seconds = {run: [] for run in runs}
    for _ in range(6):
        for run, action in runs.items():
            start = time.perf_counter()
            action()
            seconds[run].append(time.perf_counter() - start)
    rates = {run: COUNT / np.median(values[1:]) for run, values in seconds.items()}  # the first turn warms up
    pil, worker, own = rates.values()
    print(f"| {name} | {pil:,.0f} | {worker:,.0f} | {own:,.0f} | {own / pil:.0f}x | {own / worker:.0f}x |", flush=True)


def main():
    torch.set_num_threads(1)
    print(machine())
    print(
        "| two views of images/s | PIL + DataLoader | PIL + DataLoader, a worker | poolflow | ratio | ratio, a worker |"
    )
    print("|---|---|---|---|---|---|")
    for name in CASES:
        compare(name)


if __name__ == "__main__":
    main()
