"""Stage: lay a sample of the pool out in two dimensions, by the features of a pretext task."""

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from poolflow.data import store
from poolflow.data.candidates import Candidates
from poolflow.data.labeled import read_labeled
from poolflow.data.rows import take
from poolflow.job import Damaged, StageError

DIMENSIONS = 50  # kept by PCA


def main(job, pool, features, out, labeled=()):
    """Write `tsne.h5`: `rows` (n,) int64, ascending pool rows, and `embedding` (n, 2) float32, where each of them lies.

    t-SNE of van der Maaten (2014) as scikit-learn has it, with its defaults (Barnes-Hut, perplexity 30, started from
    PCA), on the first 50 principal components. The sample has at most `config["rows"]` rows: all those of the
    `labeled` initial pools and as many others, drawn at random, as there is room for; where the initial pools alone
    have more, that many of theirs, drawn at random. Cost: O(n log n), 20 s for 5,000 rows.
    """
    size = len(Candidates(pool))
    chosen = np.unique(np.concatenate([read_labeled(path, size)[0] for path in labeled]))
    rows = sample(chosen, size, job.config["rows"], job.rng("rows"))
    with store.read(features) as file:
        shape = file["features"].shape
        if len(shape) != 2 or shape[0] != size or shape[1] < 2 or len(rows) < 4:
            raise StageError(
                f"{features}: found features {shape} for a pool of {size}, expected ({size}, D) with at least 4 rows "
                "and D at least 2"
            )
        values = take(file["features"], rows)
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        raise Damaged(f"{features}: found {values[row, column]} in row {rows[row]}, expected finite numbers")
    if not np.ptp(values, axis=0).any():
        raise StageError(f"{features}: found the same features in every row, expected features that tell rows apart")
    rng = job.rng("t-SNE")
    seeds = rng.integers(2**31, size=2).tolist()
    components = min(DIMENSIONS, *values.shape)
    values = PCA(components, svd_solver="randomized", random_state=seeds[0]).fit_transform(values)
    perplexity = min(30, (len(rows) - 1) / 3)
    embedding = TSNE(perplexity=perplexity, random_state=seeds[1], n_jobs=1).fit_transform(values)
    with store.create(out, job) as file:
        store.put(file, "rows", rows)
        store.put(file, "embedding", embedding.astype(np.float32))


def sample(chosen, size, limit, rng):
    """Return at most `limit` of `size` rows, ascending: all of the `chosen` (k,) and random others, or some of them."""
    if len(chosen) >= limit:
        return np.sort(rng.choice(chosen, limit, replace=False))
    others = np.setdiff1d(np.arange(size), chosen)
    drawn = rng.choice(others, min(limit - len(chosen), len(others)), replace=False)
    return np.sort(np.concatenate([chosen, drawn]))
