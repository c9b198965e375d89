"""What starting Python costs the default study: each job on its own, forked from a warm process, all in one process.

    python benchmarks/startup.py [SEEDS [CORES [slurm] [conda]]]

Runs the study of config.yaml with that many seeds (default 3) three times in a temporary folder, with POOLFLOW_WARM=0,
with 1, and as its stages one after another in a process that imports each library once, and compares all that they
wrote. With `slurm` and `conda` also warm and cold on a SLURM of this machine, a chain a submission, and with
--use-conda, by the tests' stand-in for conda. CPU seconds are those of all processes, Snakemake's and SLURM's among
them. On a machine that does nothing else.
"""

import contextlib
import ctypes
import json
import logging
import os
import resource
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import yaml
from common import ROOT, machine
from snakemake import cli
from snakemake.logging import logger
from snakemake_interface_logger_plugins.common import LogEvent

from poolflow.running.run import run

PR_SET_CHILD_SUBREAPER = 36
TIMES = ("seconds", "train_seconds", "test_seconds")


def commands():
    """Return the commands of the stages of the study in this folder, in an order in which they can run."""
    found = []

    def keep(record):
        if getattr(record, "event", None) == LogEvent.JOB_INFO and record.shellcmd:
            found.append(record.shellcmd)
        return record.levelno >= logging.WARNING

    logger.addFilter(keep)
    with contextlib.suppress(SystemExit):
        cli.main(["--dry-run", "--cores", "1", "--printshellcmds"])
    return found


def one_process(path):
    """Run commands of rules in this process."""
    study = yaml.safe_load(Path("config.yaml").read_text())
    os.environ["POOLFLOW_CYCLES"] = str(study["cycles"])
    os.environ["POOLFLOW_ASKED"] = f"{study['initial_size']} {study['budget']} {study['cycles']}"
    for command in json.loads(Path(path).read_text()):
        _, _, _, stage, *arguments = shlex.split(os.path.expandvars(command))
        end = arguments.index("2>")
        os.makedirs(os.path.dirname(arguments[end + 1]), exist_ok=True)
        with open(arguments[end + 1], "w") as log, contextlib.redirect_stderr(log):
            run(stage, arguments[:end])


def measured(command, **options):
    """Run a command; return its wall and CPU seconds, with those of all processes that it leaves behind."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **options)
    wall = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"{command} failed:\n{done.stdout[-3000:]}")
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()  # what was left behind is this process' child
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def written(folder):
    """Return {path: what a file of a study holds}, without the seconds that things took."""

    def content(path):
        if path.suffix == ".h5":
            found = {}
            with h5py.File(path) as file:
                file.visititems(
                    lambda name, node: found.update({name: node[()].tobytes()}) if hasattr(node, "shape") else None
                )
            return found
        if path.suffix == ".json":
            return {key: value for key, value in json.loads(path.read_text()).items() if key not in TIMES}
        return path.read_bytes()

    paths = [path for path in (folder / "results").rglob("*") if path.suffix in (".h5", ".json", ".pt", ".png")]
    return {str(path.relative_to(folder)): content(path) for path in paths}


def commands_of(kind, folder, seeds, cores, options):
    """Return the command that runs the study in a folder one way, after what has to be there before."""
    snakemake = [sys.executable, "-m", "snakemake", "--cores", str(cores)]
    if kind == "one process":
        listed = subprocess.run([sys.executable, __file__, "commands"], stdout=subprocess.PIPE, check=True, **options)
        print(f"{len(json.loads(listed.stdout))} stages, {seeds} seeds, {cores} cores")
        jobs = folder / "commands.json"
        jobs.write_bytes(listed.stdout)
        return [sys.executable, __file__, "one", str(jobs)]
    if "slurm" in kind:
        return [ROOT / "tools/slurm", folder / "slurm", *snakemake[:3], "--profile", "profiles/slurm"]
    if "conda" in kind:
        sys.path.append(str(ROOT / "tests"))
        import conda_stand_in

        conda_stand_in.install(folder / "conda")
        options["env"]["PATH"] = f"{folder}/conda/bin:{os.defpath}"
        snakemake.append("--use-conda")
        subprocess.run([*snakemake, "--conda-create-envs-only"], check=True, capture_output=True, **options)
    return snakemake


def main(seeds="3", cores="2", *others):
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    print(machine())
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow"), "POOLFLOW_DATA": str(ROOT / "data")}
    ways = ["", *(f"{way} " for way in others)]
    kinds = ["one process", *(f"{way}{how}" for way in ways for how in ("warm", "cold"))]
    costs, contents = {}, {}
    with tempfile.TemporaryDirectory() as name:
        for kind in kinds:
            folder = Path(name, kind.replace(" ", "_"))
            folder.mkdir()
            for part in ("workflow", "profiles", "envs"):
                shutil.copytree(ROOT / part, folder / part)
            shutil.copy(ROOT / "Snakefile", folder)
            config = yaml.safe_load((ROOT / "config.yaml").read_text()) | {"seeds": list(range(int(seeds)))}
            (folder / "config.yaml").write_text(yaml.safe_dump(config))
            options = {"cwd": folder, "env": environment | {"POOLFLOW_WARM": str(int("cold" not in kind))}}
            command = commands_of(kind, folder, seeds, cores, options)
            wall, cpu = costs[kind] = measured(command, **options)
            contents[kind] = written(folder)
            first = costs["one process"]
            print(
                f"{kind:11} {wall:6.0f} s ({wall / first[0]:.2f})  {cpu:6.0f} CPU s ({cpu / first[1]:.2f})", flush=True
            )
    for kind in kinds[1:]:
        keys = contents[kind].keys() | contents["one process"].keys()
        other = sorted(key for key in keys if contents[kind].get(key) != contents["one process"].get(key))
        print(f"{kind}: {len(keys) - len(other)} files as by one process, others: {', '.join(other) or 'none'}")


if __name__ == "__main__":
    if sys.argv[1:] == ["commands"]:
        print(json.dumps(commands()))
    elif sys.argv[1:2] == ["one"]:
        one_process(sys.argv[2])
    else:
        main(*sys.argv[1:])
