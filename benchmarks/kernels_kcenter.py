"""Time k-center greedy beside brute force and published loops, on one thread; one table.

    python benchmarks/kernels_kcenter.py [--runs 5] [--features FILE.npz]   # clustered, unit vectors, and `features`
    python benchmarks/kernels_kcenter.py --growth                           # 10^4 to 10^6 rows, the last from HDF5

Seconds are CPU seconds of the process, medians of runs in which the contenders take turns; the slow ones run once.
"""

import argparse
import resource
import sys
import tempfile
import time
import tracemalloc
from functools import partial
from pathlib import Path

import h5py
import numpy as np
from common import ROOT, machine
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(ROOT / "workflow"))

from poolflow.kernels import k_center_greedy


def clustered(size, width, seed=0, clusters=100, decay=0.7):
    """Return features in clusters of different widths, variances falling as k^-2 decay, (size, width) float32."""
    rng = np.random.default_rng(seed)

    def drawn(count):
        basis = np.linalg.qr(rng.standard_normal((width, width)))[0]
        scales = np.arange(1.0, width + 1) ** -decay
        scales /= np.linalg.norm(scales)
        return rng.standard_normal((count, width), np.float32) @ (basis * scales).T.astype("f4")

    means, around = drawn(clusters), drawn(size)
    around *= rng.gamma(4, 0.25, (size, 1)).astype(np.float32)
    return 1.5 * means[rng.integers(clusters, size=size)] + np.float32(0.7) * around


