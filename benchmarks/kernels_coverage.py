"""ProbCover, MaxHerding and TypiClust beside straightforward implementations, on one thread.

    python benchmarks/kernels_coverage.py [--runs 5] [--rows 50000] [--kernels prob_cover max_herding typiclust]
        [--features FILE.npy]   # (N, D), a third kind

CPU seconds on one thread, medians; contenders take turns, and one that takes more than 20 s runs once. Peak memory is
what a contender adds to the input. The straightforward ones: the graph by `torch.cdist` in blocks of 500 rows and the
greedy loop of the published ProbCover, with all rows as sources; the published MaxHerding, which holds the kernel
matrix in float32; scikit-learn's `KMeans`, and the `MiniBatchKMeans` of the published TypiClust, with the neighbours
within a cluster by faiss.
"""

import argparse
import sys
from functools import partial

from turns import HEADER, report, take_turns  # sets the threads: before NumPy

# isort: split
import numpy as np
import scipy.sparse  # noqa: F401  (imported before anything is measured)
import torch
from common import ROOT, machine
from sklearn.cluster import KMeans, MiniBatchKMeans

try:
    import faiss
except ImportError:
    faiss = None

sys.path.insert(0, str(ROOT / "workflow"))

from poolflow.kernels import max_herding, prob_cover, typicality, typiclust

NONE = np.array([], np.int64)


def clustered(size, width=512, seed=0, clusters=100, decay=0.7):
    """Return features in clusters of different widths, variances falling as k^-1.4, (size, width) float32."""
    rng = np.random.default_rng(seed)

    def drawn(count):
        basis = np.linalg.qr(rng.standard_normal((width, width)))[0]
        scales = np.arange(1.0, width + 1) ** -decay
        scales /= np.linalg.norm(scales)
        return rng.standard_normal((count, width), np.float32) @ (basis * scales).T.astype("f4")

    means, around = drawn(clusters), drawn(size)
    around *= rng.gamma(4, 0.25, (size, 1)).astype(np.float32)
    return 1.5 * means[rng.integers(clusters, size=size)] + np.float32(0.7) * around


