"""FixMatch: what the network is sure of in a weakly changed unlabelled image, it learns in a strongly changed one.

Sohn et al. (2020), section 2.2. Beside the cross-entropy of a mini-batch of labelled images stands, `weight` times, the
mean over `ratio` times as many unlabelled ones of the cross-entropy between their strong views and the classes of
their weak ones, where the probability of that class is `threshold` or more; the others count as 0. Weak are the
settings' own `crop`, `padding` and `flip`, and strong is `poolflow.training.views.strong`, whole batches at once, which
stands for RandAugment. Labelled images are among the unlabelled unless `with_labeled` is false. All views pass the
network together. An epoch is one of the labelled images: give `iterations`, and `ema` for the moving average that the
paper tests. The pseudo-labels that are kept are those of the trained network.
"""

import torch
import torch.nn.functional as F

from poolflow.learners import supervised
from poolflow.training import views
from poolflow.training.augmentation import augment
from poolflow.training.evaluation import log_probs

PSEUDO_LABELS = True
NOT_WITH = ("loss_prediction",)
INPUTS = ("images",)
BOUNDS = {"threshold": "> 0, <= 1", "ratio": ">= 1", "weight": ">= 0", "cutout": ">= 0, <= 1", "jitter": ">= 0"}


class Learner(supervised.Learner):
    """The images are those with a label; the unlabelled ones are drawn beside them."""

    def __init__(
        self, examples, training, threshold=0.95, ratio=7, weight=1.0, with_labeled=True, cutout=0.5, jitter=0.4
    ):
        super().__init__(examples, training)
        self.examples, self.threshold, self.ratio, self.weight = examples, threshold, ratio, weight
        self.strength = {"crop": training["crop"], "flip": training["flip"], "cutout": cutout, "jitter": jitter}
        unlabelled = examples.read(examples.unlabeled).to(examples.device)
        self.others = torch.cat([unlabelled, self.images]) if with_labeled or not len(unlabelled) else unlabelled
        self.seen, self.used = 0, torch.zeros((), device=examples.device)

    def prepare(self, network):
        """Keep the network, which is asked once more after the training."""
        self.network = network

    def losses(self, forward, rows):
        """Return the cross-entropy of each row and the mean of that of the unlabelled images, (m,) in nats."""
        drawn = torch.randint(len(self.others), (self.ratio * len(rows),)).to(self.others.device)
        images = self.others[drawn]
        weak = self.normalise(augment(images, self.training | {"randaugment": 0}))
        strong = views.strong(views.unit(images), **self.strength).mul_(255).round_().to(torch.uint8)
        logits = forward(torch.cat([self.inputs(rows), weak, self.normalise(strong.permute(0, 2, 3, 1))]))
        of_rows, of_weak, of_strong = logits.split([len(rows), len(drawn), len(drawn)])
        sure, classes = of_weak.detach().softmax(dim=1).max(dim=1)
        taken = sure >= self.threshold
        self.seen, self.used = self.seen + len(drawn), self.used + taken.sum()
        beside = (taken * F.cross_entropy(of_strong, classes, reduction="none")).mean()
        smoothing = self.training["label_smoothing"]
        plain = F.cross_entropy(of_rows, self.labels[rows], label_smoothing=smoothing, reduction="none")
        return plain + self.weight * beside

    def metrics(self):
        """Return which part of the weak views was sure enough, over the whole training."""
        return {"pseudo_used": self.used.item() / max(1, self.seen)}

    def pseudo_labels(self):
        """Return the unlabelled pool rows of which the trained network is sure, their classes, and weights of 1."""
        rows = self.examples.unlabeled
        if not len(rows):
            return rows, torch.zeros(0, dtype=torch.int64), torch.zeros(0)
        images = self.others[: len(rows)]
        sure, classes = log_probs(self.network, self.normalise, images, self.training["precision"]).exp().max(dim=1)
        taken = sure >= self.threshold
        return rows[taken.numpy()], classes[taken], torch.ones(int(taken.sum()))
