"""BoSS: the best of many batches by the error on the test images; an oracle control, since it reads the labels.

"Best of strategies": an upper bound, which shows how much is left to win. `batches` batches of b images are drawn, each
by a strategy drawn at random (random, margin, BADGE, TypiClust, ALFA-Mix, MaxHerding or UHerding) among random images,
4 b to 5,000 of them. With their true labels the last layer is fitted anew to the labelled set and each of them
(logistic regression on the penultimate features, L2 of weight `l2`), and the batch is taken with which the fewest test
images are wrong, of equal ones the first. The authors retrain a linear head for 50 epochs. Score: minus the part that
is wrong, the same for the whole batch. Cost: one forward pass over pool and test images, then `batches` selections
among 5,000 images at most and as many fits.
"""

import numpy as np
from tqdm import tqdm

from poolflow.job import StageError
from poolflow.strategies import _subset
from poolflow.training.of_pool import last_layer, network_of

NEEDS = ("probs", "features", "labels", "model", "images", "oracle", "test")
SCORED = False
BOUNDS = {"batches": ">= 1", "l2": "> 0"}
LEAST = 4  # batches that a part holds
MOST = 5000  # images of a part


def select(pool, budget, rng, batches: int = 100, l2: float = 1.0):
    """Return the `budget` unlabelled rows of the best batch, in the order asked for."""
    network, normalise = network_of(pool)
    images, truth = pool.test
    if not len(truth):
        raise StageError("boss: found no test image, expected some: their labels choose the batch")
    known = np.flatnonzero(pool.oracle[pool.unlabeled] >= 0)
    rows = pool.unlabeled[known]
    if budget > len(rows):
        raise StageError(f"budget: found {budget}, expected at most the {len(rows)} images with a known class")
    features, of_test = (last_layer(network, normalise, part)[0] for part in (pool.images, images))
    best = None
    for _ in tqdm(range(batches), desc="batches", mininterval=5):
        size = rng.integers(min(LEAST * budget, MOST, len(rows)), min(MOST, len(rows)), endpoint=True)
        member = _subset.MEMBERS[rng.integers(len(_subset.MEMBERS))]
        batch = _subset.ask(pool, member, _subset.some(rows, max(budget, size), rng), budget, rng)
        wrong = error(pool, batch, features, of_test, truth, l2)
        if best is None or wrong < best[0]:
            best = wrong, batch
    return best[1], np.full(budget, -best[0])


def error(pool, batch, features, of_test, truth, l2):
    """Return the part of the test images that the last layer gets wrong, fitted to the labelled rows and a batch."""
    from sklearn.linear_model import LogisticRegression

    answered = pool.labels >= 0
    rows = np.concatenate([pool.labeled[answered], batch])
    classes = np.concatenate([pool.labels[answered], pool.oracle[batch]])
    if len(np.unique(classes)) == 1:
        return float((truth != classes[0]).mean())
    chosen = features[rows]  # standardised by them: the penalty is of the same size for all dimensions
    mean, std = chosen.mean(axis=0), chosen.std(axis=0)
    scale = np.where(std > 0, std, 1)
    fitted = LogisticRegression(C=1 / l2, max_iter=200).fit((chosen - mean) / scale, classes)
    return float((fitted.predict((of_test - mean) / scale) != truth).mean())
