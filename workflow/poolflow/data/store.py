"""HDF5 and JSON files that are either complete or absent, say how they were made, and tell when they are damaged.

HDF5 data sets have Fletcher's checksum, the structure and the attributes those of HDF5 1.10, and no text lies in the
heap, which has none: whichever bit of a file changes, reading says so. JSON has a checksum of its own.
"""

import hashlib
import io
import json
import os
import secrets
import socket
import traceback
from contextlib import contextmanager

import h5py
import numpy as np

from poolflow.job import Damaged, StageError

VERSION = ("v110", "v110")  # of HDF5's structures, the oldest with checksums
CHUNK = 2**20  # bytes, about
WRITTEN = []  # the paths that this process wrote, for whoever keeps records of them


@contextmanager
def replacing(path):
    """Yield a temporary path; rename it to `path` when the block succeeds, remove it when it fails.

    The temporary name is the caller's alone: a job that outlived a killed Snakemake, or a lost node, may still be
    writing the same file while the job runs again. It names machine and process, so that it can be told from one whose
    process is gone.
    """
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    temporary = f"{path}.{machine()}-{os.getpid()}-{secrets.token_hex(2)}.part"
    try:
        yield temporary
        os.replace(temporary, path)
        WRITTEN.append(os.fspath(path))
    except OSError as error:
        raise StageError(f"cannot write {path}: {error}") from error
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)


def machine():
    """Return eight hexadecimal digits for the name of this machine."""
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


class Deferred(io.FileIO):
    """A file that keeps its first failed write in `error` and pretends success: on a full disk HDF5 would crash."""

    error = None

    def write(self, data):
        data = memoryview(data).cast("B")
        done = 0
        try:
            while done < len(data):
                done += super().write(data[done:])
        except OSError as error:
            self.error = self.error or error
            self.seek(len(data) - done, os.SEEK_CUR)
        return len(data)

    def truncate(self, size=None):
        try:
            return super().truncate(size)
        except OSError as error:
            self.error = self.error or error
            return size


@contextmanager
def create(path, job):
    """Yield a new HDF5 file that appears at `path`, with the provenance of `job`, when the block succeeds."""
    with replacing(path) as temporary, Deferred(temporary, "w+") as target:
        try:
            with h5py.File(target, "w", libver=VERSION) as file:
                yield file
                for name, text in job.provenance().items():
                    file.attrs[name] = fixed(text)
        finally:
            if target.error:  # the cause of whatever followed from it
                raise target.error


def fixed(texts):
    """Return a text, or an array of texts, as HDF5 keeps it beside the numbers, of a fixed length in UTF-8."""
    encoded = np.char.encode(np.asarray(texts, np.str_), "utf-8", "backslashreplace")
    return encoded.astype(h5py.string_dtype("utf-8", max(1, encoded.dtype.itemsize)))


def put(file, name, values):
    """Write an array as a data set with a checksum."""
    values = np.asarray(values)
    whole(file, name, values.shape, values.dtype)[...] = values


def whole(file, name, shape, dtype):
    """Return a new data set with a checksum, to be written block by block."""
    rows = min(shape[0], max(1, CHUNK // max(1, np.dtype(dtype).itemsize * int(np.prod(shape[1:])))))
    chunks = (rows, *shape[1:]) if np.prod(shape) else None
    return file.create_dataset(name, shape, dtype, chunks=chunks, fletcher32=chunks is not None)


@contextmanager
def read(path):
    """Yield the HDF5 file at `path`, open for reading. It needs no lock: files are only ever replaced whole.

    Raises
    ------
    Damaged
        When the file is missing, damaged or not HDF5, or lacks a data set that the block asks for.
    """
    try:
        file = h5py.File(path, "r", locking=False)
    except FileNotFoundError as error:
        raise Damaged(f"{path} is missing") from error
    except OSError as error:
        raise unreadable(path, error) from error
    with file:
        try:
            yield file
        except (KeyError, OSError, RuntimeError) as error:
            *_, (frame, _) = traceback.walk_tb(error.__traceback__)
            if not frame.f_globals["__name__"].startswith("h5py"):
                raise  # not of reading
            raise unreadable(path, error) from error


def unreadable(path, error):
    """Return the error of reading an HDF5 file: the system's, or else the file is damaged, or another one."""
    if isinstance(error, KeyError):
        return Damaged(f"{path} lacks what is asked of it ({error})")
    if getattr(error, "errno", None):
        return StageError(f"cannot read {path}: {os.strerror(error.errno)}")
    return Damaged(f"{path} is damaged or no HDF5 file ({error})")


def write_json(path, job, content):
    """Write `content`, the job's provenance and the checksum of both as JSON."""
    content = json.loads(json.dumps(content | {"provenance": job.provenance()}))
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        json.dump(content | {"sha256": checksum(content)}, file, indent=1)


def read_json(path):
    """Return what `write_json` wrote; Damaged where it is missing or something else."""
    try:
        with open(path, "rb") as file:
            content = json.load(file)
    except FileNotFoundError as error:
        raise Damaged(f"{path} is missing") from error
    except OSError as error:
        raise unreadable(path, error) from error
    except ValueError as error:
        raise Damaged(f"{path} is not complete JSON ({error})") from error
    if not isinstance(content, dict) or content.pop("sha256", None) != checksum(content):
        raise Damaged(f"{path} is not what its job wrote: its checksum is another one")
    return content


def checksum(content):
    """Return the SHA-256 of what JSON holds but for `seconds`, so that the same results have the same."""
    content = {key: value for key, value in content.items() if key != "seconds"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
