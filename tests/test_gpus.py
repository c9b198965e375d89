"""Jobs on a machine with GPUs, pretended here: how many run at once, which GPU each takes, and what it says."""

import json
import re
import subprocess
import sys
from collections import Counter

import pytest
import torch
from conftest import NETWORK, ROOT, TINY, TRAINING, Project

from poolflow import job as stage
from poolflow.running import gpus
from poolflow.training import networks

HOLD = f"""
import sys
sys.path.insert(0, {str(ROOT / "workflow")!r})
from poolflow.running import gpus
print(gpus.take(2), gpus.take(2), flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(
    ("value", "expected"), [("0", 1), ("0,1", 2), ("", 0), ("-1", 0), ("1,-1,0", 1), ("GPU-5e2a, MIG-7b1c", 2)]
)
def test_gpus_are_counted_as_cuda_does(monkeypatch, value, expected):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert gpus.visible() == expected


@pytest.fixture
def holder(tmp_path, monkeypatch):
    """Return a function that starts a process which takes one of two GPUs and holds it: (process, GPU)."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    processes = []

    def start():
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        processes.append(process)
        first, again = process.stdout.readline().split()
        assert first == again
        return process, int(first)

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_jobs_share_the_gpus_evenly_and_leave_them_when_killed(holder, monkeypatch):
    held = [holder() for _ in range(4)]
    assert Counter(gpu for _, gpu in held) == {0: 2, 1: 2}
    process, gpu = held[1]
    process.kill()
    process.wait()
    assert holder()[1] == gpu
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    assert {holder()[1], holder()[1]} == {0, 1}


def test_a_job_uses_and_names_the_gpu_that_it_took(monkeypatch, capsys):
    chosen = []
    for name, value in {"is_available": True, "device_count": 4, "get_device_name": "a card"}.items():
        monkeypatch.setattr(torch.cuda, name, lambda *_, value=value: value)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setattr(gpus, "take", lambda total: total - 1)
    for device in ("cuda", "auto"):
        assert networks.device(NETWORK | {"device": device}) == torch.device("cuda:3")
        assert capsys.readouterr().err == "device: cuda:3, a card\n"
    assert chosen == [torch.device("cuda:3")] * 2
    assert networks.device(NETWORK) == torch.device("cpu")
    assert capsys.readouterr().err == "device: cpu\n"


def test_provenance_names_the_device(monkeypatch):
    job = stage.Job("train", "d/l/p/seed0/cycle0", {"seed": 0}, "")
    assert job.provenance()["device"] == "cpu"
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a card")
    assert job.provenance()["device"] == "a card"


FREE = "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 79.10 GiB."
CUDA = torch.OutOfMemoryError(f"{FREE} Including non-PyTorch memory, this process has 79.09 GiB memory in use.")
SHARE = "let fewer jobs share a GPU (--resources gpu=1)"


@pytest.mark.parametrize(
    ("settings", "error", "expected"),
    [
        ({"training": TRAINING}, CUDA, f"lower training.batch_size (found 8), or {SHARE}: {FREE}"),
        ({"task": "vae", "train": {}}, CUDA, f"lower batch_size of the pretext task vae, or {SHARE}: {FREE}"),
        ({}, CUDA, f"{SHARE}: {FREE}"),
        ({}, MemoryError("Unable to allocate 3. TiB"), "let fewer jobs run at once: Unable to allocate 3. TiB"),
    ],
)
def test_too_little_memory_is_one_line_that_says_what_to_change(monkeypatch, settings, error, expected):
    def main(job):
        raise error

    monkeypatch.setattr(sys, "argv", ["train.py", "--name", "d/l", "--config", json.dumps(settings)])
    with pytest.raises(SystemExit) as end:
        stage.run(main)
    assert end.value.code == f"poolflow train d/l: out of memory; {expected}"


def test_other_errors_are_not_taken_for_too_little_memory(monkeypatch):
    def main(job):
        raise RuntimeError("CUDA error")

    monkeypatch.setattr(sys, "argv", ["train.py", "--name", "d/l", "--config", "{}"])
    with pytest.raises(RuntimeError):
        stage.run(main)


def test_a_model_that_the_memory_of_a_gpu_is_too_small_for_is_not_called_broken(monkeypatch):
    def refuse(*_, **__):
        raise CUDA

    monkeypatch.setattr(torch, "load", refuse)
    with pytest.raises(torch.OutOfMemoryError):
        networks.load("model.pt", torch.device("cpu"))


def test_larger_images_are_evaluated_in_smaller_batches():
    sizes = [
        networks.evaluation_batch(shape) for shape in [(64,), (28, 28, 1), (32, 32, 3), (64, 64, 3), (2000, 3000, 3)]
    ]
    assert sizes == [1000, 1000, 1000, 250, 1]


def test_as_many_jobs_use_gpus_as_there_are(tmp_path, monkeypatch):
    strategies = {"entropy": None, "emoc": None, "vaal": None, "vaal_on_gpu": {"strategy": "vaal", "device": "auto"}}
    project = Project.new(tmp_path / "project", TINY | {"strategies": strategies})
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    output = project.snakemake("--cores", "4", "results/tiny/digits/pool/seed0.h5")
    assert re.search(r"Provided resources: gpu=\D*2\b", output)
    output = project.snakemake(
        "results/tiny/digits/pool/seed0.h5", "--forceall", "--cores", "4", "--resources", "gpu=6"
    )
    assert re.search(r"Provided resources: gpu=\D*6\b", output)
    for settings, expected in [
        ({"device": "auto"}, {"train", "predict", "pretrain", "pretext_output", "acquire emoc", "acquire vaal_on_gpu"}),
        ({"device": "cpu"}, {"acquire vaal_on_gpu"}),
    ]:
        project.configure(TINY | {"strategies": strategies} | settings)
        asking = {f"acquire {strategy}" if rule == "acquire" else rule for rule, strategy in project.asking("gpu=1")}
        assert asking == expected
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert not project.asking("gpu=1")
