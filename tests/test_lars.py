"""LARS against its formula by hand."""

import copy
import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import ROOT

from poolflow.training.lars import Lars

SETTINGS = {"lr": 0.7, "momentum": 0.9, "weight_decay": 0.01}


def layers(dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator, dtype=dtype) for shape in ((4, 3), (2, 3, 3, 3), (5,), ())]


def gradients(step):
    generator = torch.Generator().manual_seed(100 + step)
    return [torch.randn(part.shape, generator=generator, dtype=torch.float64) for part in layers()]


def by_hand(steps, lr, momentum, weight_decay, trust=0.001):
    """Algorithm 1 of You, Gitman & Ginsburg (2017) in NumPy; vectors and numbers with plain momentum."""
    weights = [part.numpy().copy() for part in layers()]
    speeds = [np.zeros_like(weight) for weight in weights]
    for step in range(steps):
        for k, gradient in enumerate(part.numpy() for part in gradients(step)):
            w, rate = weights[k], lr
            if w.ndim > 1:
                size, slope = np.sqrt((w**2).sum()), np.sqrt((gradient**2).sum())
                rate = lr * trust * size / (slope + weight_decay * size)
                gradient = gradient + weight_decay * w
            speeds[k] = momentum * speeds[k] + rate * gradient
            weights[k] = w - speeds[k]
    return weights


def walk(optimizer, parameters, steps):
    for step in steps:
        for parameter, gradient in zip(parameters, gradients(step), strict=True):
            parameter.grad = gradient
        optimizer.step()


@pytest.mark.parametrize("changes", [{}, {"weight_decay": 0.0}, {"momentum": 0.0}, {"trust": 0.1}])
def test_steps_are_those_of_the_formula(changes):
    parameters = [torch.nn.Parameter(part) for part in layers()]
    walk(Lars(parameters, **SETTINGS | changes), parameters, range(5))
    for parameter, expected in zip(parameters, by_hand(5, **SETTINGS | changes), strict=True):
        np.testing.assert_allclose(parameter.detach().numpy(), expected, rtol=1e-12, atol=1e-14)


def test_state_dict_round_trip():
    parameters = [torch.nn.Parameter(part) for part in layers()]
    optimizer = Lars(parameters, **SETTINGS)
    walk(optimizer, parameters, range(2))
    others = [torch.nn.Parameter(parameter.detach().clone()) for parameter in parameters]
    other = Lars(others, lr=1.0)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    walk(other, others, range(2, 5))
    for parameter, expected in zip(others, by_hand(5, **SETTINGS), strict=True):
        np.testing.assert_allclose(parameter.detach().numpy(), expected, rtol=1e-12, atol=1e-14)


def test_weights_or_gradients_of_zero():
    """No scale is known for them: a weight of zero moves by the plain rate, one without a gradient only decays."""
    zero, still, unused = (torch.nn.Parameter(torch.full((2, 2), value)) for value in (0.0, 1.0, 3.0))
    zero.grad, still.grad = torch.ones(2, 2), torch.zeros(2, 2)
    Lars([zero, still, unused], lr=0.5, weight_decay=0.1).step()
    assert torch.equal(zero.detach(), torch.full((2, 2), -0.5))
    torch.testing.assert_close(still.detach(), torch.full((2, 2), 1 - 0.5 * 0.1))
    assert torch.equal(unused.detach(), torch.full((2, 2), 3.0))


def test_step_does_not_import_torch_compile():
    code = "import sys, torch; from poolflow.training.lars import Lars; w = torch.nn.Parameter(torch.ones(2, 2)); "
    code += "w.grad = torch.ones(2, 2); Lars([w], lr=0.1).step(); sys.exit('torch._dynamo' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT / "workflow").returncode == 0
