"""How long Snakemake needs to plan a finished study of N jobs, and with how much memory.

    python benchmarks/planning.py 10000 50000

Lays down the empty files of a study of that size, records them as made (--touch), and times `snakemake -n`, which
finds nothing to do, and the same after the code of one strategy changed.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from common import ROOT, machine, measured

POOLS = {"random": None, "kmeans": None} | {f"pool{i}": {"initial_pool": "random"} for i in range(3)}
KINDS = ["random", "least_confidence", "margin", "entropy", "coreset"]
STRATEGIES = dict.fromkeys(KINDS) | {f"variant{i}": {"strategy": kind} for i, kind in enumerate(KINDS[1:4])}
CYCLES = 9
# --touch without its tenth of a second a job.
TOUCH = """
from snakemake.cli import main
from snakemake.executors.touch import Executor
Executor.SLEEPING_TIME = 0
main(["--touch", "--cores", "1000"])
"""
# About the jobs of a seed: its pool, for each initial pool 1 choice, 1 train and 2 predict, for each chain acquire and
# train in every cycle, and predict in all but the last.
PER_SEED = 1 + 5 * (4 + sum(CYCLES * 2 + (CYCLES - 1) * (name != "random") for name in STRATEGIES))


def main(jobs):
    seeds = max(1, round(jobs / PER_SEED))
    study = {
        "study": "large",
        "datasets": ["mnist"],
        "learners": ["lenet"],
        "initial_pools": POOLS,
        "strategies": STRATEGIES,
        "seeds": list(range(seeds)),
        "cycles": CYCLES,
        "initial_size": 60,
        "budget": 60,
    }
    with tempfile.TemporaryDirectory() as folder:
        for part in ("workflow", "profiles", "envs"):
            shutil.copytree(ROOT / part, f"{folder}/{part}")
        shutil.copy(ROOT / "Snakefile", folder)
        Path(folder, "config.yaml").write_text(yaml.safe_dump(study))
        snakemake = [sys.executable, "-m", "snakemake"]
        summary = subprocess.run([*snakemake, "--summary"], cwd=folder, capture_output=True, text=True, check=True)
        lines = summary.stdout.splitlines()
        start = next(i for i, line in enumerate(lines) if line.startswith("output_file")) + 1
        outputs = [line.split("\t")[0] for line in lines[start:]]
        for output in outputs:
            path = Path(folder, output)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        subprocess.run([sys.executable, "-c", TOUCH], cwd=folder, capture_output=True, check=True)
        result = {"jobs": sum(not output.endswith("model.pt") for output in outputs)}  # a training makes metrics too
        for name in ("nothing to do", "code of one strategy changed"):
            with open(Path(folder, "plan"), "w") as plan:
                wall, cpu, peak = measured([*snakemake, "-n"], cwd=folder, stdout=plan)
            nothing = "Nothing to be done" in Path(folder, "plan").read_text()
            assert nothing == (name == "nothing to do")
            result[name] = f"{wall:.1f} s, {cpu:.1f} CPU s, {peak:.0f} MiB"
            entropy = Path(folder, "workflow/poolflow/strategies/entropy.py")
            entropy.write_text(entropy.read_text().replace("entropy(pool.probs)", "1 * entropy(pool.probs)"))
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    print(machine())
    for number in sys.argv[1:] or ["10000"]:
        main(int(number))
