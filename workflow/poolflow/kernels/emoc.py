"""How much a step of training on one image would change what a network says of others, to first order."""

import numpy as np
import torch
import torch.nn.functional as F

BATCH = 250  # references in one forward pass


def output_change(network, references, image, labels):
    """Return mean_x || J(x) grad L(image, label) ||_1 for each of the labels, without the learning rate.

    Kaeding et al. (2016), eq. 4: J(x) is the Jacobian of the logits for x with respect to all parameters, L the
    cross-entropy. The gradient is one direction in the space of parameters, and the change along it is computed in
    forward mode, for a batch of references at once: no Jacobian is stored.

    Parameters
    ----------
    network : torch.nn.Module in eval mode, maps (n, ...) to logits (n, C)
    references : (R, ...) tensor
    image : (1, ...) tensor
    labels : sequence of int

    Returns
    -------
    list of float

    Notes
    -----
    Time: a backward pass for the image and about three forward passes for all references, a label. Memory: three
    times the parameters, and the activations of a forward pass of 250 references.
    """
    weights = dict(network.named_parameters())
    point = {name: weight.detach() for name, weight in weights.items()}
    # Not torch.func.grad: it imports torch.compile, which takes a second.
    log_probs = F.log_softmax(network(image), dim=1)[0]
    changes = []
    for label in labels:
        gradients = torch.autograd.grad(-log_probs[label], tuple(weights.values()), retain_graph=True)
        step = dict(zip(weights, gradients, strict=True))
        total = 0.0
        for batch in references.split(BATCH):
            with torch.no_grad():
                change = torch.func.jvp(
                    lambda at, x=batch: torch.func.functional_call(network, at, (x,)), (point,), (step,)
                )[1]
            total += change.abs().sum(dtype=torch.float64).item()
        changes.append(total / len(references))
    return changes


def last_layer_change(probs, features, references):
    """Return `output_change` for each image and each label, of the parameters of a last linear layer alone, (n, C).

    The gradient of the cross-entropy with respect to its weights and biases is (p - e_y) (h, 1)^T, which changes the
    logits of a reference by (p - e_y) (h^T h_x + 1): the sum of their absolute values is 2 (1 - p_y) |h^T h_x + 1|.

    Parameters
    ----------
    probs : (n, C) float
        The softmax outputs.
    features : (n, D) float
        h, the inputs of the last layer.
    references : (R, D) float
        h_x, those of the references.

    Returns
    -------
    (n, C) float64

    Notes
    -----
    O(n R D) time; memory a block of n x R.
    """
    references = np.asarray(references, dtype=np.float64)
    reach = np.empty(len(features))
    for start in range(0, len(features), BATCH):
        block = np.asarray(features[start : start + BATCH], dtype=np.float64)
        reach[start : start + BATCH] = np.abs(block @ references.T + 1).mean(axis=1)
    return 2 * (1 - np.asarray(probs, dtype=np.float64)) * reach[:, None]
