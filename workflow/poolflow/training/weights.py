"""The weights of networks, `model.pt`."""

import io
import zipfile
from pickle import UnpicklingError

import torch

from poolflow.data import store
from poolflow.job import Damaged

DAMAGE = (RuntimeError, EOFError, LookupError, TypeError, ValueError, AttributeError, UnpicklingError)
DAMAGE += (zipfile.BadZipFile, NotImplementedError)


def save(content, path):
    """Write what torch.save writes, complete or not at all."""
    memory = io.BytesIO()  # torch.save to a full disk does not say so
    torch.save(content, memory)
    with store.replacing(path) as temporary, open(temporary, "wb") as file:
        file.write(memory.getbuffer())


def read(path, device):
    """Return what `save` wrote; no code in it is run.

    Raises
    ------
    Damaged
        Where it is missing, damaged or something else. torch.load does not look at the checksums of the archive that it
        reads, so they are looked at before.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if wrong := archive.testzip():
                raise Damaged(f"{path} is damaged at {wrong}")
        return torch.load(path, map_location=device, weights_only=True)
    except torch.OutOfMemoryError:
        raise
    except FileNotFoundError as error:
        raise Damaged(f"{path} is missing") from error
    except OSError as error:
        raise store.unreadable(path, error) from error
    except DAMAGE as error:
        reason = str(error).partition(". ")[0]
        raise Damaged(f"{path} is damaged or no model ({reason})") from error


def load(path, device):
    """Return the weights of each member that a `model.pt` holds; Damaged where it holds something else."""
    content = read(path, device)
    states = content.get("states") if isinstance(content, dict) else None
    if not isinstance(states, list) or not states or not all(isinstance(state, dict) for state in states):
        raise Damaged(f"{path} holds no weights of networks")
    return states


def give(network, state, path):
    """Give a network the weights of one member of the `model.pt` at `path`; Damaged where they are of another one."""
    try:
        network.load_state_dict(state)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise Damaged(f"{path} holds the weights of another network ({reason[:200]})") from error
