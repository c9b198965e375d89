"""What every stage shares: its command line, its random numbers, its threads, and one-line errors."""

import argparse
import hashlib
import inspect
import json
import os
import sys
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits


class StageError(Exception):
    """A failure that its user can mend: printed as one line, without a traceback."""


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
        strategy, repetition, cycle) and the purpose.
        """
        key = hashlib.sha256(f"{self.name}/{purpose}".encode()).digest()
        words = np.frombuffer(key, dtype="<u4").tolist()
        return np.random.default_rng(np.random.SeedSequence([self.config["seed"], *words]))

    def provenance(self):
        """Return what a file of this job must say of its origin: {attribute: text}."""
        versions = {"python": sys.version.split()[0]}
        for module in ("h5py", "numpy", "scipy", "sklearn", "torch", "torchvision"):
            if module in sys.modules:
                versions[module] = sys.modules[module].__version__
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


def run(main):
    """Call the stage function `main(job, ...)` with the command line's options.

    Each parameter of `main` after `job` is a required option of the same name, or with the default () a list of any
    length; `--name`, `--config` (JSON) and `--code` make the job. A `StageError`, a full disk, an unreadable file or
    too little memory ends the process with status 1 and one line; anything else is a bug and shows its traceback.
    """
    stage = os.path.splitext(os.path.basename(sys.argv[0]))[0]
    parser = argparse.ArgumentParser(prog=f"python -m poolflow.{stage}", description=inspect.getdoc(main))
    parser.add_argument("--name", required=True, help="data set/learner/initial pool/strategy/seed/cycle")
    parser.add_argument("--config", required=True, type=json.loads, help="the settings that this stage reads")
    parser.add_argument("--code", default="", help="digest of the code, kept in the output's attributes")
    options = dict(list(inspect.signature(main).parameters.items())[1:])
    for option, parameter in options.items():
        several = {"nargs": "*", "default": ()} if parameter.default == () else {"required": True}
        parser.add_argument(f"--{option.replace('_', '-')}", **several)
    args = parser.parse_args()
    job = Job(stage, args.name, args.config, args.code)
    threads = job.config.get("threads", 1)
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(threads)  # for libraries that a plugin loads later
    try:
        with threadpool_limits(threads):  # for those that are loaded already
            main(job, **{option: getattr(args, option) for option in options})
    except (StageError, OSError) as error:
        message = str(error)
    except Exception as error:
        if type(error).__name__ not in ("MemoryError", "OutOfMemoryError"):  # numpy's, torch's
            raise
        message = out_of_memory(job.config, str(error))
    else:
        return
    sys.exit(f"poolflow {stage} {job.name}: {' '.join(message.split())}")


def out_of_memory(config, reason):
    """Return what to do about an allocation that failed for a `reason`, by the settings of the stage."""
    remedies = ["let fewer jobs share a GPU (--resources gpu=1)" if "CUDA" in reason else "let fewer jobs run at once"]
    if "training" in config:
        remedies.insert(0, f"lower training.batch_size (found {config['training']['batch_size']})")
    elif "train" in config:
        remedies.insert(0, f"lower batch_size of the pretext task {config['task']}")
    return f"out of memory; {', or '.join(remedies)}: {reason.partition(' Including')[0]}"
