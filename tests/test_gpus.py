"""Jobs on a machine with GPUs, pretended here: how many run at once, which GPU each takes, and what it says."""

import re
import subprocess
import sys
from collections import Counter

import pytest
import torch
from conftest import NETWORK, ROOT, TINY, Project

from poolflow.job import Job
from poolflow.running import gpus
from poolflow.training import networks, weights
from poolflow.training.device import device

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
    cuda, auto, cpu = ({"device": name} for name in ("cuda", "auto", "cpu"))
    for config in (cuda, auto, {"learner": auto}, {"parameters": cuda}, cpu | {"parameters": auto}):
        gpus.use_one(config)
        assert capsys.readouterr().err == "device: cuda:3, a card\n"
        assert chosen.pop() == torch.device("cuda:3")
    for config in (cuda, auto):
        assert device(NETWORK | config) == torch.device("cuda")  # the current one
    for config in (cpu, {"learner": cpu}, cpu | {"parameters": cpu}):
        gpus.use_one(config)
        assert capsys.readouterr().err == "device: cpu\n"
    assert device(NETWORK) == torch.device("cpu")
    gpus.use_one({"parameters": {}, "learner": {"learner": "supervised", "parameters": {}}})
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    gpus.use_one(auto)
    assert capsys.readouterr().err == "device: cpu\n"
    assert not chosen


def test_provenance_names_the_device(monkeypatch):
    job = Job("train", "d/l/p/seed0/cycle0", {"seed": 0}, "")
    assert job.provenance()["device"] == "cpu"
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a card")
    assert job.provenance()["device"] == "a card"


def test_a_model_that_the_memory_of_a_gpu_is_too_small_for_is_not_called_broken(tmp_path, monkeypatch):
    weights.save({"states": [{}]}, tmp_path / "model.pt")

    def refuse(*_, **__):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(torch, "load", refuse)
    with pytest.raises(torch.OutOfMemoryError):
        weights.load(tmp_path / "model.pt", torch.device("cpu"))


def test_nor_are_its_weights_called_those_of_another_network(tmp_path):
    class Full(torch.nn.Linear):
        def load_state_dict(self, *_, **__):
            raise torch.OutOfMemoryError

    with pytest.raises(torch.OutOfMemoryError):
        weights.give(Full(2, 2), {}, tmp_path / "model.pt")


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
