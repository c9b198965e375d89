"""Class probabilities of passes with dropout, (N, passes, classes); in a pass all images lose the same units."""

import torch
from torch import nn

from poolflow.job import StageError
from poolflow.training import networks

VARIANT = "dropout"
# Layers that drop, and over how many axes they do so at once: whole channels, or each number by itself.
DROPS = {"Dropout": 0, "Dropout1d": 1, "Dropout2d": 2, "Dropout3d": 3}


def output(members, images, precision, passes):
    """Return (n, passes, classes); batch normalisation keeps its statistics."""
    return torch.stack(list(stochastic(members[0], images, precision, passes)), dim=1)


def stochastic(network, images, precision, count):
    """Yield the softmax of `count` passes with dropout, each with the same units dropped for all images.

    A mask stands for one draw of the weights (Gal & Ghahramani 2016), which what two images tell about the weights
    together, as BatchBALD asks, has in common. The masks come from torch's generator, one pass after the other: with
    the same seed they are the same for every block of images. What comes before the first dropout runs once.
    """
    dropouts = [module for module in network.modules() if isinstance(module, nn.modules.dropout._DropoutNd)]
    unknown = {type(module).__name__ for module in dropouts} - set(DROPS)
    if unknown:
        known = ", ".join(DROPS)
        raise StageError(f"mc_probs: found a layer {min(unknown)} in the network, expected of those that drop {known}")
    hooks = [module.register_forward_hook(dropped) for module in dropouts]
    try:
        again = after_first_dropout(network, dropouts, images, precision)
        for _ in range(count):
            yield network.head(again()).softmax(dim=1)
    finally:
        for hook in hooks:
            hook.remove()


def dropped(module, inputs, _):
    """Return the input (n, ...) of a layer with one draw of what it drops for all n."""
    (values,) = inputs
    shape, together = values.shape[1:], DROPS[type(module).__name__]
    shape = (*shape[: len(shape) - together], *[1] * together)
    kept = torch.rand(shape) >= module.p  # on the CPU: the same draw on every device
    return values * (kept / (1 - module.p)).to(values)


def after_first_dropout(network, dropouts, images, precision):
    """Return a function that gives the features (n, D) in another pass, with as little as possible run again."""
    if set(dropouts) <= set(network.head.modules()):
        hidden = networks.features(network, images, precision)
        return lambda: hidden
    if not hasattr(network, "before_dropout"):
        return lambda: networks.features(network, images, precision)
    with autocast(images, precision):
        before = network.before_dropout(images)

    def rest():
        with autocast(images, precision):
            return network.after_dropout(before).float()

    return rest


def autocast(images, precision):
    """Return the context in which the layers before the last one run, see `poolflow.training.networks.features`."""
    return torch.autocast(images.device.type, torch.bfloat16, enabled=precision == "bfloat16")
