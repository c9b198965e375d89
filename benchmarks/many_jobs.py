"""What Snakemake itself costs in a study of many short jobs, with its scheduler's looks as they are and one at a time.

    python benchmarks/many_jobs.py [SEEDS]

Runs a study of 56 jobs a seed (default 20 seeds) twice in a temporary folder, with `--no-hooks`, which leaves the
scheduler as it is, and without. The CPU seconds are Snakemake's own and those of the processes that it starts itself;
jobs are forked from another one.
"""

import shutil
import sys
import tempfile
from pathlib import Path

import yaml
from common import ROOT, machine, measured

STUDY = {
    "study": "many",
    "strategies": ["random", "margin", "entropy", "least_confidence"],
    "initial_size": 10,
    "budget": 5,
    "cycles": 5,
    "training": {"epochs": 1},
}


def main(seeds):
    print(machine())
    for options in (["--no-hooks"], []):
        with tempfile.TemporaryDirectory() as folder:
            for part in ("workflow", "profiles", "envs"):
                shutil.copytree(ROOT / part, f"{folder}/{part}")
            shutil.copy(ROOT / "Snakefile", folder)
            Path(folder, "config.yaml").write_text(yaml.safe_dump(STUDY | {"seeds": list(range(seeds))}))
            snakemake = [sys.executable, "-m", "snakemake", "results/many/curves.csv", "--cores", "2", "--quiet", "all"]
            wall, cpu, _ = measured([*snakemake, *options], cwd=folder)
            print(
                f"{' '.join(options) or 'one look at a time'}: {wall:.1f} s, {cpu:.1f} CPU s of Snakemake", flush=True
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
