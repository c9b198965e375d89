"""The GPUs of one machine, and how the jobs on it share them.

Imported by the Snakefile, so it imports nothing heavy.
"""

import fcntl
import hashlib
import itertools
import os
import sys
import tempfile
from functools import lru_cache
from pathlib import Path


def visible():
    """Return the number of NVIDIA GPUs that a process on this machine may use, as torch will count them."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return len(list(Path("/dev").glob("nvidia[0-9]*")))
    names = (name.strip() for name in chosen.split(","))
    return len(list(itertools.takewhile(lambda name: name not in ("", "-1"), names)))


@lru_cache
def take(total):
    """Return which of `total` GPUs, from 0, this process uses until it ends.

    A process takes the first free of the turns 0, 1, 2, ..., and turn t is on GPU t % total: as many jobs as there are
    GPUs have one each, and more share them evenly. A turn is a locked file in the temporary folder, and free again
    however its process ends. Each user, and each set of CUDA_VISIBLE_DEVICES, has turns of its own.
    """
    devices = hashlib.sha256(os.environ.get("CUDA_VISIBLE_DEVICES", "").encode()).hexdigest()[:8]
    for turn in itertools.count():
        path = f"{tempfile.gettempdir()}/poolflow-{os.getuid()}-gpus-{devices}.{turn}"
        file = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)  # stays open
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return turn % total
        except BlockingIOError:
            os.close(file)


def use_one(config):
    """Make one GPU the current one of this process where a stage's config lets networks run on a GPU, and log which.

    It is one that fewest other jobs use. A stage's `device`, its learner's and its plugin's own count alike.
    """
    parts = (config, config.get("learner", {}), config.get("parameters", {}))
    devices = [part["device"] for part in parts if "device" in part]
    if not devices:
        return
    name = "cpu"
    if set(devices) != {"cpu"}:
        import torch

        if torch.cuda.is_available():
            chosen = torch.device("cuda", take(torch.cuda.device_count()))
            torch.cuda.set_device(chosen)
            name = f"{chosen}, {torch.cuda.get_device_name(chosen)}"
    print(f"device: {name}", file=sys.stderr)
