"""SVM distance: ask for the image nearest to a hyperplane that separates the labelled images.

Tong & Koller (2001), simple margin, on the penultimate features, standardised over the pool: a linear SVM with
squared hinge loss and penalty `C`, one class against the rest. With f_c the signed distance to the hyperplane of class
c: two classes have one hyperplane, score -|f|; of more, the images between two classes come first, score
-(f_1st - f_2nd) (Demir, Persello & Bruzzone 2011, multiclass-level uncertainty). Classes without a labelled image have
no hyperplane; where the features of the labelled images say nothing, there is none, and all images are equally near.
Cost: one forward pass over the pool, the SVM O(L D C) an iteration, then O(N D C).
"""

import numpy as np
from sklearn.svm import LinearSVC

from poolflow.job import StageError
from poolflow.kernels import top_k

NEEDS = ("features", "labels")
BOUNDS = {"C": "> 0"}


def select(pool, budget, rng, C: float = 1.0):
    """Return the `budget` unlabelled rows of the highest score, best first."""
    answered = pool.labels >= 0
    rows, labels = pool.labeled[answered], pool.labels[answered]
    found = np.unique(labels)
    if len(found) < 2:
        raise StageError(
            f"svm_distance: found {len(found)} class among the {len(rows)} labelled images that have a label, "
            "expected at least 2; write a larger initial_size"
        )
    features = pool.features.astype(np.float64)
    deviation = features.std(axis=0)
    features = (features - features.mean(axis=0)) / np.where(deviation > 0, deviation, 1)
    svm = LinearSVC(C=C, dual=False, max_iter=10_000).fit(features[rows], labels)
    lengths = np.linalg.norm(svm.coef_, axis=1)
    distances = (features @ svm.coef_.T + svm.intercept_) / np.where(lengths > 0, lengths, 1)
    if len(found) == 2:
        return top_k(-np.abs(distances[:, 0]), budget, rows=pool.unlabeled)
    second, first = np.partition(distances, -2, axis=1)[:, -2:].T
    return top_k(second - first, budget, rows=pool.unlabeled)
