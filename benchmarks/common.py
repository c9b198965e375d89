"""What the benchmarks share."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))

from poolflow.study.config import load_schema, with_defaults

ROOT = Path(__file__).parents[1]
# What the benchmarks train: a LeNet, on one thread of the processor.
NETWORK = {"network": "lenet", "parameters": {}, "threads": 1, "device": "cpu", "deterministic": True}
TRAIN = NETWORK | {"learner": {"learner": "supervised", "parameters": {}}, "members": 1, "seed": 0}
PREDICT = NETWORK | {"precision": "float32", "settings": {}, "seed": 0}
SCHEMA = load_schema()["properties"]
POOL = {"seed": 0, "pool": with_defaults({}, SCHEMA["pool"])}
TRAINING = with_defaults({"batch_size": 64}, SCHEMA["training"])
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT / "workflow")}


def command(stage, name, config, options):
    """Return the command that runs a stage as a rule does; `config` is a mapping or its JSON text."""
    text = config if isinstance(config, str) else json.dumps(config)
    found = [sys.executable, "-m", "poolflow", stage, "--name", name, "--config", text]
    for option, value in options.items():
        found += [f"--{option}", *map(str, value if isinstance(value, list) else [value])]
    return found


def measured(command, stdout=subprocess.DEVNULL, **options):
    """Run a command; return its wall seconds, CPU seconds (with its children's) and peak memory in MiB."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE, text=True, **options)
    error = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{command} failed:\n{error[-3000:]}")
    return time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def machine():
    """Return one line that names the processor, its cores and the Python."""
    names = [
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    cpu = names[0] if names else "unknown CPU"
    return f"{cpu}, {os.cpu_count()} cores, Python {sys.version.split()[0]}"
