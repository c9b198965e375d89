"""Arrays of the user's own, with labels, in one HDF5 or NPZ file, read block by block where the file allows it.

The keys are train_<what>, train_labels, test_<what> and test_labels, or the same as groups (train/<what>, ...), or
<what> and labels, of which a stratified part is set aside for the test. <what> is images or features. Labels are
strings, "" meaning none, or integers, -1 meaning none; the classes are the different ones among the training labels,
sorted.
"""

import zipfile
import zlib
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from poolflow.data.rows import take
from poolflow.datasets._split import split
from poolflow.job import StageError

DAMAGE = (OSError, EOFError, ValueError, zlib.error, zipfile.BadZipFile)
DAMAGED_HDF5 = (OSError, KeyError, RuntimeError, TypeError, ValueError)  # what h5py makes of damage


@dataclass
class Rows:
    """Rows of an array or an HDF5 data set, converted when a slice of them is read.

    Attributes
    ----------
    path, key : where they come from
    source : array or h5py.Dataset, shape (N, ...)
    shape, dtype : of what a slice gives, all rows together
    convert : function from a block of the source to what it gives; ValueError, in words, where it cannot
    rows : int64 ascending, None for all
    """

    path: str
    key: str
    source: Any
    shape: tuple
    dtype: np.dtype
    convert: Any
    rows: np.ndarray | None = None

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, part):
        try:
            if self.rows is None:
                block = self.source[part]
            elif isinstance(self.source, h5py.Dataset):
                block = take(self.source, self.rows[part])
            else:
                block = self.source[self.rows[part]]
        except OSError as error:
            raise StageError(f"{self.path}: {self.key} cannot be read ({error}); copy the file again") from error
        try:
            return self.convert(block)
        except ValueError as error:
            raise StageError(f"{self.path}: {self.key}: {error}") from error

    def only(self, rows):
        """Return the given ones of these rows."""
        return Rows(self.path, self.key, self.source, (len(rows), *self.shape[1:]), self.dtype, self.convert, rows)


def load(path, what, understand, fraction, seed):
    """Return a data set (see `poolflow.datasets`) out of a file.

    Parameters
    ----------
    path : HDF5 or NPZ file
    what : "images" or "features"
    understand : function from an array or data set to (shape, dtype, convert) of its `Rows`; ValueError in words
    fraction, seed : how much of each class is for the test, and what draws it, where the file has no test set
    """
    get, keys = opened(path)
    parts = scheme(path, keys, what)
    values, labels = {}, {}
    for part, (key, label_key) in parts.items():
        source = get(key)
        if not source.shape:
            raise StageError(f"{path}: {key}: found a single value, expected rows")
        try:
            values[part] = Rows(path, key, source, *understand(source))
        except ValueError as error:
            raise StageError(f"{path}: {key}: {error}") from error
        labels[part] = read_labels(path, label_key, get(label_key))
        if len(labels[part]) != len(source):
            raise StageError(
                f"{path}: {label_key}: found {len(labels[part])} labels for the {len(source)} rows of {key}, "
                "expected one for each"
            )
    numbers, classes = encode(path, parts, labels)
    if "all" in parts:
        rows = dict(zip(("train", "test"), split(numbers["all"], fraction, seed), strict=True))
        data = {part: (values["all"].only(rows[part]), numbers["all"][rows[part]]) for part in rows}
    else:
        data = {part: (values[part], numbers[part]) for part in parts}
    return data | {"classes": classes}


