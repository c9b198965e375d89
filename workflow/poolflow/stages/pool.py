"""Stage: draw the images that one repetition may label, and its validation split."""

import numpy as np

from poolflow.data import store
from poolflow.job import StageError
from poolflow.study.counts import long_tail


def main(job, dataset, out, asked=()):
    """Write `pool.h5`, the candidates of one repetition, made of the training images in these steps.

    1. Class discovery (Kaeding et al. 2016, section 3): `known_classes` classes with twice `images_per_class` images,
       half of them given from the start, and `novel_classes` classes with `images_per_class`; all drawn at random.
    2. A long tail by power law over the classes in their order (see `poolflow.study.counts.long_tail`).
    3. A random `subset`.
    4. The `validation` part, stratified by class.
    5. `start` random images given from the start.
    6. All but the given ones: each image and its mirror (`flips`), then `bootstrap` times as many, drawn with
       replacement (Geifman & El-Yaniv 2017, sections 4.2 and 4.4).
    7. Each candidate `copies` times, with Gaussian noise of standard deviation `noise` on each copy.

    `indices` (N,) int64 are data-set rows, `flip` (N,) and `given` (N,) bool, `validation` (V,) int64 sorted. The
    attributes hold the number of `classes`, their ids in the data set (`class_ids`), `noise` and its `noise_seed`.
    Images without a label stay in the pool; where there are such, those with a label are the given ones.

    `asked`, the initial size (0: all that are given), the budget and the cycles of the study, are held against the
    pool: a study that would run out of images is refused here, before anything is trained.
    """
    settings = job.config["pool"]
    with store.read(dataset) as file:
        labels = file["train/labels"][:]
        class_ids = np.arange(len(file.attrs["classes"]))
        if "features" in file["train"] and (settings["flips"] or settings["noise"]):
            raise StageError("pool.flips and pool.noise need images; this data set is a table of features")
    rows, given = np.arange(len(labels)), np.empty(0, np.int64)
    if settings["known_classes"]:
        rows, given, class_ids = discovery(labels, class_ids, settings, job.rng("classes"))
    if settings["imbalance"] > 1:
        rows = unbalanced(rows, labels, class_ids, settings["imbalance"], job.rng("long tail"))
    if settings["subset"]:
        count = at_most("subset", settings["subset"], len(rows))
        rows = np.sort(job.rng("subset").choice(rows, count, replace=False))
    held_out = validation_rows(rows, labels, settings["validation"], job.rng("validation"))
    rows = np.setdiff1d(rows, held_out)
    if not len(rows):
        raise StageError(f"pool.validation: found {settings['validation']}, which leaves no pool")
    if settings["start"]:
        count = at_most("start", settings["start"], len(rows))
        given = job.rng("start").choice(rows, count, replace=False)
    elif (labels[rows] < 0).any():
        given = rows[labels[rows] >= 0]

    given = np.intersect1d(given, rows)
    rest = np.setdiff1d(rows, given)
    flip = np.zeros(len(rest), bool)
    if settings["flips"]:
        rest, flip = np.tile(rest, 2), np.repeat([False, True], len(rest))
    if settings["bootstrap"] > 1 and len(rest):
        drawn = np.sort(job.rng("bootstrap").integers(0, len(rest), settings["bootstrap"] * len(rest)))
        rest, flip = rest[drawn], flip[drawn]
    indices = np.concatenate([given, rest])
    flip = np.concatenate([np.zeros(len(given), bool), flip])
    order = np.lexsort((flip, indices))
    is_given = np.isin(indices, given)
    copies = settings["copies"]
    if asked:
        check_asked(*map(int, asked), len(indices) * copies, int(is_given.sum()) * copies)
    with store.create(out, job) as file:
        for name, values in (("indices", indices), ("flip", flip), ("given", is_given)):
            store.put(file, name, np.tile(values[order], copies))
        store.put(file, "validation", held_out)
        file.attrs.update(classes=len(class_ids), class_ids=class_ids, noise=settings["noise"])
        file.attrs["noise_seed"] = job.rng("noise").integers(2**63)


def check_asked(initial, budget, cycles, size, given):
    """Raise StageError when a study asks for more labels than a pool of `size` images has; see `main`."""
    total = (initial or given) + budget * cycles
    if total > size:
        raise StageError(
            f"budget: found initial_size {initial or given} + budget {budget} x cycles {cycles} = {total} labels, "
            f"expected at most the {size} images in the pool"
        )


def at_most(key, count, available):
    """Return `count`, or raise StageError when there are fewer images."""
    if count > available:
        raise StageError(f"pool.{key}: found {count}, expected at most the {available} images that are left")
    return count


def discovery(labels, class_ids, settings, rng):
    """Return the rows of the class-discovery setting, those given from the start, and the ids of its classes."""
    known, novel, count = settings["known_classes"], settings["novel_classes"], settings["images_per_class"]
    if known + novel > len(class_ids):
        raise StageError(
            f"pool.known_classes: found {known} known + {novel} novel classes, expected at most {len(class_ids)}"
        )
    class_ids = rng.permutation(class_ids)[: known + novel]
    rows, given = [], []
    for position, label in enumerate(class_ids):
        wanted = count * (2 if position < known else 1)
        found = np.flatnonzero(labels == label)
        if wanted > len(found):
            raise StageError(
                f"pool.images_per_class: {wanted} images of class {label} are needed, the data set has {len(found)}"
            )
        drawn = rng.choice(found, wanted, replace=False)
        rows.append(drawn)
        given.append(drawn[count:])
    return np.sort(np.concatenate(rows)), np.concatenate(given), class_ids


def unbalanced(rows, labels, class_ids, factor, rng):
    """Return sorted rows whose classes follow the long tail; no class gets more than it has."""
    counts = long_tail(np.isin(labels[rows], class_ids).sum() / len(class_ids), len(class_ids), factor)
    picked = [rows[labels[rows] < 0]]
    for label, count in zip(class_ids, counts, strict=True):
        found = rows[labels[rows] == label]
        picked.append(rng.choice(found, min(count, len(found)), replace=False))
    return np.sort(np.concatenate(picked))


def validation_rows(rows, labels, fraction, rng):
    """Return a sorted, stratified sample of `round(fraction * n_class)` of the `rows` of each class."""
    picked = [np.empty(0, np.int64)]
    for label in np.unique(labels[rows][labels[rows] >= 0]):
        found = rows[labels[rows] == label]
        picked.append(rng.choice(found, round(fraction * len(found)), replace=False))
    return np.sort(np.concatenate(picked))
