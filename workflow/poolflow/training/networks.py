"""What everything that runs a network shares: building it, feeding it, and what it gives."""

import math
from importlib import import_module

import torch

from poolflow.job import StageError

EVALUATION_BATCH = 1000  # images of 32 x 32 at most


def evaluation_batch(shape):
    """Return how many inputs of that shape to run through a network at once: fewer of larger ones."""
    return max(1, min(EVALUATION_BATCH, EVALUATION_BATCH * 32 * 32 // math.prod(shape[:2])))


def build(config, shape, classes):
    """Return the configured network for images (height, width, channels) or features (D,), drawn from torch's seed.

    Where there is a setting `variant`, it is that variant of the network, see `poolflow.variants`. Its `below_head`
    are the names of the parameters of all layers but the last.

    Raises
    ------
    StageError
        When the network does not take such inputs.
    """
    plugin = import_module(f"poolflow.networks.{config['network']}")
    kind = "features" if len(shape) == 1 else "images"
    taken = getattr(plugin, "INPUTS", ("images",))
    if kind not in taken:
        raise StageError(f"{config['network']} takes {' or '.join(taken)}, but the data set holds {kind}")
    least = getattr(plugin, "MIN_SIDE", 1)
    if kind == "images" and min(shape[:2]) < least:
        raise StageError(
            f"{config['network']} takes images of {least} x {least} at least, found {shape[0]} x {shape[1]}"
        )
    network = plugin.Network(shape, classes, **config["parameters"])
    network.below_head = [name for name, _ in network.named_parameters() if not name.startswith("head.")]
    if "variant" in config:
        variant = import_module(f"poolflow.variants.{config['variant']}")
        if hasattr(variant, "attach"):
            variant.attach(network, getattr(plugin, "TAPS", ()), shape)
    return network.to(memory_format=torch.channels_last)


class Normalise:
    """Map what a data set holds to the inputs of a network on a device, with zero mean and unit deviation.

    Images uint8 (n, height, width, channels) become float32 (n, channels, height, width), features (n, D) float32 stay
    in their shape.
    """

    def __init__(self, mean, std, device):
        self.device = device
        self.mean, self.std = (torch.tensor(values, dtype=torch.float32, device=device) for values in (mean, std))
        self.scale = torch.tensor(1 / (255 * std), dtype=torch.float32, device=device).view(1, -1, 1, 1)
        self.shift = torch.tensor(-mean / std, dtype=torch.float32, device=device).view(1, -1, 1, 1)

    def __call__(self, inputs):
        inputs = inputs.to(self.device)
        if inputs.ndim == 2:
            return (inputs - self.mean) / self.std
        inputs = inputs.permute(0, 3, 1, 2)
        # Not .float(): of one channel it keeps strides that the convolutions take for another, slower layout.
        out = torch.empty(inputs.shape, device=self.device, memory_format=torch.channels_last)
        return out.copy_(inputs).mul_(self.scale).add_(self.shift)


def features(network, inputs, precision):
    """Return the penultimate layer (n, D) as float32; in `precision` "bfloat16" the layers before it work in that."""
    with torch.autocast(inputs.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        return network.features(inputs).float()


def logits(network, inputs, precision):
    """Return the logits (n, classes) as float32; the last layer always works in float32, so that scores do not tie."""
    return network.head(features(network, inputs, precision))


def width(network, shape):
    """Return the number of features of a network for images (height, width, channels) or features (D,)."""
    with torch.no_grad():
        return network.eval().features(blank(shape)).shape[1]


def blank(shape):
    """Return one normalised input of zeros, for images (height, width, channels) or features (D,)."""
    return torch.zeros(1, *((shape[2], *shape[:2]) if len(shape) == 3 else shape))
