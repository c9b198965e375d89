"""How a study comes through kills and damage: the default study, killed at random moments, damaged file by file.

    python benchmarks/reliability.py kills [COUNT [PER_STUDY]]
    python benchmarks/reliability.py damage [COUNT]

`kills` (default 200, 20 a study): the study runs on two cores in a folder of its own, and again and again, at a random
moment, something is killed: Snakemake and all its jobs, Snakemake alone, one process of a job, each with SIGKILL, or
Snakemake with SIGTERM or SIGINT. The same command is given again, after `snakemake --unlock`, until the study is
finished; every file must then have the bytes of an undisturbed run's, but for the seconds that trainings took.

`damage` (default 200): of a finished study one file at a time, drawn at random, is deleted, cut, emptied, changed in a
bit (with a new time or the old one), or replaced by another file of its kind. A run must refuse it, redo it or not read
it, and must remove nothing that was whole; `repair` must then end with the bytes of before.
"""

import csv
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from common import ENVIRONMENT, ROOT, machine

SNAKEMAKE = [sys.executable, "-m", "snakemake", "--cores", "2", "--quiet", "all"]
PARTS = ("workflow", "profiles", "envs", "Snakefile", "config.yaml", "Makefile")
CLEAN = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}


def new(folder):
    """Make a folder with the workflow in it."""
    folder.mkdir(parents=True)
    for part in PARTS:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, folder / part)
    return folder


def content(folder):
    """Return {path: what it holds} of all results of a study, without the seconds that trainings took."""
    found = {}
    for path in sorted((folder / "results").rglob("*")):
        relative = path.relative_to(folder / "results")
        if path.is_file() and relative.parts[1] not in ("logs", "benchmarks"):
            data = path.read_bytes()
            if path.name == "metrics.json":
                data = {key: value for key, value in json.loads(data).items() if key != "seconds"}
            elif path.name in ("curves.csv", "summary.csv"):
                rows = csv.DictReader(io.StringIO(data.decode()))
                data = [{key: value for key, value in row.items() if "seconds" not in key} for row in rows]
            found[str(relative)] = data
    return found


def finished(folder):
    """Run the study in a folder to its end; return its content."""
    subprocess.run(SNAKEMAKE, cwd=folder, env=CLEAN, check=True, capture_output=True)
    return content(folder)


def differences(found, expected):
    """Return the paths whose content is another one, or that one side lacks."""
    return sorted(path for path in found.keys() | expected.keys() if found.get(path) != expected.get(path))


