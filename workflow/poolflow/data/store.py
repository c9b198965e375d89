"""HDF5 and JSON files that are either complete or absent, and say how they were made."""

import io
import json
import os
import secrets
from contextlib import contextmanager

import h5py

from poolflow.job import StageError


@contextmanager
def replacing(path):
    """Yield a temporary path; rename it to `path` when the block succeeds, remove it when it fails.

    The temporary name is the caller's alone: a job that outlived a killed Snakemake, or a lost node, may still be
    writing the same file while the job runs again.
    """
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    temporary = f"{path}.{secrets.token_hex(4)}.part"
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise StageError(f"cannot write {path}: {error}") from error
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)


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
        with h5py.File(target, "w") as file:
            yield file
            file.attrs.update(job.provenance())
        if target.error:
            raise target.error


@contextmanager
def read(path):
    """Yield the HDF5 file at `path`, open for reading.

    Raises
    ------
    StageError
        When the file is missing, truncated or not HDF5, or lacks a data set that the block asks for.
    """
    try:
        file = h5py.File(path, "r")
    except FileNotFoundError as error:
        raise StageError(f"{path} is missing; run snakemake again to make it") from error
    except OSError as error:
        raise StageError(f"{path} is not a complete HDF5 file ({error}); delete it and run again") from error
    with file:
        try:
            yield file
        except KeyError as error:
            raise StageError(f"{path} lacks what is asked of it ({error}); delete it and run again") from error


def write_json(path, job, content):
    """Write `content` and the job's provenance as JSON."""
    with replacing(path) as temporary, open(temporary, "w") as file:
        json.dump(content | {"provenance": job.provenance()}, file, indent=1)
