"""Stage: train the network on the labelled images and test it."""

import copy
import math
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from tqdm import trange

from poolflow import networks, store
from poolflow.augmentation import augment, cutout
from poolflow.candidates import Candidates, inputs
from poolflow.labeled import read_labeled
from poolflow.loss_prediction import STOP, WEIGHT, LossPrediction, ranking_loss
from poolflow.optimizers import make_optimizer
from poolflow.stage import StageError, run


def main(job, dataset, pool, labeled, model, metrics, start=()):
    """Write `model.pt`, the weights of each member, and `metrics.json`.

    Training starts from scratch, or from the last cycle's model where `start` names it. Accuracies are fractions,
    losses mean cross-entropies in nats, both evaluated without augmentation; `seconds` is the time of the training
    loops. Acquired images without a label are not trained on. An ensemble's accuracies and losses are the means of its
    members', as those of a single network are; what the members reach together has `ensemble` in its name.
    """
    config, training = job.config, job.config["training"]
    device = networks.device(config)
    rows, _, cycles = read_labeled(labeled)
    candidates = Candidates(pool)
    with store.read(dataset) as file:
        mean, std = file.attrs["mean"], file.attrs["std"]
        labels, test_labels = (candidates.classes_of(file[f"{part}/labels"][:]) for part in ("train", "test"))
        known = labels[candidates.indices[rows]] >= 0
        if not known.any():
            raise StageError(
                f"none of the {len(rows)} images to learn from has a label; label those of to_label.csv (`snakemake "
                "to_label` with cycles: 0), move each into the folder of its class, and run `snakemake to_label` again "
                "with initial_pools: [given], initial_size: 0 and cycles: 1"
            )
        rows, cycles = rows[known], cycles[known]
        test_rows = np.flatnonzero(test_labels >= 0)
        parts = {
            "train": (candidates.read(file, rows), labels[candidates.indices[rows]]),
            "validation": (store.take(inputs(file, "train"), candidates.validation), labels[candidates.validation]),
            "test": (store.take(inputs(file, "test"), test_rows), test_labels[test_rows]),
        }
    parts = {part: tuple(map(torch.from_numpy, arrays)) for part, arrays in parts.items()}
    normalise = networks.Normalise(mean, std, device)
    images, targets = (part.to(device) for part in parts["train"])
    new = torch.from_numpy(cycles == cycles.max()) if cycles.max() > 0 else None
    last = networks.load(start[0], device) if start else [None] * config["members"]

    members, epochs, seconds = [], [], 0.0
    for member, weights in enumerate(last):
        torch.manual_seed(int(job.rng(f"train {member}" if member else "train").integers(2**63)))
        network = networks.build(config, images.shape[1:], candidates.classes).to(device)
        if weights:
            network.load_state_dict(weights)
        begin = time.perf_counter()
        epochs.append(fit(network, normalise, images, targets, training, parts["validation"], new))
        seconds += time.perf_counter() - begin
        members.append(network)

    result = {"labeled": len(rows), "unanswered": int((~known).sum()), "seconds": round(seconds, 3), "epochs": epochs}
    for part, (images, targets) in parts.items():
        if len(images):
            for key, value in evaluate(members, normalise, images, targets, training["precision"]).items():
                if key.endswith("loss") and not math.isfinite(value):
                    raise StageError(f"the {part} {key} is {value} after training; lower the learning_rate")
                result[f"{part}_{key}"] = value
    result["classes_labeled"] = torch.bincount(parts["train"][1], minlength=candidates.classes).tolist()
    result["classes_found"] = sum(count > 0 for count in result["classes_labeled"])

    states = [{key: value.cpu() for key, value in network.state_dict().items()} for network in members]
    networks.save({"states": states, "provenance": job.provenance()}, model)
    store.write_json(metrics, job, result)