def unit_vectors(size, width=512, seed=1, clusters=100):
    """Return unit vectors around random directions, with as much noise as direction in every dimension."""
    rng = np.random.default_rng(seed)
    means = rng.standard_normal((clusters, width), np.float32)[rng.integers(clusters, size=size)]
    rows = means + rng.standard_normal((size, width), np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def distance_quantile(features, share):
    """Return the distance below which that share of the pairs of rows is, from 1,000 rows."""
    sample = features[np.linspace(0, len(features) - 1, 1000).astype(int)].astype(np.float64)
    norms = (sample**2).sum(axis=1)
    squared = norms[:, None] + norms - 2 * sample @ sample.T
    return float(np.sqrt(np.quantile(squared[np.triu_indices(1000, 1)], share)))


def picks_of(kernel, features, budget, radius):
    return kernel(features, NONE, budget, radius)[0].tolist()


def cdist_cover(features, budget, delta):
    tensor = torch.from_numpy(features)
    rows, columns = [], []
    for start in range(0, len(features), 500):
        x, y = (torch.cdist(tensor[start : start + 500], tensor) < delta).nonzero().T
        rows.append((x + start).numpy())
        columns.append(y.numpy())
    rows, columns = np.concatenate(rows), np.concatenate(columns)
    picks = []
    for _ in range(budget):
        picks.append(int(np.bincount(rows, minlength=len(features)).argmax()))
        left = ~np.isin(columns, columns[rows == picks[-1]])
        rows, columns = rows[left], columns[left]
    return picks


def matrix_herding(features, budget, sigma):
    norms = np.einsum("nd,nd->n", features, features)
    kernel = features @ features.T
    kernel *= 2
    kernel -= norms
    kernel -= norms[:, None]
    kernel /= sigma**2
    np.exp(kernel, out=kernel)
    nearest, picks = np.zeros(len(features), np.float32), []
    for _ in range(budget):
        gains = np.concatenate([np.maximum(block - nearest, 0).mean(axis=1) for block in np.array_split(kernel, 64)])
        gains[picks] = -1
        picks.append(int(gains.argmax()))
        np.maximum(nearest, kernel[picks[-1]], out=nearest)
    return picks


def faiss_typical(features, budget, batches):
    if batches:
        kmeans = MiniBatchKMeans(min(budget, 500), batch_size=5000, random_state=0)
    else:
        kmeans = KMeans(min(budget, 500), n_init=1, random_state=0)
    clusters = kmeans.fit_predict(features)
    for cluster in np.argsort(-np.bincount(clusters), kind="stable")[:budget]:
        members = features[clusters == cluster]
        if len(members) <= typicality.SMALL:
            break
        index = faiss.IndexFlatL2(features.shape[1])
        index.add(members)
        distances, _ = index.search(members, min(20, len(members) // 2) + 1)
        distances[:, 1:].mean(axis=1).argmin()
    return inertia(features, clusters)


def inertia(features, clusters):
    rest = (features[clusters == cluster] for cluster in np.unique(clusters))
    return float(sum(((rows - rows.mean(axis=0)) ** 2).sum(dtype=np.float64) for rows in rest))


def in_common(measured):
    """Return how to say how many picks a contender shares with the first one."""
    first = set(next(iter(measured.values()))[2])
    return lambda picks: f"{len(first & set(picks))} of {len(picks)} picks equal"


def compare_prob_cover(kind, features, runs):
    for share in (0.0005, 0.002):
        delta = distance_quantile(features, share)
        measured = take_turns(
            {
                "poolflow": partial(picks_of, prob_cover, features, 50, delta),
                "cdist graph": partial(cdist_cover, features, 50, delta),
            },
            runs,
        )
        report(f"ProbCover, {kind}, b=50, delta={delta:.3g} ({share:.2%} of the pairs)", measured, in_common(measured))


def compare_max_herding(kind, features, runs):
    few = features[:20_000]
    sigma = distance_quantile(few, 0.01)
    measured = take_turns(
        {
            "poolflow": partial(picks_of, max_herding, few, 50, sigma),
            "kernel matrix": partial(matrix_herding, few, 50, sigma),
        },
        runs,
    )
    report(f"MaxHerding, {kind}, {len(few)} rows, b=50, sigma={sigma:.3g}", measured, in_common(measured))


def compare_typiclust(kind, features, runs):
    for budget in (10, 500):
        contenders = {"poolflow": partial(typiclust, features, NONE, budget, np.random.default_rng(0))}
        if faiss:
            contenders["KMeans + faiss"] = partial(faiss_typical, features, budget, False)
            contenders["MiniBatchKMeans + faiss"] = partial(faiss_typical, features, budget, True)
        measured = take_turns(contenders, runs)
        clusters = typicality._kmeans(features, budget, np.random.default_rng(0))  # those of the run above
        seconds, memory, _, times = measured["poolflow"]
        measured["poolflow"] = seconds, memory, inertia(features, clusters), times
        reference = measured.get("KMeans + faiss", measured["poolflow"])[2]
        report(f"TypiClust, {kind}, b={budget}", measured, lambda value, all_=reference: f"inertia {value / all_:.4f}")


COMPARISONS = {"prob_cover": compare_prob_cover, "max_herding": compare_max_herding, "typiclust": compare_typiclust}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--features")
    parser.add_argument("--kernels", nargs="+", choices=COMPARISONS, default=COMPARISONS)
    options = parser.parse_args()
    kinds = {"clustered": clustered, "unit vectors": unit_vectors}
    if options.features:
        kinds["given"] = lambda size: np.load(options.features)[:size]
    torch.set_num_threads(1)
    print(machine(), HEADER, sep="\n\n")
    for kind, make in kinds.items():
        features = make(options.rows)
        for kernel in options.kernels:
            COMPARISONS[kernel](f"{kind} {'x'.join(map(str, features.shape))}", features, options.runs)


if __name__ == "__main__":
    main()
