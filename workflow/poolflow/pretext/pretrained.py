"""Pretrained: the features of a network that was trained on other images; nothing is learned here.

The frozen-feature setting of Gupte et al. (2024, ALFM, "Revisiting active learning in the era of vision foundation
models") and Zhang et al. (2024, LabelBench). `model` is a name of timm (Wightman 2019), by default DINOv2's small
vision transformer (Oquab et al. 2024), 384 features; the output of its last pooling is the features. Images are
resized, whole, to the `size` of the network's own inputs, or to `size` x `size`, and normalised as its weights ask.
`weights` is a file of the user's own, .safetensors or .pth, relative to `data_root`, or is fetched from the Hugging
Face hub once; `sha256` holds it to one content. Every image of the data set is embedded once, whatever the number of
seeds: the cost is one pass of the network. Networks that take features learn from these with `features: <this task>`.
"""

import os
import re
from difflib import get_close_matches

import torch
import torch.nn.functional as F

from poolflow.data.published import File, checksum, verified
from poolflow.job import StageError
from poolflow.training import weights as models

GIVES = ("features",)
LOCAL = ("weights",)
BOUNDS = {"size": ">= 8", "precision": "float32 or bfloat16"}
MODEL = "vit_small_patch14_dinov2.lvd142m"
HUB = "https://huggingface.co"


def files(model: str = MODEL, weights: str = "download", sha256: str | None = None):
    """Return the file of the model's weights in the hub, which says their SHA-256 where there is none here."""
    source = f"{os.environ.get('HF_ENDPOINT', HUB)}/{known(model).hf_hub_id}/resolve/main/model.safetensors"
    return [File(place(model), (source,), digits(sha256))]


def place(model):
    """Return where the weights of a model lie once they are fetched, relative to `data_root`."""
    return f"pretrained/{model}.safetensors"


def digits(sha256):
    """Return a SHA-256 in hexadecimal digits, "" for None; StageError for anything else."""
    if sha256 is not None and not re.fullmatch("[0-9a-f]{64}", sha256):
        raise StageError(f"sha256: found {sha256!r}, expected 64 hexadecimal digits")
    return sha256 or ""


def weights(root, model: str = MODEL, weights: str = "download", sha256: str | None = None):
    """Return the network's weights as their file has them, {name: tensor}, and a line that says what they are.

    Raises
    ------
    StageError
        When timm has no such model, or the file is missing, another one, or not of this model.
    """
    settings = known(model)
    path = os.path.join(root, place(model) if weights == "download" else os.path.expanduser(weights))
    if not os.path.isfile(path):
        raise StageError(f"weights: found no file at {path}")
    if digits(sha256):
        verified(path, sha256)
    state = read(path)
    loaded(model, state, None, path)
    found = f"weights of SHA-256 {checksum(path, 'SHA-256')}"
    return state, f"{model} (licence: {settings.license or 'not said'}), {found}"


def known(model):
    """Return what timm knows of a model; StageError where it has none of that name with weights."""
    import timm

    name = model.partition(".")[0]
    tags = timm.list_pretrained(name) if timm.is_model(name) else []
    if model not in tags:
        close = tags or get_close_matches(model, timm.list_pretrained(), n=3)
        hint = f"; did you mean {' or '.join(close)}?" if close else ""
        raise StageError(f"model: found {model}, expected a name with its tag, as in timm.list_pretrained(){hint}")
    return timm.get_pretrained_cfg(model)


def read(path):
    """Return the tensors of a file by their names; no code in it is run."""
    from safetensors import SafetensorError
    from timm.models import load_state_dict

    try:
        state = load_state_dict(path)
    except (*models.DAMAGE, OSError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise StageError(
            f"weights: {path} is damaged, or neither .safetensors nor a .pth of tensors alone ({reason})"
        ) from error
    if not state or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise StageError(f"weights: {path} holds more than tensors, or none; write it as .safetensors")
    return {str(key): value.contiguous() for key, value in state.items()}


def loaded(model, state, size, path="the weights"):
    """Return timm's network with these weights, for images of `size` x `size`, and its settings of inputs.

    Raises
    ------
    StageError
        When the weights are those of another network, or it does not take such images.
    """
    import timm
    from timm.data import resolve_model_data_config

    overlay = {"state_dict": dict(state)} | ({"input_size": (3, size, size)} if size else {})
    try:
        # With its own number of classes: without classes timm takes any file.
        network = timm.create_model(model, pretrained=True, pretrained_cfg_overlay=overlay)
        network.reset_classifier(0)
        inputs = resolve_model_data_config(network)
        with torch.inference_mode():
            network.eval()(torch.zeros(1, *inputs["input_size"]))
    except torch.OutOfMemoryError:
        raise
    except (*models.DAMAGE, AssertionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise StageError(
            f"{path} and model {model}{f' with size {size}' if size else ''} do not fit ({reason})"
        ) from error
    return network, inputs


def embed(state, device, model: str = MODEL, size: int | None = None, precision: str = "float32"):
    """Return a function from images (n, height, width, 1 or 3) uint8 to features (n, D) float32, and its batch size."""
    network, inputs = loaded(model, state, size)
    network = network.to(device)
    side = inputs["input_size"][-2:]
    mean, std = (torch.tensor(inputs[key], device=device).view(1, 3, 1, 1) for key in ("mean", "std"))
    mode = "bicubic" if inputs["interpolation"] == "bicubic" else "bilinear"

    def features(images):
        values = images.to(device).permute(0, 3, 1, 2).expand(-1, 3, -1, -1).float() / 255
        values = F.interpolate(values, side, mode=mode, antialias=True, align_corners=False).clamp_(0, 1)
        with (
            torch.inference_mode(),
            torch.autocast(values.device.type, torch.bfloat16, enabled=precision == "bfloat16"),
        ):
            return network((values - mean) / std).float()

    return features, max(1, 64 * 128 * 128 // (side[0] * side[1]))


def features(task, model):
    """Return the features of the pool's images, (N, D)."""
    return task.images.cpu().numpy()
