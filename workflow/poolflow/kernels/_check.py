"""What the arguments of the kernels must be; a ValueError names the argument, the place and the value."""

import numpy as np

from poolflow.kernels.errors import InputError

BLOCK = 2**17  # values of a block: it stays in the processor's cache
TOLERANCE = 1e-3  # how far from 1 the probabilities of a row may sum


def blocks(length, width):
    """Yield the slices that cut `length` rows of `width` values into blocks of about BLOCK values."""
    step = max(1, BLOCK // max(1, width))
    return (slice(start, start + step) for start in range(0, length, step))


def probabilities(probs, ndim=2, name="probs"):
    """Return an array (N, C), or (N, T, C), whose rows over the last axis are distributions."""
    probs = np.asarray(probs)
    if probs.ndim != ndim or 0 in probs.shape[1:]:
        raise InputError(f"{name}: found shape {probs.shape}, expected ({'N, T, C' if ndim == 3 else 'N, C'})")
    ones = np.ones(probs.shape[-1])
    for block in blocks(len(probs), probs[:1].size):
        rows = probs[block]
        if rows.min() >= 0 and (np.abs(rows @ ones.astype(rows.dtype) - 1) < TOLERANCE).all():  # NaN fails as well
            continue
        bad = ~((rows >= 0).all(axis=-1) & (np.abs(rows.sum(axis=-1) - 1) < TOLERANCE))
        place = np.argwhere(bad)[0]
        found = rows[tuple(place)].tolist()
        place[0] += block.start
        raise InputError(
            f"{name}[{', '.join(map(str, place))}]: found {found}, expected probabilities that sum to 1 within "
            f"{TOLERANCE}"
        )
    return probs


def finite(features):
    """Return an array (N, D) without NaN or infinity."""
    features = np.asarray(features)
    if features.ndim != 2 or features.shape[1] < 1:
        raise InputError(f"features: found shape {features.shape}, expected (N, D)")
    for block in blocks(len(features), features.shape[1]):
        good = np.isfinite(features[block])
        if not good.all():
            row, column = np.argwhere(~good)[0] + [block.start, 0]
            raise InputError(f"features[{row}, {column}]: found {features[row, column]}, expected a finite number")
    return features


def rows(labeled, count):
    """Return `labeled` as (L,) int64: different rows of 0..count - 1."""
    labeled = np.asarray(labeled)
    if labeled.ndim != 1 or (len(labeled) and not np.issubdtype(labeled.dtype, np.integer)):
        raise InputError(f"labeled: found {labeled.dtype} of shape {labeled.shape}, expected integers (L,)")
    labeled = labeled.astype(np.int64)
    outside = (labeled < 0) | (labeled >= count)
    if outside.any():
        place = int(np.argmax(outside))
        raise InputError(f"labeled[{place}]: found {labeled[place]}, expected 0..{count - 1}")
    values, counts = np.unique(labeled, return_counts=True)
    if len(values) < len(labeled):
        row = values[np.argmax(counts > 1)]
        raise InputError(f"labeled: found row {row} {counts.max()} times, expected each row once")
    return labeled


def within(budget, left):
    """Raise unless `budget` is in 1..left."""
    if not 0 < budget <= left:
        raise InputError(f"budget: found {budget}, expected 1..{left}")


def positive(name, value):
    """Raise unless `value` is a finite number above 0."""
    if not (np.isfinite(value) and value > 0):
        raise InputError(f"{name}: found {value}, expected a number above 0")


def selection(features, labeled, budget):
    """Return `features` as float32 where they are, else float64, and `labeled` as int64, all three checked."""
    features = finite(features)
    labeled = rows(labeled, len(features))
    within(budget, len(features) - len(labeled))
    return features if features.dtype == np.float32 else features.astype(np.float64), labeled
