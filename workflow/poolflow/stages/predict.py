"""Stage: run the trained network over the whole pool and keep one of its outputs."""

from importlib import import_module

import numpy as np
import torch
from tqdm import trange

from poolflow.data import store
from poolflow.data.candidates import Candidates, inputs
from poolflow.training import networks, weights
from poolflow.training.device import device as device_of


def main(job, need, dataset, pool, model, out):
    """Write `<need>.h5` with one data set of that name, float32, a row for each pool row.

    What it holds, the plugin `poolflow.outputs.<need>` says. Images are read and results written block by block, so
    that memory does not grow with the pool.
    """
    plugin = import_module(f"poolflow.outputs.{need}")
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
        seed = int(job.rng("passes").integers(2**63))
        normalise = networks.Normalise(source.attrs["mean"], source.attrs["std"], device)
        size = networks.evaluation_batch(shape)
        for start in trange(0, len(candidates), size, desc=need, mininterval=5):
            rows = np.arange(start, min(start + size, len(candidates)))
            images = normalise(torch.from_numpy(candidates.read(source, rows)))
            torch.manual_seed(seed)
            with torch.inference_mode():
                values = plugin.output(members, images, config["precision"], **config["settings"])
            values = values.float().cpu().numpy()
            if not start:
                whole = (len(candidates), *values.shape[1:])
                table = target.create_dataset(need, whole, "f4", chunks=values.shape)
            table[rows[0] : rows[-1] + 1] = values
