"""The share of a study's CPU time that goes into starting Python and importing libraries.

    python benchmarks/startup.py

Runs the default study in a temporary folder, then times a start of each stage that ends once everything is imported.
"""

import collections
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from common import ENVIRONMENT, ROOT, children_cpu, machine, measured

# What a stage has imported when it begins to work: its own imports and the plugin's.
IMPORTS = {
    "dataset": "poolflow.dataset, poolflow.datasets.digits",
    "pool": "poolflow.pool",
    "initial_pool": "poolflow.initial_pool, poolflow.initial_pools.kmeans",
    "acquire": "poolflow.acquire, poolflow.strategies.entropy",
    "train": "poolflow.train, poolflow.models.small_cnn",
    "embed": "poolflow.embed, poolflow.models.small_cnn",
    "curves": "poolflow.curves",
    "figures": "poolflow.figures",
}
STAGE_OF = {"probs": "embed", "features": "embed"}


def imports(code):
    """Return the median CPU seconds of five processes that only import."""
    return statistics.median(measured([sys.executable, "-c", f"import {code}"], env=ENVIRONMENT)[1] for _ in range(5))


def forked():
    """Return the CPU seconds of a process that is forked, everything imported, from another one; mean of twenty."""
    code = (
        "import os, resource, poolflow.train\n"
        "for _ in range(20):\n"
        "    if not os.fork(): os._exit(0)\n"
        "    os.wait()\n"
        "usage = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print((usage.ru_utime + usage.ru_stime) / 20)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    return float(done.stdout)


def main():
    with tempfile.TemporaryDirectory() as folder:
        for part in ("workflow", "profiles", "envs"):
            shutil.copytree(ROOT / part, f"{folder}/{part}")
        for part in ("Snakefile", "config.yaml"):
            shutil.copy(ROOT / part, folder)
        before = children_cpu()
        wall, _, _ = measured([sys.executable, "-m", "snakemake", "--cores", "all"], cwd=folder)
        total = children_cpu() - before
        jobs = collections.Counter()
        for path in Path(folder).glob("results/digits/benchmarks/**/*.tsv"):
            stage = path.stem if path.stem in IMPORTS else STAGE_OF.get(path.stem)
            stage = stage or ("pool" if path.parent.name == "pool" else "figures")
            jobs[stage] += 1
    print(machine())
    print(f"default study: {wall:.0f} s, {total:.0f} CPU s, {sum(jobs.values())} jobs")
    started = 0
    for stage, number in jobs.items():
        seconds = imports(IMPORTS[stage])
        started += number * seconds
        print(f"{stage:13} {number:4} jobs x {seconds:.2f} s = {number * seconds:6.1f} CPU s")
    print(f"start-up: {started:.0f} of {total:.0f} CPU s, {started / total:.0%}")
    print(f"a training process forked with everything imported: {forked():.3f} CPU s")


if __name__ == "__main__":
    main()
