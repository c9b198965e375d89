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


def give_mixed(network, state, path, shrink, perturb):
    """Give a new network `shrink` times the weights of a member and `perturb` times its own (Ash & Adams 2020).

    The statistics of batch normalisation are then its own, as in the authors' code; 1 and 0 give it that member.
    """
    if (shrink, perturb) == (1, 0):
        give(network, state, path)
        return
    fresh = {key: value.clone() for key, value in network.state_dict().items()}
    give(network, state, path)
    with torch.no_grad():
        for name, values in network.named_parameters():
            values.mul_(shrink).add_(fresh[name], alpha=perturb)
        for name, values in network.named_buffers():
            if name in fresh:
                values.copy_(fresh[name])


def give_body(network, state, path):
    """Give a network, but for its last layer, the weights that a pretext task learned for `model.network`.

    Raises
    ------
    Damaged
        Where `path` holds no such network, or another one.
    """
    prefix = "network."
    body = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    body = {key: value for key, value in body.items() if not key.startswith("head.")}
    own = network.state_dict()
    wrong = [key for key, value in body.items() if key not in own or own[key].shape != value.shape]
    if not body or wrong:
        found = f"with {wrong[0]} {tuple(body[wrong[0]].shape)}" if wrong else f"without weights of {prefix}*"
        raise Damaged(f"{path} holds the weights of another network, {found}")
    give(network, own | body, path)
