"""Expected model output change: ask for the image whose label would change the network's outputs most.

Kaeding et al. (2016), eq. 2-5, to first order in the step of training on the image x' alone: the mean over reference
images x of || J_f(x) grad_theta L(x', y') ||_1, where f are the logits, L the cross-entropy, and y' the predicted class
(eq. 5) or with `expected` each class, weighted by its probability (eq. 4). theta are all parameters, or with
layers="last" those of the last layer, for which the score is 2 (1 - p_y') mean_x |h(x')^T h(x) + 1|. Score: that,
without the learning rate, which is the same factor for all images. The references are `references` random images of the
pool, labelled ones too; only `candidates` random unlabelled images are scored (0, or more than there are: all), no
other is asked for. Cost: for each candidate (and with `expected` each class) a backward pass for one image and about
three forward passes for the references; memory does not grow with the candidates. Of the last layer one forward pass
over the candidates.
"""

import numpy as np
import torch
from tqdm import tqdm

from poolflow.kernels import top_k
from poolflow.kernels.emoc import last_layer_change, output_change
from poolflow.training.of_pool import last_layer, network_of

NEEDS = ("model", "images")
BOUNDS = {"references": ">= 1", "candidates": "0 or >= budget", "layers": "all or last"}


def select(
    pool, budget, rng, references: int = 100, candidates: int = 1000, expected: bool = False, layers: str = "all"
):
    """Return the `budget` candidates of the highest score, best first."""
    network, normalise = network_of(pool)
    drawn = pool.images[rng.choice(pool.size, min(references, pool.size), replace=False)]
    rows = pool.unlabeled
    if 0 < candidates < len(rows):
        rows = np.sort(rng.choice(rows, candidates, replace=False))
    score = of_last_layer if layers == "last" else of_all_layers
    scores = score(network, normalise, drawn, pool.images[rows], expected)
    best, scores = top_k(scores, budget, rows=np.arange(len(rows)))
    return rows[best], scores


def of_all_layers(network, normalise, references, images, expected):
    """Return the score of each image (n,), image by image."""
    others, scores = normalise(torch.from_numpy(references)), np.empty(len(images))
    for position in tqdm(range(len(images)), desc="emoc", mininterval=5):
        image = normalise(torch.from_numpy(images[position : position + 1]))
        with torch.no_grad():
            probs = network(image).softmax(dim=1)[0].double().cpu().numpy()
        if expected:
            scores[position] = probs @ output_change(network, others, image, range(len(probs)))
        else:
            scores[position] = output_change(network, others, image, [int(probs.argmax())])[0]
    return scores


def of_last_layer(network, normalise, references, images, expected):
    """Return the score of each image (n,), all of them together."""
    features, probs = last_layer(network, normalise, images)
    changes = last_layer_change(probs, features, last_layer(network, normalise, references)[0])
    if expected:
        return (probs * changes).sum(axis=1)
    return changes[np.arange(len(probs)), probs.argmax(axis=1)]
