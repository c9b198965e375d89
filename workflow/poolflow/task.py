"""What a pretext task works with: the pool's images without their labels, the network, and a loop that can resume."""

import hashlib
import json
import math
import os
import sys
import time

import numpy as np
import torch
from torch import nn
from tqdm import tqdm, trange

from poolflow.data import store
from poolflow.data.candidates import Candidates, inputs
from poolflow.job import Damaged, StageError
from poolflow.training import networks, weights
from poolflow.training.device import device as device_of
from poolflow.training.lars import Lars
from poolflow.training.optimizers import make_optimizer

CHECKPOINT = 60  # seconds at least between two checkpoints


class Task:
    """The pool of one data set and seed as a pretext task sees it; no label is in it.

    Attributes
    ----------
    size, classes : int
        Number of pool rows, N, and of classes to tell apart.
    shape : tuple
        (height, width, channels) of an image, or (D,) of a row of ready features.
    images : (N, height, width, channels) uint8 tensor on `device`
        For a data set of ready features, those: (N, D) float32.
    features : (N, D) float32 array
        Those of the task that this one builds on (OF).
    base : dict
        The weights that the task which this one builds on has learned.
    """

    def __init__(self, job, dataset, pool, of=(), checkpoint=None):
        self._job, self._of, self._checkpoint = job, {os.path.basename(path): path for path in of}, checkpoint
        self.device = device_of(job.config)
        candidates = Candidates(pool)
        self.size, self.classes = len(candidates), candidates.classes
        with store.read(dataset) as file:
            self.shape = inputs(file, "train").shape[1:]
            self._mean, self._std = file.attrs["mean"], file.attrs["std"]
            self.images = torch.from_numpy(candidates.read(file, np.arange(self.size))).to(self.device)
        self.normalise = networks.Normalise(self._mean, self._std, self.device)
        self._origin = [digest(path) for path in (dataset, pool, *of)] if checkpoint else []
        self._total, self._losses, self._history = 1, [], []

    @property
    def features(self):
        with store.read(self._of["features.h5"]) as file:
            return file["features"][:]

    @property
    def base(self):
        return weights.load(self._of["model.pt"], self.device)[0]

    def rng(self, purpose):
        """Return the NumPy generator for one purpose."""
        return self._job.rng(purpose)

    def seed(self, purpose):
        """Seed torch's generator for one purpose."""
        torch.manual_seed(int(self.rng(purpose).integers(2**63)))

    def network(self):
        """Return the untrained network of the study, with `features` and `head`."""
        return networks.build(self._job.config["network"], self.shape, self.classes)

    def standard(self, views):
        """Return views (n, channels, height, width) in 0..1 with the mean and deviation that networks are used to."""
        mean, std = (torch.tensor(x, dtype=views.dtype, device=views.device) for x in (self._mean, self._std))
        # Not .contiguous(): of one channel it keeps strides that the convolutions take for another, slower layout.
        out = torch.empty(views.shape, device=views.device, memory_format=torch.channels_last)
        return out.copy_(views).sub_(mean.view(1, -1, 1, 1)).div_(std.view(1, -1, 1, 1))

    def optimizer(self, parameters, kind, learning_rate, weight_decay, momentum=0.9):
        """Return torch's optimizer of that kind (sgd, adam, adamw), or LARS."""
        settings = {"learning_rate": learning_rate, "weight_decay": weight_decay, "momentum": momentum}
        if kind == "lars":
            return Lars(parameters, learning_rate, momentum=momentum, weight_decay=weight_decay)
        return make_optimizer(parameters, settings | {"optimizer": kind, "nesterov": False})

    def epochs(self, count, phase="epochs", **parts):
        """Yield 1 to `count`, the epochs of a phase, so that a killed run goes on where it was.

        `parts` are all that changes from epoch to epoch and have `state_dict` and `load_state_dict`: network and
        optimizer. They are kept after an epoch, at most once in CHECKPOINT seconds, together with the states of torch's
        generators, and are set back to that when the same task starts again on files of the same content. A phase that
        was over is not entered again.
        """
        kept, first = self._read_checkpoint(), 0
        if kept and phase == kept["phase"]:
            first, self._history = kept["epoch"], kept["history"]
            for name, part in parts.items():
                part.load_state_dict(kept["parts"][name])
            torch.set_rng_state(kept["rng"].cpu())
            if self.device.type == "cuda":
                torch.cuda.set_rng_state(kept["cuda_rng"].cpu())
        elif kept and phase in kept["finished"]:
            return
        self._total, saved = count, time.monotonic()
        bar = trange(first + 1, count + 1, desc=phase, initial=first, total=count, mininterval=5)
        for epoch in bar:
            self._epoch, self._losses = epoch - 1, []
            for part in parts.values():
                if isinstance(part, nn.Module):
                    part.train()
            yield epoch
            loss = float(torch.stack(self._losses).mean()) if self._losses else 0.0
            if not math.isfinite(loss):
                raise StageError(
                    f"the loss became {loss} in epoch {epoch} of {phase}; lower the learning_rate or the weight_decay"
                )
            self._history.append([phase, epoch, loss])
            bar.set_postfix(loss=f"{loss:.4f}")
            last = epoch == count
            if self._checkpoint and (last or time.monotonic() - saved > CHECKPOINT):
                self._write_checkpoint(phase, epoch, parts, last)
                saved = time.monotonic()

    def batches(self, size, rows=None):
        """Yield the rows of an epoch's mini-batches, equal parts of a random order, at most `size` each.

        One image alone is in no batch, since batch normalisation and contrasts need two: of an odd number one batch
        of `size` 2 has three.
        """
        order = torch.randperm(self.size) if rows is None else rows[torch.randperm(len(rows))]
        if len(order) < 2:
            raise StageError(f"found {len(order)} image to learn from, expected at least 2; make the pool larger")
        steps = max(1, min(math.ceil(len(order) / size), len(order) // 2))
        for step, batch in enumerate(order.tensor_split(steps)):
            self._progress = (self._epoch + step / steps) / self._total
            yield batch.to(self.device)

    def update(self, loss, optimizer, learning_rate, schedule="constant"):
        """Do one update of the weights, at the learning rate or on a cosine from it to zero over the epochs."""
        factor = (1 + math.cos(math.pi * self._progress)) / 2 if schedule == "cosine" else 1
        optimizer.param_groups[0]["lr"] = learning_rate * factor
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        self._losses.append(loss.detach())

    def map(self, function, rows=None, what="images"):
        """Return `function` of all images, batch by batch and without gradients: (N, ...) array.

        `function` gets uint8 images (n, height, width, channels), or ready features, and their rows (n,).
        """
        rows = torch.arange(self.size) if rows is None else rows
        results = []
        with torch.inference_mode():
            for batch in tqdm(rows.split(networks.evaluation_batch(self.shape)), desc=what, mininterval=5):
                batch = batch.to(self.device)
                results.append(function(self.images[batch], batch).cpu())
        return torch.cat(results).numpy()

    def history(self):
        """Return what was learned: (phase, epoch, mean loss) for each epoch."""
        return self._history

    def _read_checkpoint(self):
        if not self._checkpoint or not os.path.exists(self._checkpoint):
            return None
        try:
            kept = weights.read(self._checkpoint, self.device)
            return kept if kept["of"] == self._identity() else None
        except (Damaged, KeyError) as error:
            print(f"{error}; the task starts from the beginning", file=sys.stderr)
            return None

    def _write_checkpoint(self, phase, epoch, parts, last):
        kept = self._read_checkpoint()
        content = {
            "of": self._identity(),
            "phase": phase,
            "epoch": epoch,
            "finished": [*(kept["finished"] if kept else []), *([phase] if last else [])],
            "history": self._history,
            "rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state() if self.device.type == "cuda" else None,
            "parts": {name: part.state_dict() for name, part in parts.items()},
        }
        weights.save(content, self._checkpoint)

    def _identity(self):
        return [self._job.name, self._job.code, json.dumps(self._job.config), *self._origin]


def digest(path):
    """Return the SHA-256 of a file in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Best:
    """The weights of the epoch with the lowest loss."""

    def __init__(self, network):
        self._network, self._loss, self._weights = network, math.inf, None

    def offer(self, loss):
        """Keep the network's weights if the loss is the lowest so far."""
        if loss < self._loss:
            self._loss = loss
            self._weights = {key: value.clone() for key, value in self._network.state_dict().items()}

    def restore(self):
        """Give the network the weights that were kept; StageError where no loss was below infinity."""
        if self._weights is None:
            raise StageError(
                "the loss on the held-out images was finite in no epoch; lower the learning_rate or the weight_decay"
            )
        self._network.load_state_dict(self._weights)

    def state_dict(self):
        return {"loss": self._loss, "weights": self._weights}

    def load_state_dict(self, state):
        self._loss, self._weights = state["loss"], state["weights"]