def descendants(process):
    """Return the ids of the processes that a process started, and those that they did."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue  # it has ended
    found = [process]
    for one in found:  # grows
        found += [child for child, parent in parents.items() if parent == one]
    return found[1:]


def kill(process, way):
    """Kill something of a running Snakemake."""
    if way == "all":
        os.killpg(process.pid, signal.SIGKILL)
    elif way == "a process of a job":
        if children := descendants(process.pid):
            os.kill(random.choice(children), signal.SIGKILL)
    else:
        process.send_signal({"Snakemake": signal.SIGKILL}.get(way) or signal.Signals[way])


def kills(count, per_study, folder):
    """Kill `count` times; print what came of it."""
    expected = finished(new(folder / "undisturbed"))
    done, studies, restarts, wrong = Counter(), 0, 0, []
    while done.total() < count:
        study, left = new(folder / f"study{studies}"), min(per_study, count - done.total())
        studies += 1
        while True:
            process = subprocess.Popen(
                SNAKEMAKE,
                cwd=study,
                env=CLEAN,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
            while left and process.poll() is None:
                time.sleep(random.uniform(0.3, 6))
                if process.poll() is None:
                    way = random.choice(["all", "Snakemake", "a process of a job", "SIGTERM", "SIGINT"])
                    try:
                        kill(process, way)
                    except ProcessLookupError:
                        continue  # it has just ended
                    done[way] += 1
                    left -= 1
                    if way != "a process of a job":
                        break
            error = process.communicate()[1].decode()
            if not process.returncode:
                break
            if "Traceback" in error and "KeyboardInterrupt" not in error:
                wrong.append(f"a traceback: {error[-500:]}")
            restarts += 1
            subprocess.run([*SNAKEMAKE[:3], "--unlock"], cwd=study, env=CLEAN, check=True, capture_output=True)
        wrong += differences(content(study), expected)
        parts = list((study / "results").rglob("*.part"))
        wrong += [f"left: {part}" for part in parts]
        print(
            f"{done.total()} kills, {studies} studies, {restarts} restarts, {len(wrong)} wrong {wrong[:3]}", flush=True
        )
        shutil.rmtree(study)
    print(f"{machine()}\n{dict(done)}; {len(expected)} files of each of {studies} studies compared: {len(wrong)} wrong")
    return wrong


def harm(path, way, others):
    """Damage a file in one way."""
    whole, status = path.read_bytes(), path.stat()
    if way == "deleted":
        path.unlink()
        return
    if way == "another file":
        whole = random.choice(others).read_bytes()
    elif way == "cut":
        whole = whole[: random.randrange(1, len(whole))]
    elif way == "emptied":
        whole = b""
    else:
        place = random.randrange(len(whole))
        whole = whole[:place] + bytes([whole[place] ^ 1 << random.randrange(8)]) + whole[place + 1 :]
    path.write_bytes(whole)
    if way == "a bit, the old time":
        os.utime(path, ns=(status.st_mtime_ns,) * 2)


def damage(count, folder):
    """Damage a finished study `count` times; print what came of it."""
    study = new(folder / "study")
    expected, wrong, done, outcome = finished(study), [], Counter(), Counter()
    names = list(expected)
    for number in range(count):
        name = random.choice(names)
        way = random.choice(["deleted", "cut", "emptied", "a bit, the new time", "a bit, the old time", "another file"])
        path = study / "results" / name
        others = [study / "results" / other for other in names if Path(other).suffix == path.suffix and other != name]
        if way == "another file" and not others:
            continue
        harm(path, way, others)
        ran = subprocess.run(SNAKEMAKE, cwd=study, env=CLEAN, capture_output=True, text=True)
        said = "is not what its job wrote" in ran.stdout + ran.stderr
        outcome["refused" if said else "failed" if ran.returncode else "ran"] += 1
        if "Traceback" in ran.stdout + ran.stderr:
            wrong.append(f"{name} {way}: a traceback")
        gone = [other for other in names if other != name and not (study / "results" / other).exists()]
        if gone and said:
            wrong.append(f"{name} {way}: {gone[0]} is gone")
        repair = [sys.executable, "-m", "poolflow", "repair", "--cores", "2", "--quiet", "all"]
        subprocess.run(repair, cwd=study, env=ENVIRONMENT | {"PYTHONPATH": "workflow"}, check=True, capture_output=True)
        wrong += [f"{other}, after {name} {way}" for other in differences(content(study), expected)]
        done[way] += 1
        if number % 10 == 9:
            print(f"{done.total()} files damaged, {dict(outcome)}, {len(wrong)} wrong {wrong[:3]}", flush=True)
    print(f"{machine()}\n{dict(done)}; the run after it {dict(outcome)}; {len(wrong)} wrong after the repair")
    return wrong


def main():
    kind, *numbers = sys.argv[1:] or [""]
    if kind not in ("kills", "damage"):
        sys.exit(f"found {kind!r}, expected kills or damage")
    with tempfile.TemporaryDirectory() as folder:
        if kind == "kills":
            count, per_study = [*map(int, numbers), 200, 20][:2] if len(numbers) != 1 else (int(numbers[0]), 20)
            sys.exit(bool(kills(count, per_study, Path(folder))))
        sys.exit(bool(damage(int(numbers[0]) if numbers else 200, Path(folder))))


if __name__ == "__main__":
    main()
