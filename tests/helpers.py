"""What several test files use: small images and archives of them, files of a study, what a stage imports."""

import hashlib
import io
import json
import tarfile
import zipfile
from importlib import import_module

import h5py
import numpy as np
from PIL import Image

from poolflow.job import Job
from poolflow.study import plugins, reports

RNG = np.random.default_rng(0)


def images(count, height=4, width=5, channels=1):
    return RNG.integers(0, 256, (count, height, width, channels), dtype=np.uint8)


def md5(content):
    return hashlib.md5(content).hexdigest()


def write(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def encoded(pixels, kind="png", **options):
    content = io.BytesIO()
    if isinstance(pixels, np.ndarray):
        pixels = Image.fromarray(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels)
    pixels.save(content, kind, **options)
    return content.getvalue()


def pack(path, files, order=None):
    """Write files into an archive, or a folder, by the name of `path`."""
    names = list(files) if order is None else [list(files)[i] for i in order]
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in names:
                archive.writestr(name, files[name])
    elif ".tar" in path.name:
        with tarfile.open(path, "w:" + {".tar": ""}.get(path.suffix, path.suffix[1:])) as archive:
            for name in names:
                info = tarfile.TarInfo(name)
                info.size = len(files[name])
                archive.addfile(info, io.BytesIO(files[name]))
    else:
        for name in names:
            write(path, {name: files[name]})
    return path


FORMS = ["own", "own.zip", "own.tar", "own.tar.gz", "own.tar.xz", "own.tar.bz2"]
PIXELS = {
    f"{part}/{label}/{i}.png": images(1, 6, 6, 3)[0]
    for part in ("train", "test")
    for label in ("cat", "dog/deep")
    for i in (2, 10, 1)
}
FILES = {name: encoded(pixels) for name, pixels in PIXELS.items()}


def write_h5(path, attributes=None, **arrays):
    """Write arrays; `a__b` is the array b of the group a."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file[name.replace("__", "/")] = values
        file.attrs.update(attributes or {})
    return path


def write_pool(path, indices, flip=None, class_ids=range(6)):
    """Write the pool of these rows of a data set, none of them given."""
    attributes = {"classes": len(class_ids), "class_ids": np.array(class_ids), "noise": 0.0, "noise_seed": 0}
    no = np.zeros(len(indices), bool)
    arrays = {"indices": indices, "flip": no if flip is None else flip, "given": no, "validation": np.arange(0)}
    return write_h5(path, attributes, **arrays)


def imported(done):
    """Return the modules that a stage imported which was run with -X importtime."""
    return {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines() if line.startswith("import time")}


def report(study, root, kind, path, ending="csv"):
    """Make a table or a figure of a checked study whose files lie in `root`, as its job does; return where it lies."""
    stage = plugins.KINDS[kind][0]
    out = root / ("figures" if kind == "figures" else "") / f"{path}.{ending}"
    job = Job(stage, path, json.loads(reports.settings(study, kind, path)), "abc")
    import_module(f"poolflow.stages.{stage}").main(job, str(out))
    return out
