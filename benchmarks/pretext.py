"""What choosing an initial pool costs: SimCLR beside the usual loop, k-means beside scikit-learn's, t-SNE.

    python benchmarks/pretext.py

SimCLR (Chen et al. 2020) with the values of Van Gansbeke et al. (2020): a random resized crop, mirror, colour jitter,
greyscale and Gaussian blur. The usual loop is the one of published code: a data set that makes a PIL image of a row
and returns two views of it as tensors, collated by a DataLoader in the same process or in a worker; first the views
alone, then the whole training of a LeNet with the same loss and optimizer. All take turns, five times each; each
process has one thread. poolflow's time includes the step from uint8. Images are smooth random ones, features clustered
ones, from a fixed generator.
"""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import h5py
import numpy as np
import torch
import torch.nn.functional as F
from common import NETWORK, machine
from PIL import Image
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from poolflow.job import Job
from poolflow.pretext import kmeans, simclr
from poolflow.stages import tsne
from poolflow.task import Task
from poolflow.training import views

CASES = {"28 x 28, grey": (28, 1), "32 x 32, colour": (32, 3)}
COUNT, BATCH = 4096, 256


class Pairs(Dataset):
    """Two views of each image as published code makes them."""

    def __init__(self, images):
        side, channels = images.shape[1], images.shape[3]
        self.images, self.mode = images, "RGB" if channels == 3 else "L"
        self.transform = transforms.Compose(
            [
                transforms.RandomResizedCrop(side, scale=(0.2, 1.0)),
                transforms.RandomHorizontalFlip(),
                transforms.RandomApply([transforms.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
                *([transforms.RandomGrayscale(p=0.2)] if channels == 3 else []),
                transforms.RandomApply([transforms.GaussianBlur(3, (0.1, 2.0))], p=0.5),
                transforms.ToTensor(),
            ]
        )

    def __len__(self):
        return len(self.images)

    def __getitem__(self, row):
        image = Image.fromarray(self.images[row] if self.mode == "RGB" else self.images[row, :, :, 0])
        return self.transform(image), self.transform(image)


def plain(images, workers):
    """Make the pairs as published code does."""
    for _ in DataLoader(Pairs(images), BATCH, shuffle=True, num_workers=workers):
        pass


def ours(images):
    """Make the pairs with poolflow."""
    for rows in torch.randperm(len(images)).split(BATCH):
        batch = views.unit(images.index_select(0, rows))
        views.view(batch)
        views.view(batch)


def write(folder, images=None, features=None, size=COUNT):
    """Write a data set, its pool of all rows and a task's features; return the task."""
    with h5py.File(folder / "dataset.h5", "w") as file:
        file["train/images"] = np.zeros((size, 1, 1, 1), "u1") if images is None else images
        channels = file["train/images"].shape[-1]
        file.attrs.update(mean=np.full(channels, 0.5), std=np.full(channels, 0.25), job="", code="", config="")
    with h5py.File(folder / "pool.h5", "w") as file:
        file["indices"] = np.arange(size)
        file["flip"], file["given"], file["validation"] = np.zeros(size, bool), np.zeros(size, bool), np.empty(0, int)
        file.attrs.update(classes=10, class_ids=np.arange(10), noise=0.0, noise_seed=0, job="", code="", config="")
    if features is not None:
        with h5py.File(folder / "features.h5", "w") as file:
            file["features"] = features
            file.attrs.update(job="", code="", config="")
    config = {"network": NETWORK, "seed": 0, "threads": 1, "device": "cpu", "deterministic": True}
    base = [str(folder / "features.h5")] if features is not None else []
    return Task(Job("pretrain", "benchmark", config, ""), folder / "dataset.h5", folder / "pool.h5", base)


def usual_training(task, model, images, workers):
    """Train SimCLR for an epoch as published code does."""
    optimizer = torch.optim.SGD(model.parameters(), 0.2, momentum=0.9, weight_decay=1e-4)
    for first, second in DataLoader(Pairs(images), BATCH, shuffle=True, num_workers=workers):
        _, projected = model((torch.cat([first, second]) - 0.5) / 0.25)
        loss = simclr.nt_xent(projected, 0.1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def smooth(side, channels):
    """Return uint8 images (COUNT, side, side, channels)."""
    noise = torch.rand((COUNT, channels, 8, 8), generator=torch.Generator().manual_seed(0))
    images = F.interpolate(noise, (side, side), mode="bilinear")
    return (images * 255).round().byte().permute(0, 2, 3, 1).contiguous()


def compare(what, runs):
    """Print a row of the Markdown table: images per second of each loop, and poolflow's over each of the others."""
    seconds = {run: [] for run in runs}
    for _ in range(6):
        for run, action in runs.items():
            start = time.perf_counter()
            action()
            seconds[run].append(time.perf_counter() - start)
    rates = {run: COUNT / np.median(values[1:]) for run, values in seconds.items()}  # the first turn warms up
    pil, worker, own = rates.values()
    print(f"| {what} | {pil:,.0f} | {worker:,.0f} | {own:,.0f} | {own / pil:.1f}x | {own / worker:.1f}x |", flush=True)


def seconds(action):
    """Return the seconds of an action."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def simclr_rows(folder, name):
    """Print the rows of one case: the views alone, and the whole training."""
    images = smooth(*CASES[name])
    array = images.numpy()
    compare(
        f"views alone, {name}",
        {"PIL": lambda: plain(array, 0), "worker": lambda: plain(array, 1), "poolflow": lambda: ours(images)},
    )
    task = write(folder, array)
    model = simclr.build(task)
    compare(
        f"SimCLR of a LeNet, {name}",
        {
            "PIL": lambda: usual_training(task, model, array, 0),
            "worker": lambda: usual_training(task, model, array, 1),
            "poolflow": lambda: simclr.train(task, model, epochs=1, batch_size=BATCH),
        },
    )


def clustering(folder):
    """Print the seconds of k-means beside scikit-learn's, and of t-SNE."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(20, 128))[rng.integers(20, size=60_000)] + rng.normal(size=(60_000, 128))
    task = write(folder, features=features.astype(np.float32), size=60_000)
    runs = {
        "scikit-learn": lambda: KMeans(10, n_init=3, random_state=0).fit_predict(features.astype(np.float32)),
        "poolflow": lambda: kmeans.clusters(task, None),
    }
    taken = {run: [] for run in runs}
    for _ in range(5):
        for run, action in runs.items():
            taken[run].append(seconds(action))
    reference, own = (np.median(values) for values in taken.values())
    print(f"k-means, 60,000 x 128, K = 10: {own:.2f} s, scikit-learn {reference:.2f} s, {own / reference:.2f}x")
    with h5py.File(folder / "labeled.h5", "w") as file:
        file["indices"], file["score"], file["cycle"] = np.arange(60), np.zeros(60), np.zeros(60, int)
    job = Job("tsne", "benchmark", {"rows": 5000, "seed": 0}, "")
    paths = [str(folder / name) for name in ("pool.h5", "features.h5", "out.h5")]
    took = seconds(lambda: tsne.main(job, *paths, labeled=[str(folder / "labeled.h5")]))
    print(f"t-SNE, 5,000 of 60,000 x 128: {took:.1f} s")


def main():
    torch.set_num_threads(1)
    print(machine())
    print("| images/s, each in two views | PIL + DataLoader | with a worker | poolflow | ratio | ratio, a worker |")
    print("|---|---|---|---|---|---|")
    with TemporaryDirectory() as folder, threadpool_limits(1):
        for name in CASES:
            simclr_rows(Path(folder), name)
        clustering(Path(folder))


if __name__ == "__main__":
    main()
