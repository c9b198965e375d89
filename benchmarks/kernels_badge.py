"""Time BADGE beside factorised brute force and the published loop, on one thread; one table.

    python benchmarks/kernels_badge.py [--runs 5] [--features FILE.npz]

FILE.npz holds `features` (N, D) and `probs` (N, C). Seconds are CPU seconds of the process, medians of runs in which
the contenders take turns; the slow ones run once.
"""

import argparse
import sys
from functools import partial
from pathlib import Path

import numpy as np
from common import ROOT, machine
from kernels_kcenter import clustered, installed, peak, seconds
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(ROOT / "workflow"))

from poolflow.kernels import badge


def softmax_of(features, classes, sharpness):
    """Return the softmax of random linear outputs whose standard deviation is `sharpness`, (N, classes) float32."""
    logits = features @ np.random.default_rng(0).standard_normal((features.shape[1], classes), np.float32)
    logits = sharpness * (logits - logits.mean(axis=0)) / logits.std()
    weights = np.exp(logits - logits.max(axis=1, keepdims=True), dtype=np.float64)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def errors_of(probs):
    errors = probs.copy()
    errors[np.arange(len(probs)), probs.argmax(axis=1)] -= 1
    return errors


def brute_numpy(probs, features, budget):
    """Factorised brute force: two vector products a pick, and Generator.choice, which takes one number."""
    rng, errors = np.random.default_rng(0), errors_of(probs)
    squares = np.einsum("ij,ij->i", errors, errors, dtype=np.float64) * np.einsum("ij,ij->i", features, features)
    picks, nearest = [int(squares.argmax())], np.full(len(probs), np.inf)
    while len(picks) < budget:
        pick = picks[-1]
        squared = squares + squares[pick] - 2 * (errors @ errors[pick]) * (features @ features[pick])
        nearest = np.minimum(nearest, np.maximum(squared, 0))
        nearest[pick] = 0
        picks.append(rng.choice(len(probs), p=nearest / nearest.sum()))
    return np.array(picks)


def brute_torch(probs, features, budget):
    """The same in torch, which draws with torch.multinomial."""
    import torch

    generator, errors = torch.Generator().manual_seed(0), torch.from_numpy(errors_of(probs))
    features = torch.from_numpy(features)
    squares = (errors * errors).sum(1) * (features * features).sum(1)
    picks, nearest = [int(squares.argmax())], torch.full((len(probs),), torch.inf)
    while len(picks) < budget:
        pick = picks[-1]
        products = torch.mv(errors, errors[pick]) * torch.mv(features, features[pick])
        nearest = torch.minimum(nearest, (squares + squares[pick] - 2 * products).clamp(min=0))
        nearest[pick] = 0
        picks.append(int(torch.multinomial(nearest, 1, generator=generator)))
    return np.array(picks)


def loop_embeddings(probs, features, budget):
    """The loop of published code: the embeddings themselves, and their norms of differences once a pick."""
    rng = np.random.default_rng(0)
    embeddings = (errors_of(probs)[:, :, None] * features[:, None, :]).reshape(len(probs), -1)
    squares = np.einsum("ij,ij->i", embeddings, embeddings)
    picks, nearest = [int(squares.argmax())], np.full(len(probs), np.inf)
    while len(picks) < budget:
        squared = squares + squares[picks[-1]] - 2 * (embeddings @ embeddings[picks[-1]])
        nearest = np.minimum(nearest, np.maximum(squared.astype(np.float64), 0))
        nearest[picks[-1]] = 0
        picks.append(rng.choice(len(probs), p=nearest / nearest.sum()))
    return np.array(picks)


def compare(inputs, runs):
    print("| input | classes | picks | contender | CPU s | poolflow is faster by | peak MiB | equal picks |")
    print("|---|---|---|---|---|---|---|---|")
    for name, probs, features in inputs:
        for size, budget in ((50_000, 1_000), (10_000, 500)):
            chosen = probs[:size], features[:size]
            others = [
                *installed(brute_numpy, brute_torch),
                *([loop_embeddings] if size * probs.shape[1] <= 1e5 else []),
            ]
            contenders = [("badge", lambda c=chosen, b=budget: badge(*c, b, np.random.default_rng(0)), False)]
            contenders += [(f.__name__, partial(f, *chosen, budget), f == loop_embeddings) for f in others]
            times, results = seconds(contenders, runs)
            for contender, function, _ in contenders:
                traced = "-" if contender == "brute_torch" else f"{peak(function):.0f}"
                equal = "-" if contender == "brute_torch" else f"{np.mean(results[contender] == results['badge']):.1%}"
                print(
                    f"| {name} {size} x {features.shape[1]} | {probs.shape[1]} | {budget} | {contender} "
                    f"| {times[contender]:.4g} | {times[contender] / times['badge']:.2f} | {traced} | {equal} |",
                    flush=True,
                )


def generated():
    """Yield (name, probabilities, features that are not negative), as after a ReLU."""
    features = np.maximum(clustered(50_000, 512), 0)
    for classes in (10, 100):
        for name, sharpness in (("confident", 8), ("flat", 1)):
            yield name, softmax_of(features, classes, sharpness), features


def real(path):
    with np.load(path) as file:
        yield "real", file["probs"], file["features"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--features", type=Path, help="an .npz with `features` (N, D) and `probs` (N, C), float32")
    arguments = parser.parse_args()
    print(f"{machine()}, NumPy {np.__version__}, {arguments.threads} thread(s)\n")
    with threadpool_limits(arguments.threads):
        if installed(brute_torch):
            import torch

            torch.set_num_threads(arguments.threads)
        if arguments.features:
            compare(real(arguments.features), arguments.runs)
        compare(generated(), arguments.runs)
