"""Run one stage as a process: its command line, its threads, the GPU it uses, and one-line errors."""

import argparse
import inspect
import json
import os
import sys
from importlib import import_module

from threadpoolctl import threadpool_limits

from poolflow.data import store
from poolflow.job import Damaged, Job, StageError
from poolflow.running import cost, gpus

REPAIR = "POOLFLOW_REPAIR"  # how to make again what is damaged, for this study


def run(stage, arguments):
    """Call `main(job, ...)` of a stage with the options of a command line.

    Each parameter of `main` after `job` is a required option of the same name, or with the default () a list of any
    length; `--name`, `--config` (JSON) and `--code` make the job. `--cost` names a file for the time and memory that it
    took, which is written when it succeeds. A `StageError`, a full disk, an unreadable file or
    too little memory ends the process with status 1 and one line; anything else is a bug and shows its traceback.
    """
    main = import_module(f"poolflow.stages.{stage}").main
    parser = argparse.ArgumentParser(prog=f"python -m poolflow {stage}", description=inspect.getdoc(main))
    parser.add_argument("--name", required=True, help="data set/learner/initial pool/strategy/seed/cycle")
    parser.add_argument("--config", required=True, type=json.loads, help="the settings that this stage reads")
    parser.add_argument("--code", default="", help="digest of the code, kept in the output's attributes")
    parser.add_argument("--cost", help="file for what the job cost: seconds, memory")
    options = dict(list(inspect.signature(main).parameters.items())[1:])
    for option, parameter in options.items():
        several = {"nargs": "*", "default": ()} if parameter.default == () else {"required": True}
        parser.add_argument(f"--{option.replace('_', '-')}", **several)
    args = parser.parse_args(arguments)
    job = Job(stage, args.name, args.config, args.code)
    store.WRITTEN.clear()
    threads = job.config.get("threads", 1)
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(threads)  # for libraries that a plugin loads later
    try:
        gpus.use_one(job.config)
        with threadpool_limits(threads):  # for those that are loaded already
            main(job, **{option: getattr(args, option) for option in options})
        if args.cost:
            cost.write(args.cost)
    except Damaged as error:
        message = f"{error}; {os.environ.get(REPAIR, 'make repair')} makes it again, with the same results"
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
