"""Where a report's numbers come from: the folder of a study, whole or not yet, or a curves.csv alone."""

import csv
import itertools
import json
import os
from functools import cached_property
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd

from poolflow.data import paths, store
from poolflow.data.known_pool import KnownPool
from poolflow.data.labeled import read_labeled
from poolflow.job import StageError
from poolflow.results import read_table
from poolflow.tables.curves import CHAIN, METRICS

# What a table needs of a curves.csv, from how many on there is something to say.
COMPARED = {
    "scores": {},
    "differences": {"strategy": 2, "cycle": 2},
    "strategy_tests": {"strategy": 2, "cycle": 2},
    "pool_tests": {"initial_pool": 2},
    "learner_tests": {"learner": 2},
    "label_savings": {"strategy": 2, "cycle": 2},
    "penalty": {"strategy": 2, "cycle": 2, "seed": 2},
}
DEFAULTS = {
    "metric": "test_accuracy",
    "reference": "random",
    "reference_pool": "random",
    "reference_learner": "",
    "least_difference": 0.01,
    "alpha": 0.05,
    "budgets": [],
    "targets": [],
    "bayesian": False,
}  # as in workflow/schemas/config.schema.yaml


def checked_curves(path):
    """Return a curves.csv.

    Raises
    ------
    StageError
        Where it is none: not there, cut off, a column is missing or has other values, a cycle is there twice.
    """
    table = read_table(path)
    missing = [column for column in [*CHAIN, "seed", "cycle", "labeled"] if column not in table]
    if missing:
        raise StageError(f"{path}: found no column {missing[0]}, expected a curves.csv as a study writes it")
    for column in ("seed", "cycle", "labeled", *(set(METRICS) & set(table))):
        if table[column].dtype.kind not in "iuf":
            row = pd.to_numeric(table[column], errors="coerce").isna().to_numpy().argmax()
            raise StageError(f"{path}, line {row + 2}, {column}: found {table[column][row]!r}, expected a number")
    for column in ("seed", "cycle"):
        wrong = table[column].isna() | (table[column] % 1 != 0) | (table[column] < 0)
        if wrong.any():
            row = wrong.to_numpy().argmax()
            raise StageError(f"{path}, line {row + 2}, {column}: found {table[column][row]}, expected 0, 1, 2, ...")
    twice = table.duplicated([*CHAIN, "seed", "cycle"])
    if twice.any():
        raise StageError(
            f"{path}, line {twice.to_numpy().argmax() + 2}: found a chain, seed and cycle for the second time"
        )
    return table.astype({"seed": int, "cycle": int})


