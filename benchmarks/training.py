"""Images per second of training, beside the usual loop over PIL images and a DataLoader.

    python benchmarks/training.py [DEVICE]

The same network, images, augmentation, batches and optimizer in each loop; they take turns, five times each. The usual
loop is the one of the published active-learning code: a data set that makes a PIL image of a row, crops and flips it
and turns it into a normalised tensor, collated by a DataLoader in the training process, or in worker processes. On a
CPU each process has one thread; on `cuda` the loop has 8 workers. Images are random pixels: the work is the same.
"""

import sys
import time
from types import SimpleNamespace

import numpy as np
import torch
import torch.nn.functional as F
from common import NETWORK, TRAINING, machine
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from poolflow.learners.supervised import Learner
from poolflow.training import networks
from poolflow.training.device import device as device_of
from poolflow.training.loop import fit

SGD = {"optimizer": "sgd", "learning_rate": 0.025, "nesterov": True, "weight_decay": 0.0003, "batch_size": 128}
SGD |= {"schedule": "cosine", "crop": 4, "flip": True}
# Device: name: network, shape of the images, training settings, number of images, epochs.
CASES = {
    "cpu": {
        "LeNet, 28 x 28, grey": ("lenet", (28, 28, 1), TRAINING, 3000, 5),
        "LeNet, 28 x 28, grey, crop": ("lenet", (28, 28, 1), TRAINING | {"crop": 4}, 3000, 5),
        "LeNet, 32 x 32, colour, crop and flip": ("lenet", (32, 32, 3), TRAINING | SGD, 3000, 5),
        "ResNet-18, 32 x 32, colour, crop and flip": ("resnet18", (32, 32, 3), TRAINING | SGD, 256, 1),
    },
    "cuda": {
        "ResNet-18, 32 x 32, colour, crop and flip": (
            "resnet18",
            (32, 32, 3),
            TRAINING | SGD | {"batch_size": 96},
            5000,
            4,
        ),
    },
}


class Images(Dataset):
    """A data set as published code has it: a PIL image from a row of an array, and its transforms."""

    def __init__(self, images, labels, crop, flip):
        side, channels = images.shape[1], images.shape[3]
        self.images, self.labels, self.mode = images, labels, "RGB" if channels == 3 else "L"
        steps = [transforms.RandomCrop(side, padding=crop)] if crop else []
        steps += [transforms.RandomHorizontalFlip()] if flip else []
        steps += [transforms.ToTensor(), transforms.Normalize((0.5,) * channels, (0.25,) * channels)]
        self.transform = transforms.Compose(steps)

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, row):
        pixels = self.images[row] if self.mode == "RGB" else self.images[row, :, :, 0]
        return self.transform(Image.fromarray(pixels, self.mode)), int(self.labels[row])


def plain(network, data, config, workers, device):
    """Train as the published code does."""
    network = network.to(device, memory_format=torch.contiguous_format)
    settings = {"lr": config["learning_rate"], "weight_decay": config["weight_decay"]}
    if config["optimizer"] == "sgd":
        optimizer = torch.optim.SGD(network.parameters(), momentum=0.9, nesterov=True, **settings)
    else:
        optimizer = torch.optim.Adam(network.parameters(), **settings)
    loader = DataLoader(data, config["batch_size"], shuffle=True, num_workers=workers, pin_memory=device == "cuda")
    network.train()
    for _ in range(config["epochs"]):
        for images, labels in loader:
            optimizer.zero_grad()
            F.cross_entropy(network(images.to(device)), labels.to(device)).backward()
            optimizer.step()


def ours(network, images, labels, config, device):
    """Train as poolflow's train stage does."""
    channels = images.shape[3]
    normalise = networks.Normalise(np.full(channels, 0.5), np.full(channels, 0.25), torch.device(device))
    examples = SimpleNamespace(images=images.to(device), labels=labels.to(device), new=None, normalise=normalise)
    fit(network.to(device), Learner(examples, config), config)


def compare(name, device):
    """Print the rates of all loops for one case, and how many times those of the two usual ones poolflow's are."""
    plugin, shape, config, count, epochs = CASES[device][name]
    config = config | {"epochs": epochs}
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (count, *shape), dtype=np.uint8), rng.integers(0, 10, count)
    data = Images(images, labels, config["crop"], config["flip"])
    tensors = torch.from_numpy(images), torch.from_numpy(labels)

    def build():
        return networks.build(NETWORK | {"network": plugin}, shape, 10)

    workers = 8 if device == "cuda" else 1
    runs = {
        "PIL + DataLoader": lambda: plain(build(), data, config, 0, device),
        f"PIL + DataLoader, workers: {workers}": lambda: plain(build(), data, config, workers, device),
        "poolflow": lambda: ours(build(), *tensors, config, device),
        "poolflow, bfloat16": lambda: ours(build(), *tensors, config | {"precision": "bfloat16"}, device),
    }
    seconds = {run: [] for run in runs}
    for _ in range(6):
        for run, action in runs.items():
            start = time.perf_counter()
            action()
            if device == "cuda":
                torch.cuda.synchronize()
            seconds[run].append(time.perf_counter() - start)
    rates = {run: count * epochs / np.median(values[1:]) for run, values in seconds.items()}  # the first turn warms up
    print(name)
    for run, rate in rates.items():
        others = [rate / rates[other] for other in list(rates)[:2]]
        print(f"  {run:28} {rate:8.0f} images/s   {others[0]:5.2f}x   {others[1]:5.2f}x", flush=True)


def main(device="cpu"):
    print(machine() if device == "cpu" else torch.cuda.get_device_name())
    device_of(NETWORK | {"device": device})
    for name in CASES[device]:
        compare(name, device)


if __name__ == "__main__":
    main(*sys.argv[1:])
