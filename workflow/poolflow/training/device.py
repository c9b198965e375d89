"""The device on which the networks of a stage run."""

import os

import torch

from poolflow.job import StageError


def device(config):
    """Return the torch device that the config asks for ("auto": a GPU where there is one) and fix the threads.

    Of several GPUs it is the process' current one.

    With `deterministic` an operation that could give other bits in another run is an error, on a GPU too; without it
    a GPU may choose its fastest algorithms, and float32 products are done in TF32. On a CPU both give the same bits.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS refuses to be deterministic
    torch.set_num_threads(config["threads"])
    if config["deterministic"]:
        torch.set_deterministic_debug_mode("error")  # use_deterministic_algorithms would import torch.compile, 0.8 s
        torch.utils.deterministic.fill_uninitialized_memory = False  # a check for bugs, not needed to be deterministic
    else:
        torch.backends.cudnn.benchmark = True
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    if config["device"] == "cuda" and not torch.cuda.is_available():
        raise StageError("device: found 'cuda', but torch sees no CUDA GPU; write auto or cpu")
    return torch.device("cuda" if config["device"] != "cpu" and torch.cuda.is_available() else "cpu")
