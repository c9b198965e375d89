"""How well networks predict labels: accuracy and cross-entropy."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from poolflow.training import networks


def evaluate(members, normalise, images, labels, precision):
    """Return the means of the members' accuracies, cross-entropies in nats and accuracies by class (None: no image).

    Of several members also the accuracy and cross-entropy of their mean probabilities.
    """
    logs = [log_probs(network, normalise, images, precision) for network in members]
    accuracy, loss, by_class = zip(*(score(log, labels) for log in logs), strict=True)
    result = {
        "accuracy": float(np.mean(accuracy)),
        "loss": float(np.mean(loss)),
        "class_accuracy": [None if hits[0] is None else float(np.mean(hits)) for hits in zip(*by_class, strict=True)],
    }
    if len(members) > 1:
        together = torch.stack(logs).logsumexp(dim=0) - math.log(len(logs))
        result["ensemble_accuracy"], result["ensemble_loss"], _ = score(together, labels)
    return result


@torch.inference_mode()
def log_probs(network, normalise, images, precision):
    """Return the logarithm of the class probabilities of images, (n, classes) float64 on the CPU."""
    network.eval()
    batches = images.split(networks.evaluation_batch(images.shape[1:]))
    logits = torch.cat([networks.logits(network, normalise(batch), precision) for batch in batches])
    return logits.double().cpu().log_softmax(dim=1)


def score(log, labels):
    """Return accuracy, mean cross-entropy and each class' accuracy of log probabilities (n, classes)."""
    correct = (log.argmax(dim=1) == labels).numpy()
    hits = [correct[labels.numpy() == label] for label in range(log.shape[1])]
    return float(correct.mean()), F.nll_loss(log, labels).item(), [float(h.mean()) if len(h) else None for h in hits]
