"""What a study has done, is doing and failed at, and how its curves look so far: a look at files, nothing is run.

PYTHONPATH=workflow python -m poolflow status [--configfile FILE] [--config KEY=VALUE ...] [--cores N]

A cycle is done where its metrics.json is there. It failed where the log of one of its jobs ends as that of a stage that
failed, and runs where such a log was written in the last ten minutes and no cost of that job is there yet; a job that
was killed looks as if it ran until then. The time to the end is that of list scheduling, as `plan` has it, by what the
cycles that are done took. Everything is read from files, so that it works on a login node too.
"""

import argparse
import csv
import itertools
import json
import os
import re
import sys
import time
from pathlib import Path
from types import SimpleNamespace

from poolflow.data import paths
from poolflow.running.history import Earlier, History, duration, schedule
from poolflow.study import chains, plugins
from poolflow.study.config import ConfigError
from poolflow.study.files import study_of

FRESH = 600  # seconds since a log was written
BLOCKS = "▁▂▃▄▅▆▇█"
PLAIN = "_.-=+*#@"
FAILED = re.compile(r"poolflow \w+ \S+: |\w*(Error|Exception|Interrupt)\b")


def all_cycles(study):
    """Yield (chain of the study, its name in paths, dataset, learner, seed, cycle) of every cycle of every chain."""
    axes = (study[key] for key in ("datasets", "learners", "initial_pools", "strategies"))
    for dataset, learner, pool, strategy in itertools.product(*axes):
        for seed, cycle in itertools.product(study["seeds"], range(study["cycles"] + 1)):
            name = f"{pool}/{strategy}" if cycle else chains.first_chain(study, pool, strategy)
            yield (dataset, learner, pool, strategy), name, dataset, learner, seed, cycle


class Look:
    """The files of a study's cycles, each read once: {folder: state}."""

    def __init__(self, root):
        self.root, self.known, self.now = Path(root), {}, time.time()

    def cycle(self, folder):
        """Return what is known of a cycle: `state` (done, running, failed, waiting), `metrics`, `said`, `seconds`."""
        if folder not in self.known:
            self.known[folder] = self._cycle(folder)
        return self.known[folder]

    def _cycle(self, folder):
        found = SimpleNamespace(state="waiting", metrics=None, said="", seconds=self._seconds(folder))
        try:
            found.metrics = json.loads((self.root / folder / "metrics.json").read_text("utf-8"))
            found.state = "done"
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            found.state, found.said = "failed", f"metrics.json cannot be read ({error})"
        if found.state == "waiting":
            logs, costs = self.root / "logs" / folder, self.root / "benchmarks" / folder
            for log in sorted(logs.glob("*.log"), key=os.path.getmtime) if logs.is_dir() else ():
                if (costs / f"{log.stem}.tsv").exists():
                    continue
                last = last_line(log)
                if FAILED.match(last):
                    found.state, found.said = "failed", f"{log}: {last}"
                elif self.now - log.stat().st_mtime < FRESH and found.state != "failed":
                    found.state, found.said = "running", str(log)
        return found

    def _seconds(self, folder):
        """Return what the jobs of a cycle took together, None where not all of it is known."""
        costs = self.root / "benchmarks" / folder
        total = 0.0
        for path in costs.glob("*.tsv") if costs.is_dir() else ():
            try:
                with open(path, newline="", encoding="utf-8") as file:
                    total += float(next(csv.DictReader(file, delimiter="\t"))["s"])
            except (OSError, ValueError, KeyError, TypeError, StopIteration):
                return None  # being written
        return total or None


def last_line(path):
    """Return the last line of a log that has something in it; of a bar that draws over itself its last state."""
    with open(path, "rb") as file:
        file.seek(max(0, file.seek(0, 2) - 4000))
        lines = re.split(r"[\r\n]+", file.read().decode("utf-8", "replace"))
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def curve_of(seeds, metric):
    """Return [(mean, number of seeds)] of a metric for each cycle that any seed has. `seeds` are lists of cycles."""
    found = []
    for cycles in zip(*seeds, strict=True):
        values = [cycle.metrics.get(metric) for cycle in cycles if cycle.metrics]
        values = [value for value in values if value is not None]
        if values:
            found.append((sum(values) / len(values), len(values)))
    return found


def spark(values, low, high, letters):
    """Return a line of blocks for some values between low and high."""
    top = len(letters) - 1
    return "".join(letters[round(top * (value - low) / ((high - low) or 1))] for value in values)


