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
from common import ENVIRONMENT, ROOT, command, machine, measured

TURNS = 9
JOB = "digits/small_cnn/random/margin/seed0/cycle1"


def forked():
    """Return the CPU seconds of a process that is forked, everything imported, from another one; mean of twenty."""
    code = (
        "import os, resource, poolflow.running.run, poolflow.stages.train\n"
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
        prediction, acquisition = probs.attrs["config"], rows.attrs["config"]
    print(machine())
    jobs_total = imports_total = 0
    with tempfile.TemporaryDirectory() as name:
        out = Path(name)
        outputs = {"model": out / "m.pt", "metrics": out / "m.json"}
        predicted = {"need": "probs", "model": cycle / "model.pt", "out": out / "p.h5"}
        network = ["networks.small_cnn"]
        acquired = labeled | {"needs": cycle / "probs.h5", "out": out / "l.h5"}
        stages = {
            "train": ([*network, "learners.supervised"], training, inputs | labeled | outputs, "train"),
            "predict": ([*network, "outputs.probs"], prediction, inputs | predicted, "[pf][re]*s"),
            "acquire": (["strategies.margin"], acquisition, inputs | acquired, "acquire"),
        }
        for stage, (plugins, config, options, pattern) in stages.items():
            number = len(list(results.glob(f"benchmarks/digits/**/cycle*/{pattern}.tsv")))
            job = command(stage, JOB, config, options)
            modules = ", ".join(f"poolflow.{name}" for name in ["running.run", f"stages.{stage}", *plugins])
            only_import = [sys.executable, "-c", f"import {modules}"]
            turns = [
                (measured(job, env=ENVIRONMENT)[1], measured(only_import, env=ENVIRONMENT)[1]) for _ in range(TURNS)
            ]
            whole, imports = (statistics.median(times) for times in zip(*turns, strict=True))
            jobs_total, imports_total = jobs_total + number * whole, imports_total + number * imports
            share = f"{imports:.2f} ({imports / whole:.0%})"
            print(f"{stage:8} {number:4} jobs x {whole:.2f} CPU s, of which start-up {share}")
    print(f"together {jobs_total:.0f} CPU s, of which start-up {imports_total:.0f} ({imports_total / jobs_total:.0%})")
    print(f"a training process forked with everything imported: {forked():.3f} CPU s")


if __name__ == "__main__":
    main(sys.argv[1] if sys.argv[1:] else ROOT)
