"""Expected model output change of sets: ask for sets of images that would change the network's outputs most.

Kaeding et al. (2016), eq. 5, to first order: the mean over the images x' of a set X', all taken to be of the one class
y'(X'), and over reference images x of || J_f(x) grad_theta L(x', y'(X')) ||_1, where f are the logits, L the
cross-entropy, and y'(X') the class of the largest mean probability over X' (a mean over the set where eq. 5 has the
sum, for a set may be smaller than `size`). theta are all parameters, or with layers="last" those of the last layer, see
EMOC. Score: that, without the learning rate. `sets` random sets of `size` images,
each of one class drawn at random, the best first and then the best that shares no image with those taken; the last one
is cut to the budget. The paper draws the sets by their true class; here it is the predicted one, and
`emoc_sets_oracle` has the true one. The references are `references` random images of the pool, labelled ones too.
Cost: that of EMOC for each image in the sets, at most the smaller of N and M K for M sets of K, and again for each
other y'(X') that it meets; memory does not grow with the sets.
"""

import torch
from tqdm import tqdm

from poolflow.kernels.emoc import last_layer_change, output_change
from poolflow.strategies._sets import select_sets
from poolflow.training.of_pool import last_layer, network_of

NEEDS = ("model", "images", "probs")
SCORED = False
BOUNDS = {"sets": ">= 1", "size": ">= 1", "references": ">= 1", "layers": "all or last"}


def select(pool, budget, rng, sets: int = 1000, size: int = 25, references: int = 100, layers: str = "all"):
    """Return `budget` unlabelled rows, set after set, and the score of each one's set."""
    return choose(pool, budget, rng, sets, size, references, layers)


def choose(pool, budget, rng, sets, size, references, layers, classes=None):
    """Return what `select` does, for sets drawn by `classes` as in `poolflow.strategies._sets.select_sets`."""
    network, normalise = network_of(pool)
    drawn = pool.images[rng.choice(pool.size, min(references, pool.size), replace=False)]
    if layers == "last":
        features, probs = last_layer(network, normalise, pool.images)
        changes = last_layer_change(probs, features, last_layer(network, normalise, drawn)[0])

        def score(members):
            return changes[members, pool.probs[members].mean(axis=0).argmax()].mean()

        return select_sets(pool, budget, rng, score, sets, size, classes)

    others, known = normalise(torch.from_numpy(drawn)), {}

    def score(members):
        label = int(pool.probs[members].mean(axis=0).argmax())
        for row in members:
            if (row, label) not in known:
                image = normalise(torch.from_numpy(pool.images[row : row + 1]))
                known[row, label] = output_change(network, others, image, [label])[0]
                progress.update()
        return sum(known[row, label] for row in members) / len(members)

    with tqdm(desc="emoc_sets, images", mininterval=5) as progress:
        return select_sets(pool, budget, rng, score, sets, size, classes)
