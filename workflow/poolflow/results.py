"""What a table or a figure sees: the files of a study, and what this one is of."""

import itertools
import json

import pandas as pd

from poolflow.data import paths, store
from poolflow.data.known_pool import KnownPool, check_rows, read_rows
from poolflow.data.labeled import read_labeled
from poolflow.job import StageError

COLUMNS = {"clustering": "pretext", "embedding": "pretext"}  # where a table has the name of a wildcard elsewhere
TEXT = ["dataset", "learner", "initial_pool", "other_pool", "strategy", "variant", "class", "pretext", "file", "label"]


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

    def _folder(self, need):
        """Return the folder of the results, with a slash; StageError where the plugin does not name what it reads."""
        if need not in self._plugin.NEEDS:
            raise StageError(f"{self._plugin.__name__} reads {need}, which is not in its NEEDS {self._plugin.NEEDS}")
        return self._root

    def table(self, name):
        """Return a table of the study, `<name>.csv` in NEEDS; names stay text, whatever they look like."""
        path = f"{self._folder(f'{name}.csv')}{name}.csv"
        try:
            numbers = [column for column in pd.read_csv(path, nrows=0).columns if column not in TEXT]
            empty = {column: [""] for column in numbers}
            return pd.read_csv(path, dtype=dict.fromkeys(TEXT, str), keep_default_na=False, na_values=empty)
        except (OSError, ValueError) as error:
            raise StageError(f"{path} is not a table ({error}); delete it and run again") from error

    def of_names(self, name):
        """Return the rows of a table that are of this figure's `names`; StageError where there is none."""
        table = self.table(name)
        for key, value in self.names.items():
            column = COLUMNS.get(key, key)
            if column in table:
                table = table[table[column] == value]
        if table.empty:
            raise StageError(f"{name}.csv: found no row of {', '.join(map(str, self.names.values()))}, expected some")
        return table

    def chains(self):
        """Yield (data set, learner, initial pool, strategy, seed) of all chains.

        Without cycles they are those of the initial pools, which are the same for every learner, with "" as strategy.
        """
        yield from itertools.product(self.datasets, self.learners, self.initial_pools, self.strategies, self.seeds)

    def pool(self, dataset, seed):
        """Return the pool of a repetition with the true classes, a `poolflow.data.known_pool.KnownPool`."""
        root = self._folder("pools")
        return KnownPool(f"{root}{paths.pool(dataset, seed)}", f"{root}{paths.dataset(dataset)}")

    def images(self, dataset, pool, rows):
        """Return the images of some rows of a `pool`, (n, height, width, channels) uint8."""
        with store.read(f"{self._folder('pools')}{paths.dataset(dataset)}") as file:
            return pool.candidates.read(file, rows)

    def file_names(self, dataset):
        """Return the path of each training image of a data set that has them, (N,) of str."""
        with store.read(f"{self._folder('pools')}{paths.dataset(dataset)}") as file:
            return file["train/names"].asstr()[:]

    def initial_pool(self, dataset, name, seed, pool, count=None):
        """Return the rows (L,) int64 that an initial pool chose of a `pool`, in the order chosen."""
        root = self._folder("initial_pools")
        folder = paths.cycle(dataset, self._config["first_learner"], name, seed, 0)
        return read_rows(f"{root}{folder}/labeled.h5", len(pool), count)[0]

    def labeled(self, dataset, learner, initial_pool, strategy, seed, pool, count=None):
        """Return (rows, cycles, scores), each (L,), of a chain's labelled set after the last cycle."""
        root = self._folder("labeled")
        chain = f"{initial_pool}/{strategy}" if self.cycles else initial_pool
        path = f"{root}{paths.cycle(dataset, learner, chain, seed, self.cycles)}/labeled.h5"
        rows, cycles = read_rows(path, len(pool), count)
        return rows, cycles, read_labeled(path)[1]

    def variant(self, strategy):
        """Return the kind of network that the chains of a strategy train, "" for the plain one."""
        self._folder("metrics")
        return self._config["variants"].get(strategy, "")

    def metrics(self, dataset, learner, initial_pool, strategy, seed, cycle):
        """Return the metrics.json of a cycle of a chain. Cycle 0 is shared by the strategies of one kind of network."""
        root = self._folder("metrics")
        first = "+".join(filter(None, [initial_pool, self.variant(strategy)]))
        folder = paths.cycle(dataset, learner, f"{initial_pool}/{strategy}" if cycle else first, seed, cycle)
        path = f"{root}{folder}/metrics.json"
        try:
            with open(path) as file:
                return json.load(file)
        except FileNotFoundError as error:
            raise StageError(f"{path} is missing; run snakemake again to make it") from error
        except ValueError as error:
            raise StageError(f"{path} is not complete JSON ({error}); delete it and run again") from error

    def clusters(self, dataset, task, seed, size):
        """Return a pretext task's cluster of each of `size` pool rows, (size,) int64, and the number of clusters."""
        path = f"{self._folder('clusters')}{paths.pretext(dataset, task, seed)}/clusters.h5"
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
        path = f"{self._folder('embeddings')}{paths.pretext(dataset, task, seed)}/tsne.h5"
        with store.read(path) as file:
            rows, embedding = file["rows"][:], file["embedding"][:]
        check_rows(path, rows, size)
        if embedding.shape != (len(rows), 2):
            raise StageError(f"{path}: found embedding {embedding.shape}, expected ({len(rows)}, 2)")
        return rows, embedding
