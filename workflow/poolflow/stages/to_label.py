"""Stage: name the images that a study asks for."""

import itertools

import numpy as np
import pandas as pd

from poolflow.data import store
from poolflow.data.known_pool import KnownPool, check_rows
from poolflow.data.labeled import read_labeled
from poolflow.job import StageError

KEYS = ["dataset", "learner", "initial_pool", "strategy", "seed"]


def main(job, results, out):
    """Write `to_label.csv`: the images that the last cycle of each chain asks for, in the order asked for.

    A row has the data set, learner, initial pool, strategy and seed, the `rank` from 1, the `file` below the data set's
    `path`, the `score`, and the `label`, empty where there is none yet. With `cycles` 0 they are those of the initial
    pools: the same for every learner and strategy, so these two columns are not there.
    """
    config, cycle, tables = job.config, job.config["cycles"], []
    if not config["dataset"]:
        raise StageError("no data set of the study knows the files of its images, as image_folder does")
    for names in itertools.product(*(config[key] for key in KEYS)):
        dataset, learner, pool, strategy, seed = names
        known = KnownPool(f"{results}/{dataset}/pool/seed{seed}.h5", f"{results}/{dataset}/dataset.h5")
        chain = f"{pool}/{strategy}" if cycle else pool
        path = f"{results}/{dataset}/{learner}/{chain}/seed{seed}/cycle{cycle}/labeled.h5"
        rows, scores, cycles = read_labeled(path)
        check_rows(path, rows, len(known))
        rows, scores = rows[cycles == cycle], scores[cycles == cycle]
        with store.read(f"{results}/{dataset}/dataset.h5") as file:
            files = file["train/names"].asstr()[:][known.candidates.indices[rows]]
        table = pd.DataFrame({"rank": np.arange(len(rows)) + 1, "file": files, "score": scores})
        for place, (key, name) in enumerate(zip(KEYS, names, strict=True)):
            table.insert(place, key, name)
        tables.append(table.assign(label=np.array([*known.names, ""])[known.classes[rows]]))
    table = pd.concat(tables).drop(columns=[] if cycle else ["learner", "strategy"])
    with store.replacing(out) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")
