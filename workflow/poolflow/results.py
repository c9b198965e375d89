"""What a table or a figure sees: the files of a study, and what this one is of."""

import csv
import itertools

import pandas as pd

from poolflow.data import paths, store
from poolflow.data.known_pool import KnownPool
from poolflow.data.labeled import check_rows, read_labeled
from poolflow.job import Damaged, StageError

COLUMNS = {"clustering": "pretext", "embedding": "pretext"}  # where a table has the name of a wildcard elsewhere
TEXT = [
    *(
        "dataset",
        "learner",
        "other_learner",
        "initial_pool",
        "other_pool",
        "strategy",
        "other_strategy",
        "variant",
        "class",
        "pretext",
    ),
    *("file", "label", "score", "family", "missing", "verdict", "sentence"),
]


AXES = {
    "datasets": ["dataset"],
    "learners": ["learner", "other_learner"],
    "initial_pools": ["initial_pool", "other_pool"],
    "strategies": ["strategy", "other_strategy"],
    "seeds": ["seed"],
}  # the columns of a table that have the names of an axis


def read_table(path):
    """Return a table that a study wrote; names stay text, whatever they look like.

    Raises
    ------
    Damaged
        When it is missing, empty, cut off, or no table.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            lines = list(csv.reader(file, strict=True))
            file.seek(max(0, file.seek(0, 2) - 1))
            whole = file.read() == "\n"
        if len(lines) < 2 or not whole or len({len(line) for line in lines}) > 1:
            raise ValueError(f"found {max(0, len(lines) - 1)} rows, the last one {'complete' if whole else 'cut off'}")
        empty = {column: [""] for column in lines[0] if column not in TEXT}
        return pd.read_csv(path, dtype=dict.fromkeys(TEXT, str), keep_default_na=False, na_values=empty)
    except FileNotFoundError as error:
        raise Damaged(f"{path} is missing") from error
    except OSError as error:
        raise store.unreadable(path, error) from error
    except (ValueError, csv.Error) as error:
        raise Damaged(f"{path} is no whole table ({error})") from error


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
        if need not in (*self._plugin.NEEDS, *self._config.get("with", ())):
            raise StageError(f"{self._plugin.__name__} reads {need}, which is not in its NEEDS {self._plugin.NEEDS}")
        return self._root

    def table(self, name):
        """Return a table of the study, `<name>.csv` in NEEDS; names stay text, whatever they look like."""
        path = f"{self._folder(f'{name}.csv')}{name}.csv"
        return read_table(path)

    def has(self, name):
        """Return whether there is a table that the plugin reads where the study has it, `<name>.csv` in WITH."""
        return f"{name}.csv" in self._config.get("with", ())

    def of_names(self, name):
        """Return the rows of a table that are of this figure's `names`; Damaged where one of the study has none."""
        table = self.table(name)
        for key, value in self.names.items():
            column = COLUMNS.get(key, key)
            if column in table:
                table = table[table[column] == value]
        for axis, columns in AXES.items():
            found = {str(value) for column in columns if column in table for value in table[column]}
            missing = [value for value in self._config["axes"].get(axis, ()) if str(value) not in found]
            if missing and any(column in table for column in columns):
                of = ", ".join(map(str, self.names.values()))
                raise Damaged(f"{self._root}{name}.csv: found no row of {missing[0]} of {of}, expected some")
        sizes = table.groupby([column for columns in AXES.values() for column in columns if column in table]).size()
        if sizes.nunique() > 1:
            least = "/".join(map(str, sizes.idxmin()))
            raise Damaged(f"{self._root}{name}.csv: found {sizes.min()} rows of {least}, {sizes.max()} of another")
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
        """Return the path of each training image of a data set, (N,) of str; None where it has none."""
        with store.read(f"{self._folder('pools')}{paths.dataset(dataset)}") as file:
            return file["train/names"].asstr()[:] if "names" in file["train"] else None

    def initial_pool(self, dataset, name, seed, pool, count=None):
        """Return the rows (L,) int64 that an initial pool chose of a `pool`, in the order chosen."""
        root = self._folder("initial_pools")
        folder = paths.cycle(dataset, self._config["first_learner"], name, seed, 0)
        return read_labeled(f"{root}{folder}/labeled.h5", len(pool), count)[0]

    def labeled(self, dataset, learner, initial_pool, strategy, seed, pool, count=None):
        """Return (rows, cycles, scores), each (L,), of a chain's labelled set after the last cycle."""
        root = self._folder("labeled")
        chain = f"{initial_pool}/{strategy}" if self.cycles else initial_pool
        path = f"{root}{paths.cycle(dataset, learner, chain, seed, self.cycles)}/labeled.h5"
        rows, scores, cycles = read_labeled(path, len(pool), count)
        return rows, cycles, scores

    def variant(self, strategy):
        """Return the kind of network that the chains of a strategy train, "" for the plain one."""
        self._folder("metrics")
        return self._config["variants"].get(strategy, "")

    def _network(self, need, dataset, learner, initial_pool, strategy, seed, cycle):
        """Return the folder of a cycle's network, of what a plugin reads there."""
        root = self._folder(need)
        first = "+".join(filter(None, [initial_pool, self._config["variants"].get(strategy, "")]))
        return root + paths.cycle(dataset, learner, f"{initial_pool}/{strategy}" if cycle else first, seed, cycle)

    def metrics(self, dataset, learner, initial_pool, strategy, seed, cycle):
        """Return the metrics.json of a cycle of a chain. Cycle 0 is shared by the strategies of one kind of network."""
        folder = self._network("metrics", dataset, learner, initial_pool, strategy, seed, cycle)
        return store.read_json(f"{folder}/metrics.json")

    def passive(self, dataset, learner, seed):
        """Return the metrics.json of the training on the whole pool."""
        return store.read_json(
            f"{self._folder('passive')}{paths.cycle(dataset, learner, 'passive', seed, 0)}/metrics.json"
        )

    def probs(self, dataset, learner, initial_pool, strategy, seed, cycle, pool):
        """Return the class probabilities (N, C) float32 that the network of a cycle gives each row of a `pool`."""
        path = f"{self._network('probs', dataset, learner, initial_pool, strategy, seed, cycle)}/probs.h5"
        with store.read(path) as file:
            probs = file["probs"][:]
        if probs.ndim != 2 or len(probs) != len(pool):
            raise Damaged(f"{path}: found probs {probs.shape}, expected ({len(pool)}, classes)")
        return probs

    def clusters(self, dataset, task, seed, size):
        """Return a pretext task's cluster of each of `size` pool rows, (size,) int64, and the number of clusters."""
        path = f"{self._folder('clusters')}{paths.pretext(dataset, task, seed)}/clusters.h5"
        with store.read(path) as file:
            clusters, count = file["clusters"][:], int(file.attrs["count"])
        if len(clusters) != size:
            raise Damaged(f"{path}: found {len(clusters)} rows, expected {size}, one for each row of the pool")
        if clusters.dtype.kind not in "iu":
            raise Damaged(f"{path}: found clusters of {clusters.dtype}, expected integers")
        if clusters.min() < 0 or clusters.max() >= count:
            raise Damaged(f"{path}: found clusters {clusters.min()}..{clusters.max()}, expected 0..{count - 1}")
        return clusters, count

    def embedding(self, dataset, task, seed, size):
        """Return rows (n,) int64 of a pool of `size` rows, and where they lie by the task's features, (n, 2)."""
        path = f"{self._folder('embeddings')}{paths.pretext(dataset, task, seed)}/tsne.h5"
        with store.read(path) as file:
            rows, embedding = file["rows"][:], file["embedding"][:]
        check_rows(path, rows, size)
        if embedding.shape != (len(rows), 2):
            raise Damaged(f"{path}: found embedding {embedding.shape}, expected ({len(rows)}, 2)")
        return rows, embedding
