"""What learning from unlabelled images costs.

    python benchmarks/learners.py [N ...]

The graph and the diffusion of label propagation for N images (default 5,000, 20,000 and 60,000) of 128 features in 10
classes: CPU seconds and peak memory. Then the views of FixMatch, images a CPU second of 32 x 32 pixels: whole batches
here, against one image at a time with PIL and torchvision in a DataLoader, which is how public code does it.
"""

import resource
import sys
import time

import numpy as np
import torch
from common import machine
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from poolflow.kernels import propagation
from poolflow.training import views
from poolflow.training.augmentation import augment

BATCH, BATCHES = 448, 8
WEAK = {"crop": 4, "padding": "reflect", "flip": True, "randaugment": 0}


def propagated(count):
    """Print what a graph and its diffusion cost."""
    rng = np.random.default_rng(0)
    centres, classes = 3 * rng.normal(size=(10, 128)), np.arange(count) % 10
    features = (rng.normal(size=(count, 128)) + centres[classes]).astype(np.float32)
    times = [time.process_time()]
    graph = propagation.graph(features)
    times.append(time.process_time())
    propagation.propagate(graph, np.arange(100), classes[:100], 10)
    times.append(time.process_time())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    built, spread = np.diff(times)
    print(f"{count:6} images: graph {built:5.1f} CPU s, diffusion {spread:4.1f} CPU s, peak {peak:.2f} GB")


class OneByOne(Dataset):
    """Weak and strong views of images, one image at a time."""

    def __init__(self, images):
        self.images = images
        weak = [transforms.RandomHorizontalFlip(), transforms.RandomCrop(32, 4, padding_mode="reflect")]
        last = [transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.25] * 3)]
        self.weak = transforms.Compose([*weak, *last])
        self.strong = transforms.Compose([*weak, transforms.RandAugment(2, 10), *last, transforms.RandomErasing(1.0)])

    def __len__(self):
        return len(self.images)

    def __getitem__(self, row):
        image = Image.fromarray(self.images[row])
        return self.weak(image), self.strong(image)


def per_second(run):
    """Return images a CPU second, after a first batch."""
    begin, seen = None, 0
    for size in run():
        if begin is None:
            begin = time.process_time()
        else:
            seen += size
    return seen / (time.process_time() - begin)


def main():
    """Print both."""
    torch.set_num_threads(1)
    print(machine())
    for count in map(int, sys.argv[1:] or ("5000", "20000", "60000")):
        propagated(count)
    images = np.random.default_rng(0).integers(0, 256, (BATCH * (BATCHES + 1), 32, 32, 3)).astype(np.uint8)
    tensors = torch.from_numpy(images)

    def together():
        for part in tensors.split(BATCH):
            augment(part, WEAK)
            views.strong(views.unit(part)).mul_(255).round_().to(torch.uint8)
            yield len(part)

    def apart():
        for weak, _ in DataLoader(OneByOne(images), BATCH):
            yield len(weak)

    ours, theirs = per_second(together), per_second(apart)
    print(f"views: {ours:.0f} images a CPU second, {theirs:.0f} one by one: {ours / theirs:.1f} times as many")


if __name__ == "__main__":
    main()
