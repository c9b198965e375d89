"""Time and peak memory of the stages on a pool of the size of MNIST, and of ten times that.

    python benchmarks/pool_size.py [ROWS ...]

Generated images of 28 x 28, a LeNet trained on 660 labels, 60 more acquired: each stage once, as a rule runs it.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np
from common import ENVIRONMENT, POOL, PREDICT, TRAIN, TRAINING, command, machine, measured

BLOCK = 20_000
SELECTION = {"parameters": {}, "seed": 0, "threads": 1}


def write_dataset(path, rows):
    """Write a dataset.h5 of `rows` noisy images of ten classes, block by block."""
    rng = np.random.default_rng(0)
    means = rng.integers(0, 200, (10, 28, 28, 1))
    with h5py.File(path, "w") as file:
        for part, count in (("train", rows), ("test", 1000)):
            images = file.create_dataset(f"{part}/images", (count, 28, 28, 1), "u1", chunks=(1000, 28, 28, 1))
            labels = rng.integers(0, 10, count)
            file[f"{part}/labels"] = labels
            for start in range(0, count, BLOCK):
                block = means[labels[start : start + BLOCK]]
                images[start : start + BLOCK] = block + rng.integers(0, 55, block.shape)
        file.attrs.update(classes=[str(c) for c in range(10)], mean=[0.5], std=[0.25])


def main(rows):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # In a process of its own: a job's peak memory counts from that of the process that starts it.
        subprocess.run([sys.executable, __file__, "write", folder / "dataset.h5", str(rows)], check=True)
        data = {"dataset": folder / "dataset.h5"}
        pool = data | {"pool": folder / "pool.h5"}
        trained = pool | {"model": folder / "model.pt"}
        cycle = pool | {"labeled": folder / "labeled.h5"}
        probs, features = (cycle | {"needs": folder / f"{need}.h5"} for need in ("probs", "features"))
        first = folder / "labeled.h5"
        jobs = [
            ("pool", POOL, data | {"out": folder / "pool.h5"}),
            ("initial_pool", SELECTION | {"initial_pool": "random", "size": 660}, pool | {"out": first}),
            (
                "train",
                TRAIN | {"training": TRAINING | {"epochs": 5}},
                trained | cycle | {"metrics": folder / "m.json"},
            ),
            ("predict", PREDICT, trained | {"need": "probs", "out": folder / "probs.h5"}),
            ("predict", PREDICT, trained | {"need": "features", "out": folder / "features.h5"}),
            (
                "initial_pool",
                SELECTION | {"initial_pool": "k_center", "size": 660},
                pool | {"needs": folder / "features.h5", "out": first},
            ),
            ("acquire", SELECTION | {"strategy": "random", "budget": 60}, cycle | {"out": folder / "next.h5"}),
            ("acquire", SELECTION | {"strategy": "entropy", "budget": 60}, probs | {"out": folder / "next.h5"}),
            ("acquire", SELECTION | {"strategy": "coreset", "budget": 60}, features | {"out": folder / "next.h5"}),
        ]
        for stage, config, options in jobs:
            wall, cpu, peak = measured(command(stage, "d/p/seed0", config, options), env=ENVIRONMENT)
            what = config.get("strategy") or config.get("initial_pool") or options.get("need") or ""
            print(f"{rows:8} rows  {stage:12} {what:9} {wall:6.1f} s {cpu:6.1f} CPU s {peak:6.0f} MiB", flush=True)
        sizes = {path.name: path.stat().st_size / 2**20 for path in sorted(folder.glob("*.h5"))}
        print(f"{rows:8} rows  " + ", ".join(f"{file} {size:.0f} MiB" for file, size in sizes.items()), flush=True)


if __name__ == "__main__" and sys.argv[1:2] == ["write"]:
    write_dataset(sys.argv[2], int(sys.argv[3]))
elif __name__ == "__main__":
    print(machine())
    for count in sys.argv[1:] or ["60000", "600000"]:
        main(int(count))