def fit(network, normalise, images, labels, config, validation=None, new=None):
    """Train `network` in place and return the epoch whose weights it keeps: the last, or the best by `validation`.

    `images` are uint8 (n, H, W, C), or features (n, D) float32, on the network's device with their `labels` (n,).
    `validation` is a pair of images and labels; `new` (n,) bool marks the last cycle's images, for `replay`.
    """
    steps = math.ceil(len(images) / config["batch_size"])
    if any(isinstance(module, nn.modules.batchnorm._BatchNorm | LossPrediction) for module in network.modules()):
        steps = max(1, min(steps, len(images) // 2))  # one image alone has no variance, and no other to compare with
    total = config["iterations"] or steps * config["epochs"]
    optimizer = make_optimizer(network.parameters(), config)
    kept = copy.deepcopy(network) if config["ema"] else network
    best_accuracy, best_epoch, best_weights, step = -1.0, 0, None, 0
    for epoch in trange(1, math.ceil(total / steps) + 1, desc="epochs", mininterval=5):
        network.train()
        summed = torch.zeros((), device=labels.device)
        for batch in draw_batches(len(images), steps, config["replay"], new)[: total - step]:
            optimizer.param_groups[0]["lr"] = config["learning_rate"] * rate(step, steps, total, config)
            batch = batch.to(labels.device)
            inputs = cutout(normalise(augment(images[batch], config)), config["cutout"])
            loss = objective(network, inputs, labels[batch], config, stopped=step >= STOP * total)
            network.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
            if config["ema"]:
                average(kept, network, min(config["ema"], 1 - 1 / step))
            summed += loss.detach()
        if not torch.isfinite(summed):
            raise StageError(f"the training loss became {summed.item()} in epoch {epoch}; lower the learning_rate")
        if config["best_epoch"]:
            accuracy = evaluate([kept], normalise, *validation, config["precision"])["accuracy"]
            if accuracy > best_accuracy:
                best_weights = {key: value.clone() for key, value in kept.state_dict().items()}
                best_accuracy, best_epoch = accuracy, epoch
            elif config["patience"] and epoch - best_epoch >= config["patience"]:
                break
    network.load_state_dict(best_weights or kept.state_dict())
    return best_epoch or epoch


def objective(network, inputs, labels, config, stopped):
    """Return the loss of a mini-batch: the cross-entropy, and that of the loss-prediction module where there is one.

    Once it is `stopped`, the module goes on learning, and the network learns from the cross-entropy alone.
    """
    smoothing = config["label_smoothing"]
    if not hasattr(network, "loss_prediction"):
        logits = networks.logits(network, inputs, config["precision"])
        return F.cross_entropy(logits, labels, label_smoothing=smoothing)
    hidden, tapped = networks.tap(network, inputs, config["precision"])
    losses = F.cross_entropy(network.head(hidden), labels, label_smoothing=smoothing, reduction="none")
    predicted = network.loss_prediction([values.detach() for values in tapped] if stopped else tapped)
    return losses.mean() + WEIGHT * ranking_loss(predicted, losses)


def draw_batches(n, steps, replay, new):
    """Return the rows of an epoch's `steps` mini-batches: equal parts of a random order of all n images.

    With `replay`, from the second cycle on, that part of each batch is drawn from the older images and the rest from
    the `new` ones (Kaeding et al. 2016, section 3). A single image comes twice, for batch normalisation.
    """
    if replay and new is not None and not new.all():
        size = math.ceil(n / steps)
        older = min(max(1, round(replay * size)), size - 1) or 1
        groups = ((torch.where(~new)[0], older), (torch.where(new)[0], max(1, size - older)))
        return [torch.cat([rows[torch.randint(len(rows), (k,))] for rows, k in groups]) for _ in range(steps)]
    order = torch.randperm(n)
    return list((order if n > 1 else order.repeat(2)).tensor_split(steps))


def rate(step, steps, total, config):
    """Return the factor of the learning rate at update `step` of `total`, with `steps` of them in an epoch."""
    warmup = min(1.0, (step + 1) / max(1, config["warmup_epochs"] * steps))
    if config["schedule"] == "cosine":
        length = config["schedule_epochs"] * steps or total
        return warmup * (1 + math.cos(math.pi * min(1.0, step / length))) / 2
    if config["schedule"] == "step":
        return warmup * config["schedule_factor"] ** (step // (config["schedule_epochs"] * steps))
    return warmup


@torch.no_grad()
def average(kept, network, decay):
    """Move the weights of `kept` towards those of `network`; buffers are the network's own."""
    for old, value in zip(kept.parameters(), network.parameters(), strict=True):
        old.lerp_(value, 1 - decay)
    for old, value in zip(kept.buffers(), network.buffers(), strict=True):
        old.copy_(value)


def evaluate(members, normalise, images, labels, precision):
    """Return the means of the members' accuracies, cross-entropies in nats and accuracies by class (None: no image).

    Of several members also the accuracy and cross-entropy of their mean probabilities.
    """
    logs = [log_probs(network, normalise, images, precision) for network in members]
    accuracy, loss, by_class = zip(*(score(log, labels) for log in logs), strict=True)
    result = {
        "accuracy": float(np.mean(accuracy)),
        "loss": float(np.mean(loss)),
        "class_accuracy": [None if hits[0] is None else float(np.mean(hits)) for hits in zip(*by_class, strict=True)],
    }
    if len(members) > 1:
        together = torch.stack(logs).logsumexp(dim=0) - math.log(len(logs))
        result["ensemble_accuracy"], result["ensemble_loss"], _ = score(together, labels)
    return result


@torch.inference_mode()
def log_probs(network, normalise, images, precision):
    """Return the logarithm of the class probabilities of images, (n, classes) float64 on the CPU."""
    network.eval()
    batches = images.split(networks.evaluation_batch(images.shape[1:]))
    logits = torch.cat([networks.logits(network, normalise(batch), precision) for batch in batches])
    return logits.double().cpu().log_softmax(dim=1)


def score(log, labels):
    """Return accuracy, mean cross-entropy and each class' accuracy of log probabilities (n, classes)."""
    correct = (log.argmax(dim=1) == labels).numpy()
    hits = [correct[labels.numpy() == label] for label in range(log.shape[1])]
    return float(correct.mean()), F.nll_loss(log, labels).item(), [float(h.mean()) if len(h) else None for h in hits]


if __name__ == "__main__":
    run(main)
