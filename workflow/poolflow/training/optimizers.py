"""torch's optimizers, by the settings of a training."""

import inspect

import torch


def make_optimizer(parameters, config):
    """Return the configured optimizer."""
    settings = {"lr": config["learning_rate"], "weight_decay": config["weight_decay"], "fused": True}
    if config["optimizer"] == "sgd":
        return light(torch.optim.SGD)(parameters, momentum=config["momentum"], nesterov=config["nesterov"], **settings)
    adam = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[config["optimizer"]]
    return light(adam)(parameters, **settings)


def light(optimizer):
    """Return the optimizer class without the decorators that import torch.compile: a third of a short job."""
    optimizer.add_param_group = inspect.unwrap(optimizer.add_param_group)
    optimizer.step = torch.no_grad()(inspect.unwrap(optimizer.step))
    return optimizer
