"""What a selection sees and what it must return: shared by the initial pools and the query strategies."""

import sys

import numpy as np

from poolflow.data import store
from poolflow.data.candidates import Candidates, inputs
from poolflow.data.rows import take
from poolflow.job import Damaged, StageError
from poolflow.kernels.errors import InputError


class Pool:
    """The pool as a plugin sees it. Nothing but `oracle` and `test` tells the label of an image that is not labelled.

    A plugin sees the rows in a random order, drawn anew for each selection: whichever of several equally good rows it
    takes, the first of them as a rule, is drawn at random and does not hang on how the files of a data set are sorted.

    Parameters
    ----------
    plugin : module
    pool : path of `pool.h5`
    labeled : (L,) int64
        Pool rows labelled so far, in the order acquired.
    needs : mapping from a need to the path of its file
    dataset : path of `dataset.h5`
    learner : mapping
        The settings of the network, for a plugin that needs `model`.
    rng : numpy.random.Generator, optional
        Draws the order of the rows; without it they keep that of the pool.

    Attributes
    ----------
    order : (N,) int64
        The pool row of each row here; everything else is in terms of the rows here, 0 to N - 1.
    size : int
        Number of rows, N.
    classes : int
    labeled : (L,) int64
        Rows labelled so far, in the order acquired; empty for an initial pool.
    unlabeled : (N - L,) int64
        The other rows, ascending.
    images : (N, height, width, channels) uint8
        For a data set of ready features, those: (N, D) float32.
    given : (N,) bool
        Whether a row's label is known from the start.
    labels : (L,) int64
        The classes of `labeled`, in its order; -1 where the oracle has no answer.
    probs : (N, classes) float32
        Softmax outputs of the last cycle's network, the mean over the members of an ensemble.
    features : (N, D) float32
        Its penultimate layer, that of the first member of an ensemble; for an initial pool what a pretext task learned.
    mc_probs : (N, T, classes) float32
        Softmax outputs of T passes with dropout.
    ensemble_probs : (N, K, classes) float32
        Softmax outputs of the K members.
    predicted_loss : (N,) float32
        What the loss-prediction module says of each row; only the order has a meaning.
    scores : (N,) float64
        The loss of a pretext task. For an initial pool, as the next two.
    clusters : (N,) int64
        The cluster of each row, from 0, by a pretext task; some may be empty.
    oracle : (N,) int64
        The true class of every row; -1 where it has none. Only for controls.
    test : tuple
        The test images (M, height, width, channels), or features, and their classes (M,) int64. Only for controls.
    model : tuple
        What `poolflow.training.of_pool.network_of` makes the last cycle's network of.

    An array is read when it is first used, and only if the plugin names it in NEEDS.
    """

    def __init__(self, plugin, pool, labeled=(), needs=None, dataset=None, learner=None, rng=None):
        self._plugin, self._needs, self._dataset, self._learner = plugin, needs or {}, dataset, learner
        self._candidates = Candidates(pool)
        self.classes, self.size = self._candidates.classes, len(self._candidates)
        self.order = rng.permutation(self.size) if rng else np.arange(self.size)
        self.labeled = np.argsort(self.order)[np.asarray(labeled, dtype=np.int64)]
        self.unlabeled = np.setdiff1d(np.arange(self.size), self.labeled)

    def __getattr__(self, need):
        if need.startswith("_"):
            raise AttributeError(need)
        if need not in self._plugin.NEEDS:
            raise StageError(
                f"{self._plugin.__name__} uses pool.{need}, which is not in its NEEDS {self._plugin.NEEDS}"
            )
        if need == "given":
            value = self._candidates.given[self.order]
        elif need == "images":
            with store.read(self._dataset) as file:
                value = self._candidates.read(file, self.order)
        elif need == "labels":
            with store.read(self._dataset) as file:
                labels = take(file["train/labels"], self._candidates.indices[self.order[self.labeled]])
            value = self._candidates.classes_of(labels)
        elif need == "oracle":
            with store.read(self._dataset) as file:
                value = self._candidates.classes_of(take(file["train/labels"], self._candidates.indices[self.order]))
        elif need == "test":
            with store.read(self._dataset) as file:
                classes = self._candidates.classes_of(file["test/labels"][:])
                rows = np.flatnonzero(classes >= 0)
                value = take(inputs(file, "test"), rows), classes[rows]
        elif need not in self._needs:
            file = "model.pt" if need == "model" else f"{need}.h5"
            raise StageError(f"{self._plugin.__name__} needs {file}, which --needs does not name")
        elif need == "model":
            value = self._needs[need], self._dataset, self._learner
        else:
            with store.read(self._needs[need]) as file:
                if len(file[need]) != self.size:
                    found = f"found {len(file[need])} rows, expected {self.size}, as many as the pool has"
                    raise Damaged(f"{self._needs[need]}: {found}")
                value = take(file[need], self.order)
            if need in ("scores", "features"):
                with np.errstate(invalid="ignore"):
                    finite = np.isfinite(value.sum(axis=tuple(range(1, value.ndim)), dtype=np.float64))
                if not finite.all():
                    row = self.order[~finite].min()
                    raise Damaged(f"{self._needs[need]}: {need} of row {row} are not finite")
        setattr(self, need, value)
        return value


def select(plugin, pool, count, rng, parameters):
    """Return the plugin's `count` rows, as rows of the pool, and scores after checking them.

    Raises
    ------
    StageError
        When the pool has fewer than `count` unlabelled rows, or the plugin returns anything but `count`
        different unlabelled rows with a finite score each, or a kernel refuses an argument, such as a parameter.
    """
    if count > len(pool.unlabeled):
        raise StageError(f"asked for {count} images, but only {len(pool.unlabeled)} of {pool.size} are unlabelled")
    try:
        rows, scores = plugin.select(pool, count, rng, **parameters)
    except InputError as error:
        raise StageError(f"{plugin.__name__.rpartition('.')[2]}: {error}") from error
    rows, scores = np.asarray(rows), np.asarray(scores, dtype=np.float64)
    if rows.shape != (count,) or scores.shape != (count,) or not np.issubdtype(rows.dtype, np.integer):
        raise StageError(
            f"{plugin.__name__} returned rows {rows.dtype} {rows.shape} and scores {scores.shape}, "
            f"expected integers ({count},) and scores ({count},)"
        )
    if len(np.unique(rows)) < count or not np.isin(rows, pool.unlabeled).all():
        raise StageError(f"{plugin.__name__} returned rows that are repeated, labelled or outside the pool")
    rows = pool.order[rows]
    if not np.isfinite(scores).all():
        bad = rows[~np.isfinite(scores)][0]
        raise StageError(f"{plugin.__name__} returned a score that is not finite, for row {bad}")
    return rows, scores


def write(out, job, plugin, rows, scores, cycles):
    """Write `labeled.h5`: pool rows in the order acquired, with the cycle and the score of each.

    Its attribute `tied` says how many rows of the last cycle have the score of another one of them, 0 where the plugin
    says SCORED = False. Where that is all of them, the log has a line.
    """
    last, tied = scores[cycles == cycles[-1]], 0
    if getattr(plugin, "SCORED", True):
        _, counts = np.unique(last, return_counts=True)
        tied = int(counts[counts > 1].sum())
        if len(counts) == 1 < tied:
            line = f"all {tied} scores are equal: the choice among equals is random"
            print(f"{job.stage} {job.name}: {line}", file=sys.stderr)
    with store.create(out, job) as file:
        for name, values in (("indices", rows), ("cycle", cycles), ("score", scores)):
            store.put(file, name, values)
        file.attrs["tied"] = tied
