"""Stage: draw what one repetition may label from, and what it validates on."""

import numpy as np

from poolflow import store
from poolflow.stage import StageError, run


def main(job, dataset, out):
    """Write `pool.h5`: training rows as the unlabelled pool (`indices`) and the validation split (`validation`).

    Both are int64 and sorted. The split is stratified by class, drawn once per data set and repetition, and
    the same for every initial pool, learner and strategy.
    """
    with store.read(dataset) as file:
        labels = file["train/labels"][:]
        classes = len(file.attrs["classes"])
    held_out = validation_rows(labels, job.config["validation"], job.rng("validation"))
    indices = np.setdiff1d(np.arange(len(labels)), held_out)
    if not len(indices):
        raise StageError(f"validation: {job.config['validation']} of {len(labels)} images leaves no pool")
    with store.create(out, job) as file:
        file["indices"] = indices
        file["validation"] = held_out
        file.attrs["classes"] = classes


def validation_rows(labels, fraction, rng):
    """Return a sorted, stratified sample of `round(fraction * n_class)` rows of each class."""
    picked = [np.empty(0, np.int64)]
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        picked.append(rng.choice(rows, round(fraction * len(rows)), replace=False))
    return np.sort(np.concatenate(picked))


if __name__ == "__main__":
    run(main)
