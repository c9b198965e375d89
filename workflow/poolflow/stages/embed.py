"""Stage: embed all images of a data set with a network that has learned elsewhere."""

from importlib import import_module

import numpy as np
import torch
from tqdm import tqdm

from poolflow.data import content, store
from poolflow.training import weights
from poolflow.training.device import device as device_of


class Embedded:
    """The features of images that lie in a file, made when a slice of them is taken: float32 (N, D)."""

    dtype = np.dtype(np.float32)

    def __init__(self, images, embed, batch, width, bar):
        self.shape, self._images, self._embed, self._batch, self._bar = (len(images), width), images, embed, batch, bar

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, rows):
        parts = []
        for part in torch.from_numpy(self._images[rows]).split(self._batch):
            parts.append(self._embed(part).cpu().numpy())
            self._bar.update(len(part))
        return np.concatenate(parts)


def main(job, dataset, model, out):
    """Write `embedding.h5`, the data set with features in place of its images, see `poolflow.data.content.write`."""
    plugin = import_module(f"poolflow.pretext.{job.config['task']}")
    device = device_of(job.config)
    embed, batch = plugin.embed(weights.load(model, device)[0], device, **job.config["parameters"])
    with store.read(dataset) as file:
        images = {part: file[f"{part}/images"] for part in ("train", "test")}
        width = embed(torch.from_numpy(images["train"][:1])).shape[1]
        with tqdm(total=sum(map(len, images.values())), desc="images", mininterval=5) as bar:
            data = {
                part: (Embedded(values, embed, batch, width, bar), file[f"{part}/labels"][:])
                for part, values in images.items()
            }
            classes = [name.decode() for name in file.attrs["classes"]]
            content.write(out, job, "features", data | {"classes": classes})
