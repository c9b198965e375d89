"""CEAL: unlabelled images of which the last network is certain enough are learned with the classes that it gives them.

Wang, Zhang, Li, Zhang & Lin (2017), cost-effective active learning. After the query of a cycle, each image that stays
unlabelled and whose entropy / log C by the last cycle's network lies below `threshold` - `decay` * cycle gets its most
likely class. These pseudo-labels are for one training: they are not labels, stay in the pool, and the next cycle makes
its own. Cycle 0 has no last network, and is supervised. `threshold` and `decay` are those of the published code of
Simeoni et al. (2021), which makes the threshold of the entropy divided by log C.
"""

import numpy as np
import torch

from poolflow.kernels import uncertainty
from poolflow.learners import supervised
from poolflow.training.evaluation import log_probs

PSEUDO_LABELS = True
LAST = True
BOUNDS = {"threshold": ">= 0, <= 1", "decay": ">= 0"}


class Learner(supervised.Learner):
    """The images are those with a label and then those with a pseudo-label."""

    def __init__(self, examples, training, threshold=0.1, decay=0.00033):
        super().__init__(examples, training)
        self.guessed = examples.unlabeled[:0], torch.zeros(0, dtype=torch.int64)
        if examples.last is None or not len(examples.unlabeled):
            return
        images = examples.read(examples.unlabeled)
        probs = log_probs(examples.last, self.normalise, images, training["precision"]).exp().numpy()
        certain = uncertainty.entropy(probs) / np.log(examples.classes) < threshold - decay * examples.cycle
        self.guessed = examples.unlabeled[certain], torch.from_numpy(probs[certain].argmax(axis=1))
        self.images = torch.cat([self.images, images[torch.from_numpy(certain)].to(examples.device)])
        self.labels = torch.cat([self.labels, self.guessed[1].to(examples.device)])
        if self.new is not None:  # with replay they are older images
            self.new = torch.cat([self.new, torch.zeros(len(self.guessed[0]), dtype=torch.bool)])

    def pseudo_labels(self):
        """Return the pool rows with a pseudo-label, their classes, and weights of 1."""
        return *self.guessed, torch.ones(len(self.guessed[0]))
