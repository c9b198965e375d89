"""Stage: train the network on the labelled images and test it."""

import dataclasses
import math
import sys
import time
from importlib import import_module
from pathlib import Path

import numpy as np
import torch

from poolflow.data import store
from poolflow.data.candidates import Candidates, inputs
from poolflow.data.labeled import read_labeled
from poolflow.data.rows import take
from poolflow.job import StageError
from poolflow.training import networks, weights
from poolflow.training.device import device as device_of
from poolflow.training.evaluation import evaluate
from poolflow.training.examples import Examples
from poolflow.training.loop import fit


def main(job, draws, dataset, pool, labeled, model, metrics, start=(), pretrained=()):
    """Write `model.pt`, the weights of each member, and `metrics.json`.

    Random numbers come from `draws`, data set/learner/seed, and the cycle, in place of the job's name: trainings that
    differ in initial pool or strategy alone start from the same weights and draw the same batch orders, and so are
    compared in pairs. A cycle whose images have no label yet is that of the last labels once more: the same network.

    Training starts from scratch; with `warm_start` from the last cycle's model, which `start` names, and else from the
    network that a pretext task `pretrained`, but for the last layer. Accuracies are fractions,
    losses mean cross-entropies in nats, both evaluated without augmentation; `seconds` is the time of the training
    loops. Acquired images without a label are not trained on. An ensemble's accuracies and losses are the means of its
    members', as those of a single network are; what the members reach together has `ensemble` in its name. `tied` is
    the number of images of this cycle whose score another one of them has too, see `poolflow.selection.write`.
    """
    config = job.config
    device = device_of(config)
    candidates = Candidates(pool)
    rows, _, cycles = read_labeled(labeled, len(candidates))
    with store.read(labeled) as file:
        tied = int(file.attrs["tied"])
    with store.read(dataset) as file:
        mean, std = file.attrs["mean"], file.attrs["std"]
        labels, test_labels = (candidates.classes_of(file[f"{part}/labels"][:]) for part in ("train", "test"))
        pool_labels = labels[candidates.indices]
        known = pool_labels[rows] >= 0
        if not known.any():
            raise StageError(
                f"none of the {len(rows)} images to learn from has a label; label those of to_label.csv (`snakemake "
                "to_label` with cycles: 0), move each into the folder of its class, and run `snakemake to_label` again "
                "with initial_pools: [given], initial_size: 0 and cycles: 1"
            )
        asked, rows, cycles = cycles.max(), rows[known], cycles[known]
        test_rows = np.flatnonzero(test_labels >= 0)
        parts = {
            "train": (candidates.read(file, rows), pool_labels[rows]),
            "validation": (take(inputs(file, "train"), candidates.validation), labels[candidates.validation]),
            "test": (take(inputs(file, "test"), test_rows), test_labels[test_rows]),
        }
    parts = {part: tuple(map(torch.from_numpy, arrays)) for part, arrays in parts.items()}
    cycle = cycles.max()  # the last that brought a label
    new = torch.from_numpy(cycles == cycle) if cycle else None
    training, paired = of_cycle(config["training"], cycle), dataclasses.replace(job, name=f"{draws}/cycle{cycle}")
    normalise = networks.Normalise(mean, std, device)
    examples = Examples(*parts["train"], new, normalise, candidates, dataset, rows, cycle)
    plugin = import_module(f"poolflow.learners.{config['learner']['learner']}")
    last = weights.load(start[0], device) if start else [None] * config["members"]
    asks_last = getattr(plugin, "LAST", False)
    warm = training["warm_start"] or not asks_last
    variant = import_module(f"poolflow.variants.{config['variant']}") if "variant" in config else None

    members, epochs, seconds = [], [], 0.0
    for member, state in enumerate(last):
        torch.manual_seed(int(paired.rng(f"train {member}" if member else "train").integers(2**63)))
        network = networks.build(config, examples.images.shape[1:], candidates.classes).to(device)
        if pretrained:
            weights.give_body(network, weights.load(pretrained[0], device)[0], pretrained[0])
        if state and asks_last:
            with torch.random.fork_rng(devices=[]):
                examples.last = networks.build(config, examples.images.shape[1:], candidates.classes).to(device).eval()
            weights.give(examples.last, state, start[0])
        if state and warm:
            weights.give_mixed(network, state, start[0], training["shrink"], training["perturb"])
        examples.learned = bool(state and warm and cycle < asked)
        begin = time.perf_counter()
        learner = plugin.Learner(examples, training, **config["learner"]["parameters"])
        learner.prepare(network)
        epochs.append(0 if examples.learned else fit(network, learner, training, parts["validation"], variant))
        seconds += time.perf_counter() - begin
        members.append(network)

    result = {"labeled": len(rows), "unanswered": int((~known).sum()), "tied": tied}
    result |= {"seconds": round(seconds, 3), "epochs": epochs}
    for part, (images, targets) in parts.items():
        if len(images):
            for key, value in evaluate(members, normalise, images, targets, training["precision"]).items():
                if key.endswith("loss") and not math.isfinite(value):
                    advice = "a lower learning_rate or weight_decay may help"
                    raise StageError(f"the {part} {key} is {value} after training, which has diverged; {advice}")
                result[f"{part}_{key}"] = value
    result |= learner.metrics()
    result["classes_labeled"] = torch.bincount(parts["train"][1], minlength=candidates.classes).tolist()
    result["classes_found"] = sum(count > 0 for count in result["classes_labeled"])
    if result["classes_found"] == 1:
        print(f"train {job.name}: all {len(rows)} labels are of one class: it predicts no other", file=sys.stderr)

    beside = Path(model).with_name("pseudo_labels.h5")
    if getattr(plugin, "PSEUDO_LABELS", False):
        result |= write_pseudo_labels(beside, job, learner, pool_labels, len(examples.unlabeled))
    else:
        beside.unlink(missing_ok=True)  # of an earlier run, with another learner
    states = [{key: value.cpu() for key, value in network.state_dict().items()} for network in members]
    weights.save({"states": states, "provenance": job.provenance()}, model)
    store.write_json(metrics, job, result)


def of_cycle(training, cycle):
    """Return the settings of a cycle's training: in cycle 0 `first_epochs`, where given, are its length."""
    if cycle == 0 and training["first_epochs"]:
        return training | {"epochs": training["first_epochs"], "iterations": 0}
    return training


def write_pseudo_labels(path, job, learner, labels, unlabelled):
    """Write the last member's pseudo-labels; return how many, which part is right, and of how many unlabelled images.

    `row`, `label` and `weight` are the learner's, `right` says whether the label is the true one, from `labels` (N,).
    A pool row without a true label (-1) is not right, and does not count.
    """
    rows, classes, loads = (torch.as_tensor(values).cpu().numpy() for values in learner.pseudo_labels())
    right, known = labels[rows] == classes, labels[rows] >= 0
    with store.create(path, job) as file:
        for name, values in (("row", rows), ("label", classes), ("weight", loads), ("right", right)):
            store.put(file, name, values)
    return {
        "pseudo_labels": len(rows),
        "pseudo_accuracy": float(right[known].mean()) if known.any() else None,
        "pseudo_coverage": len(rows) / unlabelled if unlabelled else None,
    }
