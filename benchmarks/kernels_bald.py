"""BALD and BatchBALD beside plain NumPy, baal and batchbald-redux, where these are installed.

    python benchmarks/kernels_bald.py [--runs 5] [--probs FILE.npy]   # FILE: (N, T, C) probabilities, a third kind

CPU seconds on one thread, medians; contenders take turns, and one that takes more than 20 s runs once. Peak memory is
what a contender adds to the input.
"""

import argparse
import importlib
import sys
from functools import partial

from turns import HEADER, report, take_turns  # sets the threads: before NumPy

# isort: split
import numpy as np
import torch
from common import ROOT, machine

sys.path.insert(0, str(ROOT / "workflow"))

from poolflow.kernels import bald, batch_bald


def generated(kind, size, passes=20, classes=10, seed=0):
    """Return flat or confident probabilities, (size, passes, classes) float32."""
    rng = np.random.default_rng(seed)
    common, own = rng.normal(size=(size, 1, classes)), rng.normal(size=(size, passes, classes))
    # Confident: most rows sharp, and on some of them the passes disagree.
    logits = 0.5 * (common + own) if kind == "flat" else 4 * common + rng.gamma(1, 1.5, size=(size, 1, 1)) * own
    powers = np.exp(logits - logits.max(axis=2, keepdims=True))
    return (powers / powers.sum(axis=2, keepdims=True)).astype(np.float32)


def plain_bald(mc_probs):
    def entropies(probs):
        return -(probs * np.log(np.maximum(probs, 1e-30))).sum(axis=-1)

    return entropies(mc_probs.mean(axis=1)) - entropies(mc_probs).mean(axis=1)


def baal_batch_bald(heuristics, mc_probs, budget, samples):
    torch.manual_seed(0)
    heuristic = heuristics.BatchBALD(num_samples=budget, num_draw=samples // mc_probs.shape[2])
    return np.argsort(-heuristic.compute_score(mc_probs))[:budget]


def redux_batch_bald(batchbald, mc_probs, budget, samples):
    torch.manual_seed(0)
    return batchbald.get_batchbald_batch(torch.log(torch.from_numpy(mc_probs)), budget, samples).indices


def installed(name):
    """Return the module, imported before anything is measured, or None."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def ours(mc_probs, budget, samples):
    return batch_bald(mc_probs, budget, np.random.default_rng(0), samples)[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--probs")
    options = parser.parse_args()
    kinds = {kind: partial(generated, kind) for kind in ("flat", "confident")}
    if options.probs:
        kinds["given"] = lambda size: np.load(options.probs)[:size]
    baal, redux = installed("baal.active.heuristics"), installed("batchbald_redux.batchbald")
    torch.set_num_threads(1)
    print(machine(), HEADER, sep="\n\n")
    for kind, make in kinds.items():
        mc_probs = make(50_000)
        contenders = {"poolflow": partial(bald, mc_probs), "plain NumPy": partial(plain_bald, mc_probs)}
        if baal:
            classes_first = np.ascontiguousarray(mc_probs.transpose(0, 2, 1))
            contenders["baal"] = partial(baal.BALD().compute_score, classes_first)
        report(f"BALD, {kind}, {mc_probs.shape}", take_turns(contenders, options.runs))
    for kind, make in kinds.items():
        mc_probs = make(10_000)
        for budget, samples in ((10, 10_000), (10, 1000), (50, 1000)):
            contenders = {"poolflow": partial(ours, mc_probs, budget, samples)}
            if redux:
                contenders["batchbald-redux"] = partial(redux_batch_bald, redux, mc_probs, budget, samples)
            if baal and budget == 10 and samples == 1000:
                classes_first = np.ascontiguousarray(mc_probs.transpose(0, 2, 1))
                contenders["baal"] = partial(baal_batch_bald, baal, classes_first, budget, samples)
            measured = take_turns(contenders, options.runs)
            first = measured["poolflow"][2]

            def agreement(picks, first=first):
                same = int(np.argmax([*(a != b for a, b in zip(first, picks, strict=True)), True]))
                return f"first {same} picks equal"

            report(f"BatchBALD, {kind}, b={budget}, {samples} samples", measured, agreement)
        report(
            f"BatchBALD, {kind}, b=50, 10000 samples",
            take_turns({"poolflow": partial(ours, mc_probs, 50, 10_000)}, options.runs),
        )


if __name__ == "__main__":
    main()
