"""Stage: train the network on the labelled images and test it."""

import inspect
import io
import math
import time

import torch
import torch.nn.functional as F
from tqdm import trange

from poolflow import networks, store
from poolflow.selection import read_labeled
from poolflow.stage import StageError, run

EVALUATION_BATCH = 1000


def main(job, dataset, pool, labeled, model, metrics):
    """Write `model.pt` (weights after the last epoch) and `metrics.json`.

    Training starts from scratch. Accuracies are fractions, losses mean cross-entropies in nats, both evaluated
    without augmentation; `seconds` is the time of the training loop.
    """
    device = networks.device(job.config)
    rows, _, _ = read_labeled(labeled)
    with store.read(pool) as file:
        train_rows = file["indices"][:][rows]
        validation_rows = file["validation"][:]
    with store.read(dataset) as file:
        names, mean, std = list(file.attrs["classes"]), file.attrs["mean"], file.attrs["std"]
        parts = {
            "train": load(file["train/images"], file["train/labels"], train_rows),
            "validation": load(file["train/images"], file["train/labels"], validation_rows),
            "test": load(file["test/images"], file["test/labels"], None),
        }
    torch.manual_seed(int(job.rng("train").integers(2**63)))
    images, labels = (part.to(device) for part in parts["train"])
    network = networks.build(job.config, images.shape[1:], len(names)).to(device)
    normalise = networks.Normalise(mean, std, device)

    start = time.perf_counter()
    fit(network, normalise, images, labels, job.config["training"])
    result = {"labeled": len(rows), "seconds": round(time.perf_counter() - start, 3)}
    for part, (images, labels) in parts.items():
        if len(images):
            values = evaluate(network, normalise, images, labels)
            if not math.isfinite(values["loss"]):
                raise StageError(f"the {part} loss is {values['loss']} after training; lower the learning_rate")
            result |= {f"{part}_{key}": value for key, value in values.items()}
    result["classes_labeled"] = torch.bincount(parts["train"][1], minlength=len(names)).tolist()

    state = {key: value.cpu() for key, value in network.state_dict().items()}
    weights = io.BytesIO()  # torch.save to a full disk does not say so
    torch.save({"state": state, "provenance": job.provenance()}, weights)
    with store.replacing(model) as temporary, open(temporary, "wb") as file:
        file.write(weights.getbuffer())
    store.write_json(metrics, job, result)


def load(images, labels, rows):
    """Return the given rows (None: all) of two HDF5 data sets as tensors: images uint8 NHWC, labels int64."""
    if rows is None:
        return torch.from_numpy(images[:]), torch.from_numpy(labels[:])
    return torch.from_numpy(store.take(images, rows)), torch.from_numpy(labels[:][rows])


def fit(network, normalise, images, labels, config):
    """Train `network` in place on uint8 images (n, H, W, C) that lie on its device with their labels (n,)."""
    steps = math.ceil(len(images) / config["batch_size"])
    optimizer, schedule = optimizer_and_schedule(network.parameters(), config, steps * config["epochs"])
    network.train()
    for epoch in trange(config["epochs"], desc="epochs", mininterval=5):
        total = torch.zeros((), device=labels.device)
        # Equal batches: no last batch of one image, which batch normalisation could not use.
        for batch in torch.randperm(len(images)).to(labels.device).tensor_split(steps):
            inputs = normalise(augment(images[batch], config["crop"], config["flip"]))
            loss = F.cross_entropy(network(inputs), labels[batch])
            network.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.detach()
        if not torch.isfinite(total):
            raise StageError(f"the training loss became {total.item()} in epoch {epoch + 1}; lower the learning_rate")


def augment(images, crop, flip):
    """Return uint8 images (n, H, W, C), each with its own draw: shifted and mirrored at random.

    `crop` pads that many black pixels on each side and cuts a random window of the original size, as torchvision's
    RandomCrop(size, padding) does; `flip` mirrors every second image on average left to right.
    """
    n, height, width, _ = images.shape
    if crop:
        padded = F.pad(images, (0, 0, crop, crop, crop, crop))
        windows = padded.unfold(1, height, 1).unfold(2, width, 1)  # (n, shift, shift, C, H, W), a view
        down, right = torch.randint(0, 2 * crop + 1, (2, n)).to(images.device)
        images = windows[torch.arange(n, device=images.device), down, right].permute(0, 2, 3, 1)
    if flip:
        chosen = torch.rand(n).to(images.device) < 0.5
        images = torch.where(chosen[:, None, None, None], images.flip(2), images)
    return images


def optimizer_and_schedule(parameters, config, steps):
    """Return the configured optimizer and its learning-rate schedule over `steps` updates."""
    settings = {"lr": config["learning_rate"], "weight_decay": config["weight_decay"], "fused": True}
    if config["optimizer"] == "sgd":
        optimizer = light(torch.optim.SGD)(parameters, momentum=config["momentum"], **settings)
    else:
        adam = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[config["optimizer"]]
        optimizer = light(adam)(parameters, **settings)
    if config["schedule"] == "cosine":
        return optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    return optimizer, torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1)


def light(optimizer):
    """Return the optimizer class without the decorators that import torch.compile: a third of a short job."""
    optimizer.add_param_group = inspect.unwrap(optimizer.add_param_group)
    optimizer.step = torch.no_grad()(inspect.unwrap(optimizer.step))
    return optimizer


@torch.inference_mode()
def evaluate(network, normalise, images, labels):
    """Return accuracy, mean cross-entropy in nats, and each class' accuracy (None where it has no image)."""
    network.eval()
    logits = torch.cat([network(normalise(batch)) for batch in images.split(EVALUATION_BATCH)]).double().cpu()
    correct = (logits.argmax(dim=1) == labels).numpy()
    per_class = [correct[labels.numpy() == c] for c in range(logits.shape[1])]
    return {
        "accuracy": float(correct.mean()),
        "loss": F.cross_entropy(logits, labels).item(),
        "class_accuracy": [float(hits.mean()) if len(hits) else None for hits in per_class],
    }


if __name__ == "__main__":
    run(main)
