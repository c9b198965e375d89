"""What to label next: the images that the last cycle of each chain asks for, in the order asked for.

`rank` counts from 1, `file` is the path below the data set's `path`, and `label` is empty where there is none yet.
With `cycles: 0` they are those of the initial pools: the same for every learner and strategy, so these columns are not
there.
"""

import numpy as np
import pandas as pd

NEEDS = ("pools", "labeled")
DATASETS = "named"
KEYS = ["dataset", "learner", "initial_pool", "strategy", "seed"]


def table(results):
    """Return a row for each image asked for."""
    tables = []
    for chain in results.chains():
        dataset, seed = chain[0], chain[-1]
        pool = results.pool(dataset, seed)
        rows, cycles, scores = results.labeled(*chain, pool)
        last = cycles == results.cycles
        rows, scores = rows[last], scores[last]
        files = results.file_names(dataset)[pool.candidates.indices[rows]]
        table = pd.DataFrame({"rank": np.arange(len(rows)) + 1, "file": files, "score": scores})
        for place, (key, name) in enumerate(zip(KEYS, chain, strict=True)):
            table.insert(place, key, name)
        tables.append(table.assign(label=np.array([*pool.names, ""])[pool.classes[rows]]))
    return pd.concat(tables).drop(columns=[] if results.cycles else ["learner", "strategy"])