def opened(path):
    """Return a function from a key to its array or data set, and all keys."""
    try:
        with open(path, "rb") as file:
            start = file.read(8)
    except OSError as error:
        raise StageError(f"cannot read {path} ({error.strerror}); correct path or data_root") from error
    if start.startswith(b"PK"):

        def get(key):
            try:
                with np.load(path, allow_pickle=False) as arrays:
                    return arrays[key]
            except DAMAGE as error:
                raise StageError(f"{path}: {key} cannot be read ({error})") from error

        try:
            with np.load(path, allow_pickle=False) as arrays:
                return get, arrays.files
        except DAMAGE as error:
            raise StageError(f"{path} is damaged or truncated ({error}); copy it again") from error
    if not h5py.is_hdf5(path):
        raise StageError(f"{path} is neither an HDF5 nor an NPZ file")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise StageError(f"{path} is damaged or truncated ({error}); copy it again") from error
    keys = []
    try:
        file.visititems(lambda key, item: keys.append(key) if isinstance(item, h5py.Dataset) else None)
    except DAMAGED_HDF5 as error:
        raise StageError(f"{path} is damaged or truncated ({error}); copy it again") from error

    def own(key):
        """Return a data set whose values lie in this file: others read from wherever the file's author chose."""
        try:
            values = file[key]
            packed = values.id.get_create_plist()
            filters, dtype = [packed.get_filter(place) for place in range(packed.get_nfilters())], values.dtype
        except DAMAGED_HDF5 as error:
            raise StageError(f"{path}: {key} cannot be read ({error}); copy the file again") from error
        if unknown := [number for number, *_ in filters if not h5py.h5z.filter_avail(number)]:
            raise StageError(
                f"{path}: {key}: found values packed by the HDF5 filter {unknown[0]}, which is not installed here; "
                "write them with gzip or unpacked (h5repack -f GZIP=4 does)"
            )
        if values.is_virtual or values.external:
            raise StageError(
                f"{path}: {key}: found values that lie in other files (virtual or external storage), expected them in "
                "this one; copy them into it"
            )
        if dtype.hasobject and not h5py.check_string_dtype(dtype):
            raise StageError(f"{path}: {key}: found references or lists, expected numbers or text")
        return values

    return own, [key.decode(errors="backslashreplace") if isinstance(key, bytes) else key for key in keys]


def scheme(path, keys, what):
    """Return {part: (key of the values, key of the labels)}; the part "all" is what is to be split."""
    for separator in "_/":
        parts = {part: (f"{part}{separator}{what}", f"{part}{separator}labels") for part in ("train", "test")}
        if not {parts["train"][0], parts["test"][0]}.isdisjoint(keys):
            break
    else:
        parts = {"all": (what, "labels")}
    missing = sorted({key for pair in parts.values() for key in pair} - set(keys))
    if missing:
        raise StageError(
            f"{path}: found {', '.join(keys) or 'nothing'}, expected {', '.join(missing)} as well; the keys are "
            f"train_{what}, train_labels, test_{what} and test_labels, or {what} and labels; links do not count"
        )
    return parts


def read_labels(path, key, source):
    """Return labels as an array of integers or of strings."""
    if source.shape is None:
        raise StageError(f"{path}: {key}: found nothing, expected integers or strings (N,)")
    if isinstance(source, h5py.Dataset) and h5py.check_string_dtype(source.dtype):
        source = source.asstr()
    try:
        labels = np.asarray(source[()])
        if labels.dtype.kind == "S":
            labels = np.char.decode(labels, "utf-8")
    except UnicodeDecodeError as error:
        found = error.object[:20]
        raise StageError(f"{path}: {key}: found the label {found!r}, expected text in UTF-8") from error
    except DAMAGE as error:
        raise StageError(f"{path}: {key} cannot be read ({error})") from error
    if labels.dtype.kind == "O" and all(isinstance(label, str) for label in labels.flat):
        labels = labels.astype(str)
    if labels.ndim != 1 or labels.dtype.kind not in "iuU":
        raise StageError(f"{path}: {key}: found {labels.dtype} {labels.shape}, expected integers or strings (N,)")
    if labels.dtype.kind != "U" and len(labels) and labels.min() < -1:
        raise StageError(f"{path}: {key}: found {labels.min()}, expected 0 or more, or -1 for no label")
    return labels


def encode(path, parts, labels):
    """Return {part: rows of the classes, int64, -1 for none} and the classes."""
    kinds = {part: found.dtype.kind == "U" for part, found in labels.items()}
    if len(set(kinds.values())) > 1:
        raise StageError(f"{path}: found strings and integers among the labels, expected one of both")
    none = "" if True in kinds.values() else -1
    training = labels["all" if "all" in parts else "train"]
    known = np.unique(training[training != none])
    numbers = {}
    for part, found in labels.items():
        positions = np.searchsorted(known, found)
        strange = (found != none) & ~np.isin(found, known)
        if strange.any():
            row = np.flatnonzero(strange)[0]
            raise StageError(f"{path}: {parts[part][1]}: found {found[row]} in row {row}, which no training row has")
        numbers[part] = np.where(found == none, -1, positions).astype(np.int64)
    return numbers, [str(label) for label in known]
