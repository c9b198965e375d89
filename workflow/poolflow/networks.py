"""What training and embedding share: building a network, and feeding it uint8 images."""

import os
from importlib import import_module

import torch

from poolflow.stage import StageError


def device(config):
    """Return the torch device that the config asks for ("auto": a GPU where there is one) and fix the threads."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS refuses to be deterministic
    torch.set_num_threads(config["threads"])
    torch.set_deterministic_debug_mode("error")  # use_deterministic_algorithms would import torch.compile, 0.8 s
    torch.utils.deterministic.fill_uninitialized_memory = False  # a check for bugs, not needed to be deterministic
    if config["device"] == "cuda" and not torch.cuda.is_available():
        raise StageError("device: found 'cuda', but torch sees no CUDA GPU; write auto or cpu")
    if config["device"] == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(config["device"])


def build(config, shape, classes):
    """Return the configured network for images of `shape` (height, width, channels), initialised by torch's seed."""
    plugin = import_module(f"poolflow.models.{config['network']}")
    least = getattr(plugin, "MIN_SIDE", 1)
    if min(shape[:2]) < least:
        raise StageError(
            f"{config['network']} takes images of {least} x {least} at least, found {shape[0]} x {shape[1]}"
        )
    network = plugin.Network(shape, classes, **config["parameters"])
    return network.to(memory_format=torch.channels_last)


class Normalise:
    """Map uint8 (n, height, width, channels) to normalised float32 (n, channels, height, width) on a device."""

    def __init__(self, mean, std, device):
        self.device = device
        self.scale = torch.tensor(1 / (255 * std), dtype=torch.float32, device=device).view(1, -1, 1, 1)
        self.shift = torch.tensor(-mean / std, dtype=torch.float32, device=device).view(1, -1, 1, 1)

    def __call__(self, images):
        images = images.to(self.device).permute(0, 3, 1, 2)
        # Not .float(): of one channel it keeps strides that the convolutions take for another, slower layout.
        out = torch.empty(images.shape, device=self.device, memory_format=torch.channels_last)
        return out.copy_(images).mul_(self.scale).add_(self.shift)
