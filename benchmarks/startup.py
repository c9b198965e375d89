"""The share of a study's CPU time that goes into starting Python and importing libraries.

    python benchmarks/startup.py [FOLDER]

Takes jobs of a finished default study (results/digits in FOLDER, by default here) and runs each again, in turn with a
process that ends once all that the job needs is imported: medians of nine, in CPU seconds.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import h5py
from common import ENVIRONMENT, ROOT, machine, measured

TURNS = 9
JOB = "digits/small_cnn/random/entropy/seed0/cycle1"


def forked():
    """Return the CPU seconds of a process that is forked, everything imported, from another one; mean of twenty."""
    code = (
        "import os, resource, poolflow.stages.train\n"
        "for _ in range(20):\n"
        "    if not os.fork(): os._exit(0)\n"
        "    os.wait()\n"
        "usage = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print((usage.ru_utime + usage.ru_stime) / 20)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    return float(done.stdout)


def main(folder):
    results = Path(folder, "results/digits")
    cycle, data = results / JOB, results / "digits"
    inputs = {"dataset": data / "dataset.h5", "pool": data / "pool/seed0.h5"}
    labeled = {"labeled": cycle / "labeled.h5"}
    training = json.loads((cycle / "metrics.json").read_text())["provenance"]["config"]
    with h5py.File(cycle / "probs.h5") as probs, h5py.File(cycle / "labeled.h5") as rows:
        embedding, acquisition = probs.attrs["config"], rows.attrs["config"]
    print(machine())
    jobs_total = imports_total = 0
    with tempfile.TemporaryDirectory() as name:
        out = Path(name)
        outputs = {"model": out / "m.pt", "metrics": out / "m.json"}
        embedded = {"need": "probs", "model": cycle / "model.pt", "out": out / "p.h5"}
        stages = {
            "train": ("train", "models.small_cnn", training, inputs | labeled | outputs, "train"),
            "embed": ("embed", "models.small_cnn", embedding, inputs | embedded, "[pf][re]*s"),
            "acquire": (
                "acquire",
                "strategies.entropy",
                acquisition,
                inputs | labeled | {"needs": cycle / "probs.h5", "out": out / "l.h5"},
                "acquire",
            ),
        }
        for stage, (module, plugin, config, options, pattern) in stages.items():
            number = len(list(results.glob(f"benchmarks/digits/**/cycle*/{pattern}.tsv")))
            command = [sys.executable, "-m", f"poolflow.{module}", "--name", JOB, "--config", config]
            for option, value in options.items():
                command += [f"--{option}", str(value)]
            only_import = [sys.executable, "-c", f"import poolflow.{module}, poolflow.{plugin}"]
            turns = [
                (measured(command, env=ENVIRONMENT)[1], measured(only_import, env=ENVIRONMENT)[1]) for _ in range(TURNS)
            ]
            job, imports = (statistics.median(times) for times in zip(*turns, strict=True))
            jobs_total, imports_total = jobs_total + number * job, imports_total + number * imports
            print(f"{stage:8} {number:4} jobs x {job:.2f} CPU s, of which start-up {imports:.2f} ({imports / job:.0%})")
    print(f"together {jobs_total:.0f} CPU s, of which start-up {imports_total:.0f} ({imports_total / jobs_total:.0%})")
    print(f"a training process forked with everything imported: {forked():.3f} CPU s")


if __name__ == "__main__":
    main(sys.argv[1] if sys.argv[1:] else ROOT)
