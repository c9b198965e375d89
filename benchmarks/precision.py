"""Accuracy and time of training in bfloat16 beside float32.

    python benchmarks/precision.py DATA_ROOT [SEEDS [EPOCHS]]

ResNet-18 on 1,000 MNIST labels (the same labels and initial weights for both precisions), one thread; the accuracy is
that of the first 5,000 test images.
"""

import sys
import time
from types import SimpleNamespace

import numpy as np
import torch
from common import NETWORK, TRAINING, machine
from torchvision.datasets import MNIST

from poolflow.learners.supervised import Learner
from poolflow.training import networks
from poolflow.training.device import device as device_of
from poolflow.training.evaluation import evaluate
from poolflow.training.loop import fit

MEAN, STD = np.array([0.1307]), np.array([0.3081])
LABELS, TEST = 1000, 5000


def main(root, seeds=5, epochs=6):
    print(machine())
    device = device_of(NETWORK)
    data, test = MNIST(root), MNIST(root, train=False)
    normalise = networks.Normalise(MEAN, STD, device)
    config = TRAINING | {"epochs": epochs, "optimizer": "sgd", "learning_rate": 0.05, "schedule": "cosine", "crop": 2}
    found = {"float32": [], "bfloat16": []}
    for seed in range(seeds):
        rows = np.random.default_rng(seed).choice(len(data), LABELS, replace=False)
        for precision, results in found.items():
            torch.manual_seed(seed)
            network = networks.build(NETWORK | {"network": "resnet18"}, (28, 28, 1), 10)
            start = time.process_time()
            images, labels = data.data[rows][..., None], data.targets[rows]
            examples = SimpleNamespace(images=images, labels=labels, new=None, normalise=normalise)
            fit(network, Learner(examples, config), config | {"precision": precision})
            seconds = time.process_time() - start
            values = evaluate([network], normalise, test.data[:TEST, ..., None], test.targets[:TEST], precision)
            results.append((values["accuracy"], values["loss"], seconds))
            print(f"  seed {seed}, {precision}: {100 * values['accuracy']:.2f} %, {seconds:.0f} CPU s", flush=True)
    for precision, results in found.items():
        accuracy, loss, seconds = np.array(results).T
        print(
            f"{precision:9} accuracy {100 * accuracy.mean():.2f} ± {100 * accuracy.std(ddof=1):.2f} %, loss "
            f"{loss.mean():.3f} ± {loss.std(ddof=1):.3f}, {np.median(seconds):.0f} CPU s a training"
        )


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
