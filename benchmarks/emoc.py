"""What EMOC costs, against one training pass over the same images.

    python benchmarks/emoc.py [N]

A LeNet on N images (default 10,000) of 28 x 28 pixels, on one thread: one forward and backward pass over all of them in
batches of 64; the scores of all of them by the parameters of the last layer (closed form, 1,000 references); and, from
100 images, by all parameters (forward mode, 100 references).
"""

import sys
import time

import numpy as np
import torch
import torch.nn.functional as F
from common import machine

from poolflow.strategies import emoc
from poolflow.training import networks

SHAPE = (28, 28, 1)


def seconds(function):
    """Return the CPU seconds of a call."""
    start = time.process_time()
    function()
    return time.process_time() - start


def main(count):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    images = np.random.default_rng(0).integers(0, 256, (count, *SHAPE), dtype=np.uint8)
    network = networks.build({"network": "lenet", "parameters": {}}, SHAPE, 10)
    normalise = networks.Normalise(np.array([0.13]), np.array([0.31]), torch.device("cpu"))
    labels = torch.randint(10, (count,))

    def trained():
        for rows in torch.randperm(count).split(64):
            network.zero_grad()
            F.cross_entropy(network(normalise(torch.from_numpy(images[rows.numpy()]))), labels[rows]).backward()

    trained()
    once = seconds(trained)
    network.eval()
    last = seconds(lambda: emoc.of_last_layer(network, normalise, images[:1000], images, False))
    some = seconds(lambda: emoc.of_all_layers(network, normalise, images[:100], images[:100], False)) * count / 100
    print(machine())
    print(f"one forward and backward pass over {count:,} images: {once:.2f} CPU s")
    print(f"EMOC, last layer, 1,000 references: {last:.2f} CPU s, {last / once:.2f} passes")
    print(f"EMOC, all layers, 100 references, from 100 images: {some:.0f} CPU s, {some / once:.0f} passes")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
