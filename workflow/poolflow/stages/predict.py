"""Stage: run the trained network over the whole pool and keep one of its outputs."""

import numpy as np
import torch
from torch import nn
from tqdm import trange

from poolflow.data import store
from poolflow.data.candidates import Candidates, inputs
from poolflow.training import networks, weights
from poolflow.training.device import device as device_of


def main(job, need, dataset, pool, model, out):
    """Write `<need>.h5` with one data set of that name, float32, a row for each pool row.

    `probs` is the softmax (N, classes), the mean over an ensemble's members; `features` the penultimate layer (N, D) of
    the first member; `mc_probs` the softmax of `passes` passes with dropout (N, T, classes); `ensemble_probs` that of
    each member (N, K, classes); `predicted_loss` what the loss-prediction module says (N,). Images are read and
    results written block by block, so that memory does not grow with the pool.
    """
    config = job.config
    device = device_of(config)
    candidates = Candidates(pool)
    with store.read(dataset) as source, store.create(out, job) as target:
        shape = inputs(source, "train").shape[1:]
        members = []
        for state in weights.load(model, device):
            network = networks.build(config, shape, candidates.classes).to(device).eval()
            network.load_state_dict(state)
            members.append(network)
        if need == "mc_probs":
            torch.manual_seed(int(job.rng("passes").integers(2**63)))
        normalise = networks.Normalise(source.attrs["mean"], source.attrs["std"], device)
        size = networks.evaluation_batch(shape)
        for start in trange(0, len(candidates), size, desc=need, mininterval=5):
            rows = np.arange(start, min(start + size, len(candidates)))
            batch = torch.from_numpy(candidates.read(source, rows))
            with torch.inference_mode():
                values = output(need, members, normalise(batch), config).float().cpu().numpy()
            if not start:
                whole = (len(candidates), *values.shape[1:])
                table = target.create_dataset(need, whole, "f4", chunks=values.shape)
            table[rows[0] : rows[-1] + 1] = values


def output(need, members, images, config):
    """Return one output of the networks `members` for normalised images, a row for each."""
    precision = config["precision"]
    if need == "features":
        return networks.features(members[0], images, precision)
    if need == "predicted_loss":
        _, tapped = networks.tap(members[0], images, precision)
        return members[0].loss_prediction(tapped)
    if need == "mc_probs":
        return torch.stack(list(passes(members[0], images, config["passes"], precision)), dim=1)
    probs = torch.stack([networks.logits(network, images, precision).softmax(dim=1) for network in members], dim=1)
    return probs if need == "ensemble_probs" else probs.mean(dim=1)


def passes(network, images, count, precision):
    """Yield the softmax of `count` passes with dropout; batch normalisation keeps its statistics."""
    dropouts = [module for module in network.modules() if isinstance(module, nn.modules.dropout._DropoutNd)]
    for module in dropouts:
        module.train()
    only_in_head = set(dropouts) <= set(network.head.modules())
    for repetition in range(count):
        if not repetition or not only_in_head:
            hidden = networks.features(network, images, precision)
        yield network.head(hidden).softmax(dim=1)