def time_left(study, look, cores):
    """Return the seconds to the end of all cycles by list scheduling, and how many of them nothing is known of."""
    jobs, earlier, seconds = [], [], []
    seen = set()
    for (dataset, learner, pool, strategy), name, _, _, seed, cycle in all_cycles(study):
        folder = paths.cycle(dataset, learner, name, seed, cycle)
        if folder in seen:
            continue
        seen.add(folder)
        names = {"study": study["study"], "dataset": dataset, "learner": learner, "chain": name, "initial_pool": pool}
        names = tuple(sorted((names | {"seed": str(seed), "cycle": str(cycle)}).items()))
        found = look.cycle(folder)
        if found.state == "done":
            earlier.append(Earlier("cycle", names, found.seconds, None, None, None))
        else:
            first = chains.first_chain(study, pool, strategy)
            before = paths.cycle(dataset, learner, name if cycle > 1 else first, seed, cycle - 1)
            inputs = (before,) if cycle else ()
            job = SimpleNamespace(rule="cycle", names=names, inputs=inputs, outputs=(folder,))
            job.threads, job.gpu = study["threads"], False
            jobs.append(job)
    history, unknown = History(earlier), 0
    for job in jobs:
        value, _, _ = history.estimate(job, "seconds")
        unknown += value is None
        seconds.append(value or 0.0)
    return schedule(jobs, seconds, cores, 0), unknown


def report(study, cores, letters):
    """Return the lines that say how far a study is."""
    root, metric = f"results/{study['study']}", study["figures"]["metric"]
    look, rows = Look(root), {}
    for chain, name, dataset, learner, seed, cycle in all_cycles(study):
        rows.setdefault(chain, {}).setdefault(seed, []).append(
            look.cycle(paths.cycle(dataset, learner, name, seed, cycle))
        )
    states = [cycle.state for cycle in look.known.values()]
    total = {state: states.count(state) for state in ("done", "running", "failed")}
    before = [f"{root}/{paths.dataset(dataset)}" for dataset in study["datasets"]]
    before += [f"{root}/{paths.pool(d, seed)}" for d in study["datasets"] for seed in study["seeds"]]
    tasks = [
        f"{root}/{paths.pretext(d, task, seed)}"
        for d, task, seed in itertools.product(study["datasets"], chains.used_tasks(study), study["seeds"])
    ]
    lines = [f"{root}: data sets and pools {sum(map(os.path.exists, before))} of {len(before)}"]
    if tasks:
        there = sum(any(Path(task).glob("*.h5")) for task in tasks)
        lines[0] += f", pretext tasks {there} of {len(tasks)}"
    curves = {chain: curve_of(list(seeds.values()), metric) for chain, seeds in rows.items()}
    values = [value for curve in curves.values() for value, _ in curve]
    factor = 100 if metric.endswith("accuracy") else 1
    width = max(len(", ".join(chain)) for chain in rows)
    for chain, seeds in rows.items():
        cycles = [cycle for of_seed in seeds.values() for cycle in of_seed]
        counts = [f"{sum(c.state == state for c in cycles)} {state}" for state in ("running", "failed")]
        text = f"  {', '.join(chain):{width}}  {sum(c.state == 'done' for c in cycles):4} of {len(cycles)}"
        text += "".join(f", {count}" for count in counts if count[0] != "0").ljust(22)
        if curve := curves[chain]:
            line = spark([value for value, _ in curve], min(values), max(values), letters)
            text += f"  {line}  {factor * curve[0][0]:.3g} to {factor * curve[-1][0]:.3g}"
            if (least := min(count for _, count in curve)) < len(seeds):
                text += f" (of {least} of {len(seeds)} seeds at least)"
        lines.append(text.rstrip())
    said = dict.fromkeys(cycle.said for cycle in look.known.values() if cycle.state == "failed")
    lines += [f"  failed: {text}" for text in said]
    running = [cycle.said for cycle in look.known.values() if cycle.state == "running"]
    lines += [f"  running: {text}" for text in running[:8]]
    left, unknown = time_left(study, look, cores)
    end = (
        "nothing left"
        if total["done"] == len(states)
        else f"{'at least' if unknown else 'about'} {duration(left)} left"
    )
    if not total["done"]:
        end = "time to the end unknown"
    on = f" on {cores} core{'s' * (cores > 1)}" if "left" in end and left else ""
    counts = ", ".join(f"{count} {state}" for state, count in total.items() if count or state == "done")
    return [*lines, f"{counts} of {len(states)} cycles; {metric.replace('_', ' ')}; {end}{on}"]


def main(arguments):
    """Print how far the study of a config file is."""
    parser = argparse.ArgumentParser("python -m poolflow status", description=__doc__.partition("\n")[0])
    parser.add_argument("--configfile", default="config.yaml")
    parser.add_argument("--config", nargs="*", default=[], metavar="KEY=VALUE")
    parser.add_argument("-c", "--cores", type=int, default=os.cpu_count(), help="for the time to the end")
    args = parser.parse_args(arguments)
    letters = BLOCKS if "utf" in (sys.stdout.encoding or "").lower() else PLAIN
    try:
        study, _ = study_of(args.configfile, args.config)
    except (ConfigError, plugins.PluginError) as error:
        sys.exit(str(error))
    print("\n".join(report(study, max(1, args.cores), letters)))
