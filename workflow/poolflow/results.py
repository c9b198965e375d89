"""What a table or a figure sees: the files of a study, and what this one is of."""

import itertools
import json

import pandas as pd

from poolflow.data import paths, store
from poolflow.data.known_pool import KnownPool, check_rows, read_rows
from poolflow.data.labeled import read_labeled
from poolflow.job import StageError

TEXT = ["dataset", "learner", "initial_pool", "other_pool", "strategy", "class", "pretext", "file", "label"]


class Results:
    """The results of a study.

    Attributes
    ----------
    names : {str: str}
        What this table or figure is of, such as {"dataset": "digits", "learner": "lenet"}; {} for the whole study.
    datasets, learners, initial_pools, strategies, clusterings, embeddings : list of str
    seeds : list of int
    cycles : int
        Those of them that the plugin's NEEDS range over. `clusterings` are the pretext tasks that give clusters,
        `embeddings` those in whose features the initial pools are shown.

    Every method reads what it names, if the plugin names that in NEEDS. A missing or broken file is a StageError.
    """

    def __init__(self, plugin, root, config):
        self._plugin, self._root, self._config = plugin, root, config
        self.names = config["names"]

    def __getattr__(self, axis):
        if axis.startswith("_"):
            raise AttributeError(axis)
        if axis not in self._config["axes"]:
            raise StageError(f"{self._plugin.__name__}: nothing in its NEEDS {self._plugin.NEEDS} has {axis}")
        return self._config["axes"][axis]

    def _path(self, need, path):
        if need not in self._plugin.NEEDS:
            raise StageError(f"{self._plugin.__name__} reads {need}, which is not in its NEEDS {self._plugin.NEEDS}")
        return f"{self._root}{path}"

    def table(self, name):
        """Return a table of the study; names stay text, whatever they look like."""
        path = self._path(name, f"{name}.csv")
        numbers = [column for column in pd.read_csv(path, nrows=0).columns if column not in TEXT]
        empty = {column: [""] for column in numbers}
        return pd.read_csv(path, dtype=dict.fromkeys(TEXT, str), keep_default_na=False, na_values=empty)

    def of_names(self, name):
        """Return the rows of a table that are of this figure's `names`; StageError where there is none."""
        table = self.table(name)
        for key in [key for key in self.names if key in table]:
            table = table[table[key] == self.names[key]]
        if table.empty:
            raise StageError(f"{name}.csv: found no row of {', '.join(self.names.values())}, expected some")
        return table

    def chains(self):
        """Yield (data set, learner, initial pool, strategy, seed) of all chains.

        Without cycles they are those of the initial pools, which are the same for every learner, with "" as strategy.
        """
        axes = self._config["axes"]
        yield from itertools.product(
            *(axes[axis] for axis in ("datasets", "learners", "initial_pools", "strategies", "seeds"))
        )

    def pool(self, dataset, seed):
        """Return the pool of a repetition with the true classes, a `poolflow.data.known_pool.KnownPool`."""
        pool = self._path("pools", paths.pool(dataset, seed))
        return KnownPool(pool, self._path("pools", paths.dataset(dataset)))

    def images(self, dataset, pool, rows):
        """Return the images of some rows of a `pool`, (n, height, width, channels) uint8."""
        with store.read(self._path("pools", paths.dataset(dataset))) as file:
            return pool.candidates.read(file, rows)

    def file_names(self, dataset):
        """Return the path of each training image of a data set that has them, (N,) of str."""
        with store.read(self._path("pools", paths.dataset(dataset))) as file:
            return file["train/names"].asstr()[:]

    def initial_pool(self, dataset, name, seed, pool, count=None):
        """Return the rows (L,) int64 that an initial pool chose of a `pool`, in the order chosen."""
        folder = paths.cycle(dataset, self._config["first_learner"], name, seed, 0)
        return read_rows(self._path("initial_pools", f"{folder}/labeled.h5"), len(pool), count)[0]

    def labeled(self, dataset, learner, initial_pool, strategy, seed, pool, count=None):
        """Return (rows, cycles, scores), each (L,), of a chain's labelled set after the last cycle."""
        chain = f"{initial_pool}/{strategy}" if strategy else initial_pool
        folder = paths.cycle(dataset, learner, chain, seed, self.cycles)
        path = self._path("labeled", f"{folder}/labeled.h5")
        rows, cycles = read_rows(path, len(pool), count)
        return rows, cycles, read_labeled(path)[1]

    def metrics(self, dataset, learner, initial_pool, strategy, seed, cycle):
        """Return the metrics.json of a cycle of a chain. Cycle 0 is shared by the strategies of one kind of network."""
        first = "+".join(filter(None, [initial_pool, self._config["variants"][strategy]]))
        folder = paths.cycle(dataset, learner, f"{initial_pool}/{strategy}" if cycle else first, seed, cycle)
        path = self._path("metrics", f"{folder}/metrics.json")
        try:
            with open(path) as file:
                return json.load(file)
        except ValueError as error:
            raise StageError(f"{path} is not complete JSON ({error}); delete it and run again") from error

    def clusters(self, dataset, task, seed, size):
        """Return a pretext task's cluster of each of `size` pool rows, (size,) int64, and the number of clusters."""
        path = self._path("clusters", f"{paths.pretext(dataset, task, seed)}/clusters.h5")
        with store.read(path) as file:
            clusters, count = file["clusters"][:], int(file.attrs["count"])
        if len(clusters) != size:
            raise StageError(f"{path}: found {len(clusters)} rows, expected {size}, one for each row of the pool")
        if clusters.dtype.kind not in "iu":
            raise StageError(f"{path}: found clusters of {clusters.dtype}, expected integers; delete it and run again")
        if clusters.min() < 0 or clusters.max() >= count:
            raise StageError(f"{path}: found clusters {clusters.min()}..{clusters.max()}, expected 0..{count - 1}")
        return clusters, count

    def embedding(self, dataset, task, seed, size):
        """Return rows (n,) int64 of a pool of `size` rows, and where they lie by the task's features, (n, 2)."""
        path = self._path("embeddings", f"{paths.pretext(dataset, task, seed)}/tsne.h5")
        with store.read(path) as file:
            rows, embedding = file["rows"][:], file["embedding"][:]
        check_rows(path, rows, size)
        if embedding.shape != (len(rows), 2):
            raise StageError(f"{path}: found embedding {embedding.shape}, expected ({len(rows)}, 2)")
        return rows, embedding
