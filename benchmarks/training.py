"""Images per second of one training cycle, beside the usual loop over PIL images and a DataLoader.

    python benchmarks/training.py DATA_ROOT [LABELS [EPOCHS]]

MNIST, LeNet, batch 64, Adam, one thread, the same network, images and augmentation; the loop and ours take turns, five
times each, first with a random crop (4 pixels of padding), then without augmentation. A cycle is what the train stage
does: training, then the accuracy on the 10,000 test images. The loop is the one of the published active-learning
code: a data set that makes a PIL image of a row, crops it and turns it into a normalised tensor, collated by a
DataLoader in the training process, or in one worker process.
"""

import sys
import time

import numpy as np
import torch
import torch.nn.functional as F
from common import NETWORK, ROOT, TRAINING, machine
from torch.utils.data import DataLoader, Subset
from torchvision import transforms
from torchvision.datasets import MNIST

sys.path.insert(0, str(ROOT / "workflow"))

from poolflow import networks, train
from poolflow.models import lenet

MEAN, STD = 0.1307, 0.3081


def plain(data, rows, test, epochs, workers):
    """Train and test as the published code does; return the seconds of both."""
    network = lenet.Network((28, 28, 1), 10)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.001)
    loader = DataLoader(Subset(data, rows), batch_size=64, shuffle=True, num_workers=workers)
    start = time.perf_counter()
    network.train()
    for _ in range(epochs):
        for images, labels in loader:
            optimizer.zero_grad()
            F.cross_entropy(network(images), labels).backward()
            optimizer.step()
    trained = time.perf_counter()
    network.eval()
    correct = 0
    with torch.inference_mode():
        for images, labels in DataLoader(test, batch_size=train.EVALUATION_BATCH, num_workers=workers):
            correct += (network(images).argmax(dim=1) == labels).sum().item()
    return trained - start, time.perf_counter() - trained


def ours(images, labels, test_images, test_labels, epochs, crop):
    """Train and test as poolflow's train stage does; return the seconds of both."""
    network = networks.build(NETWORK, (28, 28, 1), 10)
    normalise = networks.Normalise(np.array([MEAN]), np.array([STD]), torch.device("cpu"))
    start = time.perf_counter()
    train.fit(network, normalise, images, labels, TRAINING | {"epochs": epochs, "crop": crop})
    trained = time.perf_counter()
    train.evaluate(network, normalise, test_images, test_labels)
    return trained - start, time.perf_counter() - trained


def compare(root, labels, epochs, crop):
    """Print the rates of all loops with `crop` pixels of padding."""
    crops = [transforms.RandomCrop(28, padding=crop)] if crop else []
    still = [transforms.ToTensor(), transforms.Normalize((MEAN,), (STD,))]
    data = MNIST(root, transform=transforms.Compose(crops + still))
    test = MNIST(root, train=False, transform=transforms.Compose(still))
    rows = np.random.default_rng(0).choice(len(data), labels, replace=False)
    tensors = (data.data[rows][..., None], data.targets[rows], test.data[..., None], test.targets)
    runs = {
        "PIL + DataLoader": lambda: plain(data, rows, test, epochs, 0),
        "PIL + DataLoader, 1 worker": lambda: plain(data, rows, test, epochs, 1),
        "poolflow": lambda: ours(*tensors, epochs, crop),
    }
    seconds = {name: [] for name in runs}
    for turn in range(6):
        for name, run in runs.items():
            torch.manual_seed(turn)
            seconds[name].append(run())
    print(f"random crop with {crop} pixels of padding" if crop else "no augmentation")
    rates = {}
    for name, values in seconds.items():
        training, testing = np.array(values[1:]).T  # the first turn warms up
        training_rate = labels * epochs / np.median(training)
        rates[name] = training_rate, (labels * epochs + len(test)) / np.median(training + testing)
    for name, (training, cycle) in rates.items():
        print(
            f"  {name:27} training {training:6.0f} images/s (poolflow {rates['poolflow'][0] / training:.2f}x), "
            f"cycle {cycle:6.0f} images/s (poolflow {rates['poolflow'][1] / cycle:.2f}x)"
        )


def main(root, labels=600, epochs=50):
    print(machine())
    networks.device(NETWORK)
    for crop in (4, 0):
        compare(root, labels, epochs, crop)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
