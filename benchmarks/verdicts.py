"""What the statistics cost, and whether their error rate is what they say.

    python benchmarks/verdicts.py [ROWS]

Tables, figures and report of a made curves.csv of about so many rows (default 10,000): 5 initial pools, 8 strategies,
5 seeds, 11 cycles a data set. Then 1,000 studies in which all strategies are random: how many give a verdict that is
wrong, and how many intervals hold the true difference.
"""

import json
import sys
import tempfile
import time
from importlib import import_module

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from common import machine

from poolflow.job import Job
from poolflow.kernels import statistics
from poolflow.reporting.content import content_of
from poolflow.reporting.page import page
from poolflow.reporting.sources import COMPARED, Source
from poolflow.study import plugins, reports
from poolflow.study.config import check
from poolflow.tables._comparisons import compared

POOLS = ("random", "kmeans", "simclr", "vae", "scan")
STRATEGIES = ("random", "margin", "entropy", "coreset", "badge", "bald", "typiclust", "probcover")
AXES = {
    "datasets": "dataset",
    "learners": "learner",
    "initial_pools": "initial_pool",
    "strategies": "strategy",
    "seeds": "seed",
}
OF_CURVES = {"curves.csv", *(f"{name}.csv" for name in COMPARED)}
COLUMNS = ["dataset", "learner", "initial_pool", "strategy", "variant", "seed", "cycle", "labeled", "test_accuracy"]


def made(datasets, seeds=5, cycles=10):
    """Return the curves of chains that differ by chance alone, beside what their seed has in common."""
    rng, rows = np.random.default_rng(0), []
    for dataset in range(datasets):
        for seed in range(seeds):
            common = rng.normal(0, 0.01)
            for pool in POOLS:
                for strategy in STRATEGIES:
                    for cycle in range(cycles + 1):
                        accuracy = 0.9 - 0.5 * 0.7**cycle + common + rng.normal(0, 0.01) * (cycle > 0)
                        rows.append([f"d{dataset}", "net", pool, strategy, "", seed, cycle, 20 + 20 * cycle, accuracy])
    return pd.DataFrame(rows, columns=COLUMNS)


def drawn(curves):
    """Make the tables that are made of curves alone, and draw the figures of these, as a study's jobs do."""
    names = {key: curves[column].unique().tolist() for key, column in AXES.items()}
    strategies = {name: {"strategy": name if name == "random" else "entropy"} for name in names["strategies"]}
    study = check(
        {
            "study": "made",
            "datasets": {name: {"dataset": "digits"} for name in names["datasets"]},
            "learners": {name: {"network": "small_cnn"} for name in names["learners"]},
            "initial_pools": {name: {"initial_pool": "random"} for name in names["initial_pools"]},
            "strategies": strategies,
            "seeds": names["seeds"],
            "initial_size": 20,
            "budget": 20,
            "cycles": int(curves.cycle.max()),
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        curves.to_csv(f"{folder}/curves.csv", index=False, float_format="%.6g")
        for kind, ending in (("tables", "{}.csv"), ("figures", "figures/{}.png")):
            stage, seconds = import_module(f"poolflow.stages.{plugins.KINDS[kind][0]}"), {}
            for path, (name, _) in reports.wanted(study, kind).items():
                if name == "curves" or set(plugins.literals(kind, name)["NEEDS"]) - OF_CURVES:
                    continue
                start = time.process_time()
                job = Job(stage.__name__, path, json.loads(reports.settings(study, kind, path)), "")
                stage.main(job, f"{folder}/{ending.format(path)}")
                plt.close("all")
                seconds[name] = seconds.get(name, 0) + time.process_time() - start
            shares = ", ".join(f"{name} {value:.1f}" for name, value in seconds.items())
            print(f"all {kind}: {sum(seconds.values()):.1f} CPU s ({shares})", flush=True)


def main(rows="10000"):
    print(machine())
    curves = made(max(1, round(int(rows) / 2200)))
    drawn(curves)
    source = Source("made", curves)
    for name in COMPARED:
        start = time.process_time()
        table = source.table(name)
        print(f"{name:16} {len(table):6} rows  {time.process_time() - start:6.1f} CPU s", flush=True)
    start = time.process_time()
    text = page([content_of(source)])
    print(f"report           {len(text) / 1e6:6.2f} MB    {time.process_time() - start:6.1f} CPU s", flush=True)

    rng = np.random.default_rng(1)
    for seeds, comparisons in ((6, 1), (9, 8), (11, 35)):
        wrong, held = 0, []
        for _ in range(1000):
            differences = rng.normal(0, 0.01, (comparisons, seeds)) - rng.normal(0, 0.01, seeds)
            facts = compared(differences, list(range(seeds)), 0.05, 0.001)
            wrong += any(word in ("better", "worse") for word in facts["verdict"])
            held += [low <= 0 <= high for low, high in zip(facts["low"], facts["high"], strict=True)]
        print(
            f"{seeds} seeds, {comparisons} comparisons: {wrong / 10:.1f} % of studies with a wrong verdict, "
            f"{100 * np.mean(held):.0f} % of intervals hold",
            flush=True,
        )
    three = statistics.intervals(rng.normal(0, 1, (2000, 3)))
    print(f"3 seeds: {100 * np.mean((three[:, 0] <= 0) & (three[:, 1] >= 0)):.0f} % of intervals hold")


if __name__ == "__main__":
    main(*sys.argv[1:])
