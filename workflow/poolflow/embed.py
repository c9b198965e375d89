"""Stage: run the trained network over the whole pool and keep one of its outputs."""

from pickle import UnpicklingError

import torch
from tqdm import trange

from poolflow import networks, store
from poolflow.stage import StageError, run

BATCH = 1000


def main(job, need, dataset, pool, model, out):
    """Write `<need>.h5` with one data set of that name, float32, a row for each pool row.

    `probs` is the softmax (N, classes), `features` the penultimate layer (N, D). Images are read and results
    written block by block, so that memory does not grow with the pool.
    """
    device = networks.device(job.config)
    try:
        state = torch.load(model, map_location=device)["state"]
    except (RuntimeError, EOFError, KeyError, OSError, UnpicklingError) as error:
        raise StageError(f"{model} is not a complete model ({error}); delete it and run again") from error
    with store.read(pool) as file:
        rows = file["indices"][:]
    with store.read(dataset) as source, store.create(out, job) as target:
        images = source["train/images"]
        network = networks.build(job.config, images.shape[1:], len(source.attrs["classes"])).to(device).eval()
        network.load_state_dict(state)
        normalise = networks.Normalise(source.attrs["mean"], source.attrs["std"], device)
        output = network.features if need == "features" else lambda batch: network(batch).softmax(dim=1)
        for start in trange(0, len(rows), BATCH, desc=need, mininterval=5):
            batch = torch.from_numpy(store.take(images, rows[start : start + BATCH]))
            with torch.inference_mode():
                values = output(normalise(batch)).float().cpu().numpy()
            if not start:
                shape = (len(rows), *values.shape[1:])
                table = target.create_dataset(need, shape, "f4", chunks=(min(BATCH, len(rows)), *shape[1:]))
            table[start : start + BATCH] = values


if __name__ == "__main__":
    run(main)
