"""What a selection sees and what it must return: shared by the initial pools and the query strategies."""

import numpy as np

from poolflow.data import store
from poolflow.data.candidates import Candidates
from poolflow.data.rows import take
from poolflow.job import StageError
from poolflow.kernels.errors import InputError


class Pool:
    """The pool as a plugin sees it. Nothing here but `oracle` tells the label of an image that is not labelled.

    Attributes
    ----------
    size : int
        Number of pool rows, N.
    classes : int
    labeled : (L,) int64
        Pool rows labelled so far, in the order acquired; empty for an initial pool.
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
    model : tuple
        What `poolflow.training.of_pool.network_of` makes the last cycle's network of.

    An array is read when it is first used, and only if the plugin names it in NEEDS.
    """

    def __init__(self, plugin, pool, labeled=(), needs=None, dataset=None, learner=None):
        self._plugin, self._needs, self._dataset, self._learner = plugin, needs or {}, dataset, learner
        self._candidates = Candidates(pool)
        self.classes, self.size = self._candidates.classes, len(self._candidates)
        self.labeled = np.asarray(labeled, dtype=np.int64)
        self.unlabeled = np.setdiff1d(np.arange(self.size), self.labeled)

    def __getattr__(self, need):
        if need.startswith("_"):
            raise AttributeError(need)
        if need not in self._plugin.NEEDS:
            raise StageError(
                f"{self._plugin.__name__} uses pool.{need}, which is not in its NEEDS {self._plugin.NEEDS}"
            )
        if need == "given":
            value = self._candidates.given
        elif need == "images":
            with store.read(self._dataset) as file:
                value = self._candidates.read(file, np.arange(self.size))
        elif need == "labels":
            with store.read(self._dataset) as file:
                labels = take(file["train/labels"], self._candidates.indices[self.labeled])
            value = self._candidates.classes_of(labels)
        elif need == "oracle":
            with store.read(self._dataset) as file:
                value = self._candidates.classes_of(take(file["train/labels"], self._candidates.indices))
        elif need not in self._needs:
            file = "model.pt" if need == "model" else f"{need}.h5"
            raise StageError(f"{self._plugin.__name__} needs {file}, which --needs does not name")
        elif need == "model":
            value = self._needs[need], self._dataset, self._learner
        else:
            with store.read(self._needs[need]) as file:
                value = file[need][:]
            if len(value) != self.size:
                raise StageError(f"{self._needs[need]}: {len(value)} rows for a pool of {self.size}")
            if need in ("scores", "features"):
                with np.errstate(invalid="ignore"):
                    finite = np.isfinite(value.sum(axis=tuple(range(1, value.ndim)), dtype=np.float64))
                if not finite.all():
                    raise StageError(f"{self._needs[need]}: {need} of row {np.argmin(finite)} are not finite")
        setattr(self, need, value)
        return value


def select(plugin, pool, count, rng, parameters):
    """Return the plugin's `count` rows and scores after checking them.

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
    if not np.isfinite(scores).all():
        bad = rows[~np.isfinite(scores)][0]
        raise StageError(f"{plugin.__name__} returned a score that is not finite, for row {bad}")
    return rows.astype(np.int64), scores
