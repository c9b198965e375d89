"""Layer-wise adaptive rates for stochastic gradient descent with large batches."""

import inspect

import torch


class Lars(torch.optim.Optimizer):
    """SGD with momentum whose rate for each layer is scaled (You, Gitman & Ginsburg 2017, algorithm 1).

    v <- momentum v + lr trust |w| / (|g| + weight_decay |w|) (g + weight_decay w), w <- w - v. Biases and norms
    (ndim <= 1) are neither scaled nor decayed, as in the code of SimCLR (Chen et al. 2020). Where |w| or |g| is 0
    nothing is scaled.
    """

    add_param_group = inspect.unwrap(torch.optim.Optimizer.add_param_group)  # the wrapper imports torch.compile

    def __init__(self, parameters, lr, momentum=0.9, weight_decay=0.0, trust=0.001):
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "trust": trust})

    @torch.no_grad()
    def step(self):
        """Update the parameters that have a gradient."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                change = weight.grad * group["lr"]
                if weight.ndim > 1:
                    size, slope, decay = weight.norm(), weight.grad.norm(), group["weight_decay"]
                    local = group["trust"] * size / (slope + decay * size)
                    change.add_(weight, alpha=group["lr"] * decay).mul_(torch.where(size * slope > 0, local, 1.0))
                state = self.state[weight]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(weight)
                weight.sub_(state["momentum"].mul_(group["momentum"]).add_(change))
