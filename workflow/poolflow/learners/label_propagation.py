"""Label propagation: learn from the whole pool, whose labels spread from the labelled images over a k-NN graph.

Iscen, Tolias, Avrithis & Chum (2019), proposed for active learning by Simeoni et al. (2021). First the network learns
from the labelled images alone, `supervised_epochs` long. Then, before each epoch, its features of all images make a
graph (`neighbours`, `power`; `reciprocal` for pairs that are neighbours of each other alone), over which the labels
spread (`alpha`). An unlabelled image gets the class that reaches it most, with the weight 1 - entropy / log C, divided
by the largest one; below `threshold` none. In a batch `labeled_share` are labelled images, and the rest pseudo-labels
in a random order, none of them twice in an epoch, which has as many images as the pool. The loss of an image is its
cross-entropy times its weight and, with `class_weights`, times (N / C) / n of its class, so that rare classes weigh as
much as frequent ones. Of an image of a class without a label nothing is known, and it gets another one. Cost: an epoch
is one of the whole pool, and a graph.
"""

import math

import numpy as np
import torch

from poolflow.kernels import propagation
from poolflow.learners import supervised
from poolflow.training import networks
from poolflow.training.loop import fit

PSEUDO_LABELS = True
BOUNDS = {
    "neighbours": ">= 1",
    "power": "> 0",
    "alpha": ">= 0, < 1",
    "supervised_epochs": ">= 0",
    "labeled_share": "> 0, < 1",
    "threshold": ">= 0, <= 1",
}


class Learner(supervised.Learner):
    """The images are those with a label and then those of the pool without one."""

    def __init__(
        self,
        examples,
        training,
        neighbours=50,
        power=3.0,
        alpha=0.99,
        reciprocal=False,
        supervised_epochs=10,
        labeled_share=0.5,
        threshold=0.0,
        class_weights=True,
    ):
        super().__init__(examples, training)
        self.examples, self.known = examples, len(examples.labels)
        self.graph = {"neighbours": neighbours, "power": power, "reciprocal": reciprocal}
        self.alpha, self.threshold, self.balanced = alpha, threshold, class_weights
        self.supervised_epochs, self.share = supervised_epochs, labeled_share
        self.images = torch.cat([examples.images, examples.read(examples.unlabeled).to(examples.device)])
        self.guessed = torch.zeros(len(examples.unlabeled), dtype=torch.int64), torch.zeros(len(examples.unlabeled))

    def prepare(self, network):
        """Train the network on the labelled images alone."""
        self.network = network
        if self.supervised_epochs and not self.examples.learned:
            alone = self.training | {"epochs": self.supervised_epochs, "iterations": 0, "best_epoch": False}
            fit(network, supervised.Learner(self.examples, alone), alone)

    def batches(self, steps):
        """Make new pseudo-labels, and return the rows of an epoch's mini-batches: of labelled images and of others."""
        self.spread()
        size = math.ceil(len(self.images) / steps)
        labelled = min(max(1, round(self.share * size)), size - 1) or 1
        others = self.known + torch.where(self.guessed[1] > 0)[0]
        if not len(others):
            return [torch.randint(self.known, (size,)) for _ in range(steps)]
        order = others[torch.randperm(len(others))][: steps * max(1, size - labelled)]
        order = order.repeat(math.ceil(steps / len(order)))  # one for each batch at least
        return [torch.cat([torch.randint(self.known, (labelled,)), part]) for part in order.tensor_split(steps)]

    @torch.inference_mode()
    def features(self):
        """Return the network's penultimate layer of all images, not augmented, (N, D) float32."""
        self.network.eval()
        parts = self.images.split(networks.evaluation_batch(self.images.shape[1:]))
        precision = self.training["precision"]
        found = [networks.features(self.network, self.normalise(part), precision).cpu() for part in parts]
        return torch.cat(found).numpy()

    def spread(self):
        """Give each unlabelled image its class and weight, and each class its own."""
        labels = self.examples.labels.cpu().numpy()
        graph = propagation.graph(self.features(), **self.graph, threads=torch.get_num_threads())
        spread = propagation.propagate(graph, np.arange(self.known), labels, self.examples.classes, self.alpha)
        classes, weights = (values[self.known :] for values in propagation.pseudo_labels(spread))
        weights = np.where(weights >= self.threshold, weights, 0)
        every = np.concatenate([labels, classes])
        used = np.concatenate([np.ones(self.known, bool), weights > 0])
        factors = propagation.class_weights(every[used], self.examples.classes) if self.balanced else None
        self.guessed = torch.from_numpy(classes), torch.from_numpy(weights).float()
        loads = torch.cat([torch.ones(self.known), self.guessed[1]])
        if self.balanced:
            loads *= torch.from_numpy(factors)[torch.from_numpy(every)].float()
        self.labels, self.weights = (torch.as_tensor(values).to(self.examples.device) for values in (every, loads))

    def losses(self, forward, rows):
        """Return the weighted cross-entropy of each row, (m,) in nats."""
        return self.weights[rows] * super().losses(forward, rows)

    def pseudo_labels(self):
        """Return the pool rows with a pseudo-label, the classes and the weights of the last epoch."""
        there = torch.where(self.guessed[1] > 0)[0]
        return self.examples.unlabeled[there.numpy()], self.guessed[0][there], self.guessed[1][there]