class Source:
    """What a report is of.

    Attributes
    ----------
    name : str
    curves : DataFrame
        As `tables.curves`, possibly with chains, seeds and cycles that are not there; empty where nothing is.
    settings : dict
        Of the tables, see DEFAULTS.
    config : dict or None
        The study's config where it is known.
    folder : Path or None
    """

    def __init__(self, name, curves, settings=None, config=None, folder=None, expected=None):
        self.name, self.curves, self.config, self.folder = name, curves, config, folder and Path(folder)
        self.settings = DEFAULTS | (settings or {})
        self.settings["reference_learner"] = self.settings["reference_learner"] or curves.learner.iloc[0]
        self.expected = expected
        self._tables = {"curves": curves}

    def table(self, name):
        """Return a table, from its file where the study has written it, else made of the curves; None without any."""
        if name not in self._tables:
            path = self.folder and self.folder / f"{name}.csv"
            if path and path.exists() and self.whole:
                self._tables[name] = read_table(str(path))
            elif name in COMPARED and all(self.curves[key].nunique() >= n for key, n in COMPARED[name].items()):
                plugin = import_module(f"poolflow.tables.{name}").table
                names = plugin.__code__.co_varnames[1 : plugin.__code__.co_argcount]
                self._tables[name] = plugin(self, **{key: self.settings[key] for key in names})
            else:
                self._tables[name] = None
        return self._tables[name]

    @cached_property
    def whole(self):
        """Return whether the curves are those of the study's own curves.csv."""
        return self.expected is None

    def chains(self):
        """Return [(data set, learner, initial pool, strategy)], in the order of the study."""
        return list(self.curves[CHAIN[:-1]].drop_duplicates().itertuples(index=False, name=None))

    def missing(self):
        """Return {(data set, learner, initial pool, strategy): [(seed, cycles that are there, of how many)]}.

        What is expected is what the study asks for, or else every cycle of every chain at every seed that any has.
        """
        curves, metric = self.curves, self.settings["metric"]
        there = curves[np.isfinite(curves[metric])] if metric in curves else curves
        counts = there.groupby([*CHAIN[:-1], "seed"]).size().to_dict() if len(there) else {}
        if self.expected:
            chains, seeds, cycles = self.expected
        else:
            chains = [
                (*setting, pool, strategy)
                for setting, rows in curves.groupby(["dataset", "learner"], sort=False)
                for pool, strategy in itertools.product(rows.initial_pool.unique(), rows.strategy.unique())
            ]
            seeds, cycles = sorted(curves.seed.unique().tolist()), int(curves.cycle.max())
        found = {}
        for chain in chains:
            for seed in seeds:
                if counts.get((*chain, seed), 0) <= cycles:
                    found.setdefault(tuple(chain), []).append((seed, counts.get((*chain, seed), 0), cycles + 1))
        return found

    def figures(self):
        """Yield (path below figures/, PNG bytes) of all figures that are there, sorted."""
        root = self.folder / "figures" if self.folder else None
        for path in sorted(root.rglob("*.png")) if root and root.exists() else ():
            yield str(path.relative_to(root).with_suffix("")), path.read_bytes()

    def costs(self):
        """Return a row for each finished job, by benchmarks/: stage, seconds, cpu (s), memory (MB), disk (bytes)."""
        rows = []
        root = self.folder / "benchmarks" if self.folder else None
        for path in sorted(root.rglob("*.tsv")) if root and root.exists() else ():
            try:
                with open(path, newline="", encoding="utf-8") as file:
                    (row,) = csv.DictReader(file, delimiter="\t")
                    sizes = [size for size, _ in json.loads(row["wrote"]).values()]
                    numbers = [float(row[key]) for key in ("s", "cpu_time", "max_rss")]
            except (ValueError, KeyError, TypeError, OSError):
                continue  # being written, or of an older version: nothing is known
            rows.append([stage_of(path.relative_to(root)), *numbers, sum(sizes)])
        return pd.DataFrame(rows, columns=["stage", "seconds", "cpu", "memory", "disk"])

    def datasets(self):
        """Return {data set: attributes} of the data sets that are there: summary, versions, code, ..."""
        found = {}
        for name in dict.fromkeys(self.curves.dataset) if self.folder else ():
            path = self.folder / paths.dataset(name)
            if path.exists():
                with store.read(str(path)) as file:
                    found[name] = {
                        key: value.decode() if isinstance(value, bytes) else value for key, value in file.attrs.items()
                    }
        return found

    def asked(self, chain, seed):
        """Yield (cycle, rows, scores, predicted) of what a chain asked for, best first; nothing where it is not there.

        `predicted` (n,) are classes, or None where the network's probabilities were not kept.
        """
        dataset, learner, pool, strategy = chain
        cycles = self.curves[(self.curves[CHAIN[:-1]] == list(chain)).all(axis=1)]
        last = int(cycles.cycle.max())
        variant = cycles.variant.iloc[0]
        path = (
            self.folder
            / paths.cycle(dataset, learner, f"{pool}/{strategy}" if last else pool, seed, last)
            / "labeled.h5"
        )
        if not path.exists():
            return
        rows, scores, since = read_labeled(str(path), np.iinfo(np.int64).max)
        for cycle in range(last + 1):
            predicted = None
            if cycle:
                before = f"{pool}/{strategy}" if cycle > 1 else "+".join(filter(None, [pool, variant]))
                probs = self.folder / paths.cycle(dataset, learner, before, seed, cycle - 1) / "probs.h5"
                if probs.exists():
                    with store.read(str(probs)) as file:
                        predicted = store_rows(file["probs"], rows[since == cycle]).argmax(axis=1)
            yield cycle, rows[since == cycle], scores[since == cycle], predicted

    def pool(self, dataset, seed):
        """Return the pool of a repetition, or None where its files are not there."""
        files = [self.folder / paths.pool(dataset, seed), self.folder / paths.dataset(dataset)]
        return KnownPool(*map(str, files)) if all(map(os.path.exists, files)) else None

    def images(self, dataset, pool, rows):
        """Return images (n, H, W, C) uint8 of rows of a pool, or None for a data set of features."""
        with store.read(str(self.folder / paths.dataset(dataset))) as file:
            return None if "features" in file["train"] else pool.candidates.read(file, rows)

    def names(self, dataset):
        """Return the file names (N,) of the training images of a data set, None where it has none."""
        with store.read(str(self.folder / paths.dataset(dataset))) as file:
            return file["train/names"].asstr()[:] if "names" in file["train"] else None


