"""Supervised: the network learns from the labelled images alone, by cross-entropy."""

import math

import torch
import torch.nn.functional as F

from poolflow.training import views
from poolflow.training.augmentation import augment, cutout


class Learner:
    """Mini-batches are equal parts of a random order; with `training.replay` a part of each is of older images."""

    def __init__(self, examples, training):
        self.images, self.labels, self.new = examples.images, examples.labels, examples.new
        self.normalise, self.training = examples.normalise, training

    def prepare(self, network):
        """Do nothing: an untrained network, or the last cycle's, is ready."""

    def batches(self, steps):
        """Return the rows of an epoch's `steps` mini-batches, see `draw_batches`."""
        return draw_batches(len(self.images), steps, self.training["replay"], self.new)

    def inputs(self, rows):
        """Return the augmented and normalised images of some rows."""
        images = resized_crop(augment(self.images[rows], self.training), self.training["resized_crop"])
        return cutout(self.normalise(images), self.training["cutout"])

    def losses(self, forward, rows):
        """Return the cross-entropy of each row, (m,) in nats."""
        logits, smoothing = forward(self.inputs(rows)), self.training["label_smoothing"]
        return F.cross_entropy(logits, self.labels[rows], label_smoothing=smoothing, reduction="none")

    def metrics(self):
        """Return no further metrics."""
        return {}


def resized_crop(images, least):
    """Return uint8 images (n, H, W, C), each a random crop of at least that part of its area, resized to the whole.

    As torchvision's RandomResizedCrop on tensors; 0 leaves the images as they are.
    """
    if not least:
        return images
    crops = views.view(views.unit(images), crop=least, flip=False, blur=0, jitter=0, grey=0)
    return crops.mul_(255).round_().to(torch.uint8).permute(0, 2, 3, 1)


def draw_batches(n, steps, replay, new):
    """Return the rows of an epoch's `steps` mini-batches: equal parts of a random order of all n images.

    With `replay`, from the second cycle on, that part of each batch is drawn from the older images and the rest from
    the `new` ones (Kaeding et al. 2016, section 3). A single image comes twice, for batch normalisation.
    """
    if replay and new is not None and not new.all():
        size = math.ceil(n / steps)
        older = min(max(1, round(replay * size)), size - 1) or 1
        groups = ((torch.where(~new)[0], older), (torch.where(new)[0], max(1, size - older)))
        return [torch.cat([rows[torch.randint(len(rows), (k,))] for rows, k in groups]) for _ in range(steps)]
    order = torch.randperm(n)
    return list((order if n > 1 else order.repeat(2)).tensor_split(steps))
