"""The weights of networks, `model.pt`."""

import io
from pickle import UnpicklingError

import torch

from poolflow.data import store
from poolflow.job import StageError


def save(content, path):
    """Write what torch.save writes, complete or not at all."""
    memory = io.BytesIO()  # torch.save to a full disk does not say so
    torch.save(content, memory)
    with store.replacing(path) as temporary, open(temporary, "wb") as file:
        file.write(memory.getbuffer())


def load(path, device):
    """Return the weights of each member that a `model.pt` holds; StageError where it is not complete."""
    try:
        return torch.load(path, map_location=device)["states"]
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, EOFError, KeyError, OSError, UnpicklingError) as error:
        reason = str(error).partition(". ")[0]
        raise StageError(f"{path} is not a complete model ({reason}); delete it and run again") from error