def store_rows(dataset, rows):
    """Return some rows of an HDF5 data set, in any order."""
    order = np.unique(rows)
    return dataset[order][np.searchsorted(order, rows)]


def stage_of(path):
    """Return the stage that left a file in benchmarks/."""
    name = path.stem
    if len(path.parts) == 1:
        return "table" if name != "report" else "report"
    if path.parts[0] == "figures":
        return "figure"
    if name in ("train", "acquire", "dataset", "download", "initial_pool", "tsne", "weights", "embed"):
        return name
    if "pretext" in path.parts:
        return "pretrain" if name in ("pretrain", "model") else "pretext output"
    return "pool" if "pool" in path.parts else "predict"


def of_file(path):
    """Return the source of a curves.csv alone."""
    return Source(Path(path).stem, checked_curves(path))


def of_folder(folder, settings=None, config=None):
    """Return the source of a study's folder."""
    if not os.path.isdir(folder):
        raise StageError(f"{folder}: found no such folder, expected results/<study> or a curves.csv")
    if not os.path.exists(f"{folder}/curves.csv"):
        raise StageError(
            f"{folder}: found no curves.csv, as the study is not finished; make report CONFIG=... shows what is there"
        )
    return Source(Path(folder).name, checked_curves(f"{folder}/curves.csv"), settings, config, folder)


def of_study(study, settings, config, folder):
    """Return the source of a study that may be unfinished: its curves are made of the metrics.json that are there.

    `study` has its axes, `variants` {strategy: variant} and `cycles`.
    """
    rows, chains = [], []
    for dataset, learner, pool, strategy in itertools.product(
        study["datasets"], study["learners"], study["initial_pools"], study["strategies"]
    ):
        chains.append((dataset, learner, pool, strategy))
        variant = study["variants"][strategy]
        for seed, cycle in itertools.product(study["seeds"], range(study["cycles"] + 1)):
            first = "+".join(filter(None, [pool, variant]))
            place = paths.cycle(dataset, learner, f"{pool}/{strategy}" if cycle else first, seed, cycle)
            path = f"{folder}/{place}/metrics.json"
            if os.path.exists(path):
                metrics = store.read_json(path)
                values = [metrics.get(metric) for metric in METRICS]
                rows.append([dataset, learner, pool, strategy, variant, seed, cycle, *values])
    curves = pd.DataFrame(rows, columns=[*CHAIN, "seed", "cycle", *METRICS]).dropna(axis="columns", how="all")
    if curves.empty:
        raise StageError(f"{folder}: found no metrics.json of the study, expected one trained network or more")
    expected = chains, list(study["seeds"]), study["cycles"]
    return Source(Path(folder).name, curves, settings, config, folder, expected)