def unit_vectors(size, width, seed=1, clusters=100):
    """Return unit vectors around random directions, with as much noise as direction in every dimension."""
    rng = np.random.default_rng(seed)
    means = rng.standard_normal((clusters, width), np.float32)[rng.integers(clusters, size=size)]
    rows = means + rng.standard_normal((size, width), np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def brute_numpy(features, labeled, budget):
    """Incremental brute force in float32: a blocked product for the labelled rows, then one vector a pick."""
    norms = np.einsum("ij,ij->i", features, features)
    nearest = np.full(len(features), np.inf, np.float32)
    for start in range(0, len(labeled), 500):
        centres = labeled[start : start + 500]
        products = features @ (-2 * features[centres].T)
        products += norms[centres]
        np.minimum(nearest, products.min(axis=1), out=nearest)
    nearest += norms
    nearest[labeled] = -1
    picks = []
    for _ in range(budget):
        pick = nearest.argmax()
        picks.append(pick)
        squared = features @ (-2 * features[pick])
        squared += norms
        squared += norms[pick]
        np.minimum(nearest, squared, out=nearest)
        nearest[pick] = -1
    return np.array(picks)


def brute_torch(features, labeled, budget):
    """The same in torch."""
    import torch

    features, labeled = torch.from_numpy(features), torch.from_numpy(labeled)
    norms = (features * features).sum(1)
    nearest = torch.full((len(features),), torch.inf)
    for centres in labeled.split(500):
        nearest = torch.minimum(nearest, (norms[centres] - 2 * (features @ features[centres].T)).amin(1))
    nearest += norms
    nearest[labeled] = -1
    picks = []
    for _ in range(budget):
        pick = int(nearest.argmax())
        picks.append(pick)
        nearest = torch.minimum(nearest, norms + norms[pick] - 2 * torch.mv(features, features[pick]))
        nearest[pick] = -1
    return np.array(picks)


def loop_sklearn(features, labeled, budget):
    """The loop of published core-set code: scikit-learn's pairwise_distances, once a pick."""
    from sklearn.metrics import pairwise_distances

    nearest = np.full(len(features), np.inf)
    for start in range(0, len(labeled), 500):
        nearest = np.minimum(nearest, pairwise_distances(features, features[labeled[start : start + 500]]).min(axis=1))
    picks = []
    for _ in range(budget):
        picks.append(nearest.argmax())
        nearest = np.minimum(nearest, pairwise_distances(features, features[picks[-1:]])[:, 0])
    return np.array(picks)


def scikit_activeml(features, labeled, budget):
    """scikit-activeml's CoreSet."""
    from skactiveml.pool import CoreSet

    labels = np.full(len(features), np.nan)
    labels[labeled] = 0
    return CoreSet(random_state=0).query(features, labels, batch_size=budget)


def seconds(contenders, runs):
    """Return each contender's median CPU seconds and its last result; (name, function, once) take turns."""
    times, results = {name: [] for name, *_ in contenders}, {}
    for run in range(runs):
        for name, function, once in contenders:
            if run == 0 or not once:
                start = time.process_time()
                results[name] = function()
                times[name].append(time.process_time() - start)
    return {name: float(np.median(values)) for name, values in times.items()}, results


def peak(function):
    """Return the MiB that NumPy allocates at most, beside the input."""
    tracemalloc.start()
    function()
    size = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    return size


def installed(*functions):
    """Return those of the functions whose library can be imported."""
    names = {"loop_sklearn": "sklearn", "scikit_activeml": "skactiveml", "brute_torch": "torch"}
    found = []
    for function in functions:
        try:
            __import__(names.get(function.__name__, "numpy"))
            found.append(function)
        except ImportError:
            print(f"{function.__name__}: not installed", file=sys.stderr)
    return found


def compare(inputs, runs):
    print("| input | labelled | picks | contender | CPU s | poolflow is faster by | peak MiB | equal picks |")
    print("|---|---|---|---|---|---|---|---|")
    settings = [
        (50_000, 512, 5_000, 1_000, (brute_numpy, brute_torch, loop_sklearn)),
        (50_000, 512, 5_000, 5_000, (brute_numpy, brute_torch)),
        (10_000, 512, 100, 500, (brute_numpy, scikit_activeml)),
        (1_500, 128, 100, 100, (brute_numpy, brute_torch, loop_sklearn)),
    ]
    for name, make in reversed(inputs.items()):
        for size, width, labels, budget, others in settings:
            features = np.ascontiguousarray(make(50_000 if make.__name__ == "<lambda>" else size, width)[:size, :width])
            labeled = np.random.default_rng(5).choice(size, labels, replace=False)
            contenders = []
            for function in (k_center_greedy, *installed(*others)):
                once = function != k_center_greedy and (function != brute_numpy or budget == 5_000)
                contenders.append((function.__name__, partial(function, features, labeled, budget), once))
            times, results = seconds(contenders, runs if size > 1_500 else 5 * runs)
            ours, picks = times["k_center_greedy"], results["k_center_greedy"]
            for contender, function, _ in contenders:
                traced = f"{peak(function):.0f}" if contender == "k_center_greedy" else "-"
                equal = f"{np.mean(results[contender] == picks):.1%}"
                print(
                    f"| {name} {size} x {width} | {labels} | {budget} | {contender} | {times[contender]:.4g} "
                    f"| {times[contender] / ours:.2f} | {traced} | {equal} |",
                    flush=True,
                )


def growth():
    print("| rows x 256 | labelled | picks | features | CPU s | peak MiB of the process |")
    print("|---|---|---|---|---|---|")
    for size, budget in ((10_000, 1_000), (100_000, 1_000), (1_000_000, 1_000), (1_000_000, 10_000)):
        labeled = np.random.default_rng(5).choice(size, 1_000, replace=False)
        with tempfile.TemporaryDirectory() as folder, h5py.File(Path(folder) / "features.h5", "w") as file:
            stored = file.create_dataset("features", (size, 256), "f4")
            for start in range(0, size, 10_000):
                stored[start : start + 10_000] = clustered(10_000, 256, seed=start)
            start = time.process_time()
            k_center_greedy(stored, labeled, budget)
            used = time.process_time() - start
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"| {size} | 1000 | {budget} | HDF5 | {used:.2f} | {memory:.0f} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--features", type=Path, help="an .npz with `features` (N, D) float32")
    parser.add_argument("--growth", action="store_true")
    arguments = parser.parse_args()
    print(f"{machine()}, NumPy {np.__version__}, {arguments.threads} thread(s)\n")
    inputs = {"unit vectors": unit_vectors, "clustered": clustered}
    if arguments.features:
        inputs["real"] = lambda size, width: np.load(arguments.features)["features"]
    with threadpool_limits(arguments.threads):
        if "torch" in sys.modules or installed(brute_torch):
            import torch

            torch.set_num_threads(arguments.threads)
        growth() if arguments.growth else compare(inputs, arguments.runs)
