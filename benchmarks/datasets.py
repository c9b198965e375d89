"""Time and peak memory of the dataset stage on real images.

    python benchmarks/datasets.py DATA_ROOT

DATA_ROOT has MNIST/raw, cifar10-jpeg.tar.xz (an archive of class folders, 50,000 + 10,000 images of 32 x 32) and
tiny-imagenet-200-32px.tar.xz (the layout of Tiny ImageNet, 100,000 + 10,000 images of 32 x 32). Each stage runs once,
as a rule runs it.
"""

import sys
import tempfile
from pathlib import Path

from common import ENVIRONMENT, command, machine, measured

DATASETS = {
    "mnist": {},
    "image_folder": {"path": "cifar10-jpeg.tar.xz"},
    "tiny_imagenet": {"path": "tiny-imagenet-200-32px.tar.xz"},
}


def main(root):
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        for name, parameters in DATASETS.items():
            out = Path(folder, f"{name}.h5")
            job = command("dataset", name, {"dataset": name, "parameters": parameters}, {"root": root, "out": out})
            wall, cpu, peak = measured(job, env=ENVIRONMENT)
            size = out.stat().st_size / 2**20
            print(f"{name:14} {wall:6.1f} s {cpu:6.1f} CPU s {peak:6.0f} MiB, dataset.h5 {size:.0f} MiB", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
