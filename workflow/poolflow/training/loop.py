"""The loop that trains a network."""

import copy
import math

import torch
import torch.nn.functional as F
from torch import nn
from tqdm import trange

from poolflow.job import StageError
from poolflow.training import networks
from poolflow.training.augmentation import augment, cutout
from poolflow.training.evaluation import evaluate
from poolflow.training.loss_prediction import STOP, WEIGHT, LossPrediction, ranking_loss
from poolflow.training.optimizers import make_optimizer


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
