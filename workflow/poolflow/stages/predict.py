"""Stage: run the trained network over the whole pool and keep its outputs."""

from contextlib import ExitStack
from importlib import import_module

import numpy as np
import torch
from tqdm import trange

from poolflow.data import store
from poolflow.data.candidates import Candidates, inputs
from poolflow.training import networks, weights
from poolflow.training.device import device as device_of


def main(job, dataset, pool, model, need=(), out=()):
    """Write a file `out` for each `need`: one data set of that name, float32, a row for each pool row.

    What it holds, the plugin `poolflow.outputs.<need>` says. Several come from one pass over the pool. Images are read
    and results written block by block, so that memory does not grow with the pool.
    """
    plugins = {name: import_module(f"poolflow.outputs.{name}") for name in need}
    config = job.config
    device = device_of(config)
    candidates = Candidates(pool)
    with store.read(dataset) as source, ExitStack() as stack:
        files = {name: stack.enter_context(store.create(path, job)) for name, path in zip(need, out, strict=True)}
        shape = inputs(source, "train").shape[1:]
        members = []
        for state in weights.load(model, device):
            network = networks.build(config, shape, candidates.classes).to(device).eval()
            weights.give(network, state, model)
            members.append(network)
        if not any(hasattr(plugin, "VARIANT") for plugin in plugins.values()):
            for network in members:
                compute_once(network)
        seed = int(job.rng("passes").integers(2**63))
        normalise = networks.Normalise(source.attrs["mean"], source.attrs["std"], device)
        size = networks.evaluation_batch(shape)
        for start in trange(0, len(candidates), size, desc=", ".join(need), mininterval=5):
            rows = np.arange(start, min(start + size, len(candidates)))
            images = normalise(torch.from_numpy(candidates.read(source, rows)))
            for name, plugin in plugins.items():
                torch.manual_seed(seed)
                with torch.inference_mode():
                    values = plugin.output(members, images, config["precision"], **config["settings"].get(name, {}))
                values = values.float().cpu().numpy()
                if not start:
                    store.whole(files[name], name, (len(candidates), *values.shape[1:]), "f4")
                files[name][name][rows[0] : rows[-1] + 1] = values


def compute_once(network):
    """Have a network in eval mode keep its last features, for whoever asks for those of the same tensor again."""
    features, last = network.features, [None, None]

    def remembered(images):
        if last[0] is not images:
            last[:] = images, features(images)
        return last[1]

    vars(network)["features"] = remembered  # before the method, or the module, of that name
