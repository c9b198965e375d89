"""What a learner learns from in one cycle."""

import numpy as np
import torch

from poolflow.data import store


class Examples:
    """The labelled images, and the other images of the pool without their labels.

    Attributes
    ----------
    images : (n, height, width, channels) uint8 tensor on `device`
        The images that have a label; for a data set of ready features those, (n, D) float32.
    labels : (n,) int64 tensor on `device`
    new : (n,) bool tensor or None
        Which of them the last acquisition asked for; None in cycle 0.
    classes : int
    normalise : poolflow.training.networks.Normalise
        Makes inputs of a network of images.
    unlabeled : (U,) int64 array
        The pool rows without a label, ascending.
    cycle : int
        That of the training; 0 is that of the initial pool.
    last : network in eval mode on `device`, or None
        That of the last cycle, of an ensemble the same member; for a learner with the literal LAST = True.
    learned : bool
        Whether the network has learned from these labels before, so that no training follows.
    device : torch.device
    """

    def __init__(self, images, labels, new, normalise, candidates, dataset, rows, cycle):
        self.device, self.normalise, self.classes = normalise.device, normalise, candidates.classes
        self.images, self.labels = images.to(self.device), labels.to(self.device)
        self.new, self.cycle, self.last, self.learned = new, int(cycle), None, False
        self.unlabeled = np.setdiff1d(np.arange(len(candidates)), rows)
        self._candidates, self._dataset = candidates, dataset

    def read(self, rows):
        """Return the images of some pool rows, (m, height, width, channels) uint8 tensor on the CPU."""
        with store.read(self._dataset) as file:
            return torch.from_numpy(self._candidates.read(file, np.asarray(rows)))
