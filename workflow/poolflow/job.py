"""One run of a stage: who it is, its random numbers, and what its files say of their origin."""

import hashlib
import json
import platform
import sys
from dataclasses import dataclass
from importlib import metadata

import numpy as np

LIBRARIES = ("h5py", "numpy", "scikit-learn", "scipy", "timm", "torch", "torchvision")


class StageError(Exception):
    """A failure that its user can mend: printed as one line, without a traceback."""


class Damaged(StageError):
    """A file of the study that is missing, damaged, or not what its job wrote; made again, it is mended."""


@dataclass(frozen=True)
class Job:
    """One run of a stage: who it is, what it was asked for, and the digest of the code that does it."""

    stage: str
    name: str
    config: dict
    code: str

    def rng(self, purpose):
        """Return the generator for one `purpose`, the same wherever, whenever and however often it is asked for.

        Its `numpy.random.SeedSequence` is keyed by the study's seed, the job's name (data set, initial pool,
        strategy, repetition, cycle; a training is given a name without pool and strategy) and the purpose.
        """
        key = hashlib.sha256(f"{self.name}/{purpose}".encode()).digest()
        words = np.frombuffer(key, dtype="<u4").tolist()
        return np.random.default_rng(np.random.SeedSequence([self.config["seed"], *words]))

    def provenance(self):
        """Return what a file of this job must say of its origin: {attribute: text}."""
        versions = {"python": platform.python_version()}
        for package in LIBRARIES:
            try:
                versions[package] = metadata.version(package)
            except metadata.PackageNotFoundError:
                continue  # an environment has what its stages use
        torch = sys.modules.get("torch")
        on_gpu = torch and torch.cuda.is_initialized()
        return {
            "stage": self.stage,
            "job": self.name,
            "code": self.code,
            "config": json.dumps(self.config, sort_keys=True),
            "device": torch.cuda.get_device_name() if on_gpu else "cpu",
            "versions": json.dumps(versions),
        }
