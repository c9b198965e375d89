"""The loop that trains a network: it is handed the batches and the loss."""

import math
from functools import partial

import torch
from torch import nn
from tqdm import trange

from poolflow.job import StageError
from poolflow.training import networks
from poolflow.training.average import Average
from poolflow.training.evaluation import evaluate
from poolflow.training.optimizers import make_optimizer


def fit(network, learner, config, validation=None, variant=None):
    """Train `network` in place and return the epoch whose weights it keeps: the last, or the best by `validation`.

    `learner` is a `poolflow.learners.<name>.Learner`, `config` the settings `training`; `validation` is a pair of
    images and labels, `variant` the module of a variant of the network, if it is one.
    """
    steps = math.ceil(len(learner.images) / config["batch_size"])
    normalised = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules())
    if normalised or getattr(variant, "PAIRS", False):
        steps = max(1, min(steps, len(learner.images) // 2))  # one image alone has no variance, and no other beside it
    total = config["iterations"] or steps * config["epochs"]
    optimizer = make_optimizer(groups(network, config), config)
    loss_of = getattr(variant, "loss", plain_loss)
    average = Average(network, config["ema"]) if config["ema"] else None
    device = next(network.parameters()).device
    best_accuracy, best_epoch, best_weights, step = -1.0, 0, None, 0
    for epoch in trange(1, math.ceil(total / steps) + 1, desc="epochs", mininterval=5):
        batches = learner.batches(steps)  # which may run the network
        network.train()
        if config["freeze"]:
            network.eval().head.train()
        summed = torch.zeros((), device=device)
        for batch in batches[: total - step]:
            for group in optimizer.param_groups:
                group["lr"] = config["learning_rate"] * group["part"] * rate(step, steps, total, config)
            losses_of = partial(learner.losses, rows=batch.to(device))
            loss = loss_of(network, losses_of, config["precision"], step, total)
            network.zero_grad()
            loss.backward()
            if config["l1"]:
                add_signs(network, config["l1"])
            optimizer.step()
            step += 1
            if average:
                average.follow(network, step)
            summed += loss.detach()
        if not torch.isfinite(summed):
            found = f"the training loss became {summed.item()} in epoch {epoch}"
            raise StageError(f"{found}; lower the learning_rate or the weight_decay")
        if config["best_epoch"]:
            kept = average.settle(learner, config["precision"]) if average else network
            accuracy = evaluate([kept], learner.normalise, *validation, config["precision"])["accuracy"]
            if accuracy > best_accuracy:
                best_weights = {key: value.clone() for key, value in kept.state_dict().items()}
                best_accuracy, best_epoch = accuracy, epoch
            elif config["patience"] and epoch - best_epoch >= config["patience"]:
                break
    if best_weights:
        network.load_state_dict(best_weights)
    elif average:
        network.load_state_dict(average.settle(learner, config["precision"]).state_dict())
    return best_epoch or epoch


def groups(network, config):
    """Return the parameters as the optimizer takes them; those of the body have a rate of their own, or are frozen."""
    if config["body_rate"] == 1 and not config["freeze"]:
        return [{"params": list(network.parameters()), "part": 1.0}]
    named, body = dict(network.named_parameters()), set(network.below_head)
    for name in body:
        named[name].requires_grad_(not config["freeze"])
    parts = {1.0: [value for name, value in named.items() if name not in body]}
    if not config["freeze"]:
        parts[config["body_rate"]] = [named[name] for name in network.below_head]
    return [{"params": values, "part": part} for part, values in parts.items()]


def add_signs(network, weight):
    """Add to the gradients those of `weight` times the sum of the absolute values of the parameters."""
    for value in network.parameters():
        if value.grad is not None:
            value.grad.add_(value.detach().sign(), alpha=weight)


def plain_loss(network, losses_of, precision, step, total):
    """Return the loss of a mini-batch: the mean of the learner's."""
    return losses_of(lambda inputs: networks.logits(network, inputs, precision)).mean()


def rate(step, steps, total, config):
    """Return the factor of the learning rate at update `step` of `total`, with `steps` of them in an epoch."""
    warmup = min(1.0, (step + 1) / max(1, config["warmup_epochs"] * steps))
    if config["schedule"] == "cosine":
        length = config["schedule_epochs"] * steps or total
        return warmup * (1 + math.cos(math.pi * min(1.0, step / length))) / 2
    if config["schedule"] == "step":
        return warmup * config["schedule_factor"] ** (step // (config["schedule_epochs"] * steps))
    return warmup
