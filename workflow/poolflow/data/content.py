"""The content of a `dataset.h5`: images or features and labels, checked and written block by block."""

import numpy as np

from poolflow.data import store
from poolflow.job import StageError

SHOWN = 12  # classes whose counts a line has
BLOCK = 16  # chunks read or written at a time


def write(out, job, kind, data):
    """Write `data` of a kind, "images" or "features", as `poolflow.datasets` explains them; return their summary.

    `train/images` and `test/images` are uint8 (N, height, width, channels) with one channel or three, or else
    `train/features` and `test/features` float32 (N, D); `train/labels` and `test/labels` int64 (N,), where -1 in
    `train/labels` is an image without a label. `train/names` and `test/names`, where there are some, are the path of
    each image. The attributes hold the class names, the summary and, over all training rows, the mean and standard
    deviation of each channel (in units of the full range, 0 to 1) or dimension, float64.

    Raises
    ------
    StageError
        Where the data are not what the other stages rely on.
    """
    check(kind, data)
    with store.create(out, job) as file:
        for part in ("train", "test"):
            values, labels = data[part]
            shape = (len(values), *values.shape[1:])
            dtype = np.uint8 if kind == "images" else np.float32
            target = store.whole(file, f"{part}/{kind}", shape, dtype)
            rows = target.chunks[0] if target.chunks else 1
            statistics = {"images": ChannelStatistics, "features": DimensionStatistics}[kind](shape[-1])
            for start in range(0, len(values), BLOCK * rows):
                block = np.asarray(values[start : start + BLOCK * rows]).astype(dtype, copy=False)
                if kind == "features":
                    check_finite(part, start, block)
                target[start : start + len(block)] = block
                if part == "train":
                    statistics.add(block)
            if part == "train":
                file.attrs["mean"], file.attrs["std"] = statistics.result()
            store.put(file, f"{part}/labels", np.asarray(labels).astype(np.int64))
            if "names" in data:
                store.put(file, f"{part}/names", store.fixed(data["names"][part]))
        file.attrs["classes"] = store.fixed(data["classes"])
        file.attrs["summary"] = store.fixed(text := summary(data))
    return text


def summary(data):
    """Return in a line how many images of each class, without a label and for the test there are, and the notes."""
    labels, test = (np.asarray(data[part][1]) for part in ("train", "test"))
    counts = np.bincount(labels[labels >= 0], minlength=len(data["classes"]))
    each = [f"{name} {count:,}" for name, count in zip(data["classes"], counts, strict=True)]
    if len(each) > SHOWN:
        each = [f"{counts.min():,} to {counts.max():,} images each"]
    text = f"{len(counts)} classes, {', '.join(each)}"
    if unlabeled := (labels < 0).sum():
        text += f"; {unlabeled:,} without a label"
    text += f"; {len(test):,} for the test" if len(test) else "; none for the test"
    text = "; ".join([text, *data.get("notes", [])])
    # Names may have line breaks, and codes that a terminal obeys.
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def check(kind, data):
    """Raise StageError unless the values and labels are what the other stages rely on."""
    classes = len(data["classes"])
    if classes < 2:
        raise StageError(f"classes: found {classes} ({', '.join(data['classes'])}), expected at least 2")
    for part in ("train", "test"):
        values, labels = data[part]
        found = f"{part} {kind}: found {values.dtype} {values.shape}"
        if kind == "images" and (values.dtype != np.uint8 or len(values.shape) != 4 or values.shape[-1] not in (1, 3)):
            raise StageError(f"{found}, expected uint8 (N, height, width, 1 or 3)")
        if kind == "features" and (np.dtype(values.dtype).kind != "f" or len(values.shape) != 2):
            raise StageError(f"{found}, expected floats (N, D)")
        if not np.prod(values.shape) and (part == "train" or not np.prod(values.shape[1:])):
            raise StageError(f"{found}, expected at least one row, and none empty")
        if values.shape[1:] != data["train"][0].shape[1:]:
            raise StageError(f"{found}, expected rows of {data['train'][0].shape[1:]} as in train")
        labels = np.asarray(labels)
        if labels.dtype.kind not in "iu" or labels.shape != (len(values),):
            raise StageError(f"{part} labels: found {labels.dtype} {labels.shape}, expected integers ({len(values)},)")
        least = -1 if part == "train" else 0
        if labels.min(initial=0) < least or labels.max(initial=0) >= classes:
            row = np.flatnonzero((labels < least) | (labels >= classes))[0]
            hint = "; every test image needs a label" if labels[row] == -1 else ""
            raise StageError(f"{part} labels: found {labels[row]} in row {row}, expected {least}..{classes - 1}{hint}")
        names = data.get("names", {part: labels})[part]
        if len(names) != len(labels):
            raise StageError(f"{part} names: found {len(names)}, expected {len(labels)}")


def check_finite(part, start, block):
    """Raise StageError when a block of features, whose first row is row `start`, has a value that is not finite."""
    finite = np.isfinite(block)
    if not finite.all():
        row, column = np.argwhere(~finite)[0]
        raise StageError(
            f"{part} features: found {block[row, column]} in row {start + row}, column {column}, expected finite "
            "numbers in the range of float32"
        )


class ChannelStatistics:
    """Mean and standard deviation of each channel of uint8 images, exact over all pixels."""

    def __init__(self, channels):
        self.counts = np.zeros((channels, 256), np.int64)

    def add(self, images):
        for channel, count in enumerate(self.counts):
            count += np.bincount(images[..., channel].ravel(), minlength=256)

    def result(self):
        """Return (mean, std), each (C,) float64 in units of the full range; a constant channel has a std of 1e-6."""
        levels, total = np.arange(256) / 255, self.counts.sum(axis=1)
        mean = self.counts @ levels / total
        variance = self.counts @ levels**2 / total - mean**2
        return mean, np.sqrt(np.maximum(variance, 1e-12))


class DimensionStatistics:
    """Mean and standard deviation of each dimension of features, block by block (Chan, Golub & LeVeque, 1983)."""

    def __init__(self, dimensions):
        self.rows, self.mean, self.squares = 0, np.zeros(dimensions), np.zeros(dimensions)

    def add(self, block):
        mean = block.mean(axis=0, dtype=np.float64)
        squares = np.square(block - mean).sum(axis=0)
        rows = self.rows + len(block)
        step = mean - self.mean
        self.squares += squares + step**2 * (self.rows * len(block) / rows)
        self.mean += step * (len(block) / rows)
        self.rows = rows

    def result(self):
        """Return (mean, std), each (D,) float64; a dimension constant to the precision of float32 has a std of 1."""
        std = np.sqrt(self.squares / self.rows)
        return self.mean, np.where(std > 1e-7 * np.abs(self.mean), std, 1.0)
