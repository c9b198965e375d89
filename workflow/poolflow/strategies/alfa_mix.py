"""ALFA-Mix: ask for images whose predicted class changes when a little of a labelled image's features is mixed in.

Parvaneh et al. (2022), "Active learning by feature mixing", with alpha in closed form (eq. 5), on penultimate features
z of D dimensions. An anchor z* of a class is the mean of its labelled images, or of all of them where it has none. With
g the gradient of the loss of the predicted class with respect to z, mixing moves z by eps |z* - z| g / |g|: the anchors
act by their distance alone, and the farthest decides. An image is a candidate when that changes its predicted class.
eps is `step` / sqrt(D), and grows by that until there are more than b candidates, or eps sqrt(D) is 1. k-means with b
clusters on the candidates as unit vectors, of a cluster the image nearest to its centre; too few are filled up with
random others. Score: minus the distance to the centre, of those filled up -2. Cost: one forward pass over the pool,
then O(N C (D + C)) and k-means.
"""

import numpy as np

from poolflow.kernels import nearest_to_centres, unit
from poolflow.training.of_pool import head_of, last_layer, network_of

NEEDS = ("model", "images", "labels")
BOUNDS = {"step": "> 0, <= 1"}
BLOCK = 4096  # rows at a time
FILLED = -2.0  # no distance of unit vectors is larger than 2


def select(pool, budget, rng, step: float = 0.03125):
    """Return `budget` unlabelled rows, one for each cluster, the nearest to its centre first."""
    network, normalise = network_of(pool)
    features = last_layer(network, normalise, pool.images)[0]
    largest = turning_point(features[pool.unlabeled], anchors(pool, features), *head_of(network))
    cap = step
    while (largest < cap).sum() <= budget and cap < 1:
        cap += step
    rows = pool.unlabeled[largest < cap]
    if len(rows) > budget:
        places, distances = nearest_to_centres(unit(features[rows]), budget, rng)
        return rows[places], -distances
    others = rng.permutation(np.setdiff1d(pool.unlabeled, rows))[: budget - len(rows)]
    return np.concatenate([rows, others]), np.repeat([0.0, FILLED], [len(rows), len(others)])


def anchors(pool, features):
    """Return the mean features of the labelled images of each class, (C, D); of all where a class has none."""
    features, labels = features[pool.labeled].astype(np.float64), pool.labels
    whole = features.mean(axis=0)
    found = [features[labels == label] for label in range(pool.classes)]
    return np.array([of.mean(axis=0) if len(of) else whole for of in found])


def turning_point(features, anchors, weights, biases):
    """Return for each row the least eps sqrt(D) above which its predicted class changes, (n,); infinite for none.

    Along g each logit is linear in eps: of classes j the first whose logit reaches that of the predicted one.
    """
    found = np.empty(len(features))
    for start in range(0, len(features), BLOCK):
        block = slice(start, start + BLOCK)
        values = features[block].astype(np.float64)
        logits = values @ weights.T + biases
        predicted = logits.argmax(axis=1)
        every = np.arange(len(values))
        errors = np.exp(logits - logits.max(axis=1, keepdims=True))
        errors /= errors.sum(axis=1, keepdims=True)
        errors[every, predicted] -= 1  # that of the loss of the predicted class: g = W^T (p - e)
        gradients = errors @ weights
        lengths = np.linalg.norm(gradients, axis=1)
        far = np.sqrt(np.maximum(((values[:, None] - anchors) ** 2).sum(axis=2).max(axis=1), 0))
        with np.errstate(divide="ignore", invalid="ignore"):
            steps = gradients @ weights.T * (far / lengths)[:, None]
            behind = logits[every, predicted][:, None] - logits
            faster = steps - steps[every, predicted][:, None]
            eps = np.where(faster > 0, behind / faster, np.inf)
        found[block] = eps.min(axis=1) * np.sqrt(values.shape[1])
    return found
