"""Stage: bring one data set to the form that every other stage reads."""

from importlib import import_module

import numpy as np

from poolflow import store
from poolflow.stage import StageError, run


def main(job, root, out):
    """Write `dataset.h5`.

    `train/images` and `test/images` are uint8 (N, height, width, channels), `train/labels` and `test/labels`
    int64 (N,). The attributes hold the class names and, over the training images, the mean and standard
    deviation of each channel (in units of the full range, 0 to 1).
    """
    plugin = import_module(f"poolflow.datasets.{job.config['dataset']}")
    data = plugin.load(root, **job.config["parameters"])
    with store.create(out, job) as file:
        for part in ("train", "test"):
            images, labels = data[part]
            check(part, images, labels, len(data["classes"]))
            rows = max(1, min(len(images), 2**20 // images[0].size))
            file.create_dataset(f"{part}/images", data=images, chunks=(rows, *images.shape[1:]))
            file.create_dataset(f"{part}/labels", data=labels.astype(np.int64))
        mean, std = channel_statistics(data["train"][0])
        file.attrs.update(classes=data["classes"], mean=mean, std=std)


def check(part, images, labels, classes):
    """Raise StageError unless images and labels are what the other stages rely on."""
    if images.dtype != np.uint8 or images.ndim != 4 or not len(images):
        raise StageError(f"{part} images: found {images.dtype} {images.shape}, expected uint8 (N, H, W, C), N > 0")
    if labels.shape != (len(images),):
        raise StageError(f"{part} labels: found shape {labels.shape}, expected ({len(images)},)")
    if labels.min() < 0 or labels.max() >= classes:
        raise StageError(f"{part} labels: found {labels.min()}..{labels.max()}, expected 0..{classes - 1}")


def channel_statistics(images):
    """Return mean and standard deviation of each channel, each (C,) float64, exact over all pixels."""
    counts = np.zeros((images.shape[-1], 256), np.int64)
    for channel, count in enumerate(counts):
        for start in range(0, len(images), store.BLOCK):
            count += np.bincount(images[start : start + store.BLOCK, ..., channel].ravel(), minlength=256)
    levels = np.arange(256) / 255
    mean = counts @ levels / counts.sum(axis=1)
    variance = counts @ levels**2 / counts.sum(axis=1) - mean**2
    return mean, np.sqrt(np.maximum(variance, 1e-12))


if __name__ == "__main__":
    run(main)
