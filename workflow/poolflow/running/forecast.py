"""What a run would make, why, and what it would cost by the measurements of earlier runs.

PYTHONPATH=workflow python -m poolflow plan [--cores N] [Snakemake's options and targets]

What runs, and why, is what Snakemake's dry run says. What it costs rests on nothing but the benchmark files
and the outputs of earlier jobs, those of the study and of all others below results/:

- A job that ran before costs what it cost then: `own`.
- Else the median of the jobs of this study with the same names (data set, learner, strategy, pretext task, ...) and
  any seed, or else of such jobs of any study, or else of those with the same names but another initial pool: `alike`.
  Of several cycles the same one counts; for a cycle that never ran, a line through the medians of at least three
  cycles, since more labels take longer, or else the nearest cycle.
- Else the median of all jobs of the rule: `rule`. With none it is unknown, and a sum with unknown parts a lower bound.

A job that takes its result from Snakemake's cache costs nothing. The wall time is that of list scheduling: jobs start
in the order of the dry run, as soon as what they need is made and their threads, and the GPU of those that ask for
one, are free.
"""

import csv
import logging
import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

from snakemake import cli
from snakemake.api import WorkflowApi
from snakemake.logging import logger
from snakemake_interface_logger_plugins.common import LogEvent

from poolflow.repetitions import comparisons_of, in_words
from poolflow.running.door import options_of
from poolflow.running.gpus import visible
from poolflow.running.history import Earlier, History, duration, number, schedule

WILDCARDS = {"seed": "[0-9]+", "cycle": "[0-9]+", "initial_pool": "[^/+]+", "chain": "[^/]+(?:/[^/]+)?", "figure": ".+"}
# What Snakemake's reasons begin with, the first that holds, and the word for it here.
REASONS = {
    "Forced execution": "forced",
    "Missing output files": "missing",
    "Incomplete output files": "incomplete",
    "Code has changed": "code changed",
    "Params have changed": "params changed",
    "Set of input files has changed": "other inputs",
    "Updated input files": "input changed",
    "Input files updated by another job": "follows",
    "Software environment definition has changed": "software changed",
}
COLUMNS = ("rule", "jobs", "why", "CPU time", "GPU time", "memory", "disk", "earlier jobs")


@dataclass(frozen=True)
class Planned:
    """A job of the dry run. `names` are its wildcards and the study, `gpu` whether it asks for a GPU."""

    rule: str
    names: tuple
    inputs: tuple
    outputs: tuple
    threads: int
    why: str
    gpu: bool


class DryRun(logging.Filter):
    """Keeps the jobs that Snakemake's dry run reports, and lets only warnings and errors through to the screen."""

    def __init__(self):
        super().__init__()
        self.jobs, self.cached = [], set()

    def filter(self, record):
        if getattr(record, "event", None) == LogEvent.JOB_INFO and record.output:
            self.jobs.append(planned(record))
        elif found := re.match(r"Output file (.*) will be obtained from global between-workflow", str(record.msg)):
            self.cached.add(found.group(1))
        return record.levelno >= logging.WARNING


def planned(record):
    """Return the job that a log record of Snakemake's dry run describes."""
    inputs, outputs = (
        tuple(re.sub(r" \([^)]*\)$", "", path) for path in paths)  # "model.pt (ancient)"
        for paths in (record.input, record.output)
    )
    names = dict(record.wildcards) | {"study": outputs[0].split("/")[1]}
    return Planned(
        rule=record.rule_name,
        names=tuple(sorted(names.items())),
        inputs=inputs,
        outputs=outputs,
        threads=record.threads,
        why=why(record.reason),
        gpu=bool(record.resources.get("gpu", 0)),
    )


def why(reason):
    """Return the word for a reason of Snakemake's. Of params that changed, those of 16 hexadecimal digits are code."""
    word = next((word for text, word in REASONS.items() if text in reason), "other")
    if word != "params changed":
        return word
    changed = re.findall(r"'([^']*)'", reason.partition("Params have changed")[2])
    return "code changed" if changed and all(re.fullmatch("[0-9a-f]{16}", value) for value in changed) else word


def dry_run(arguments):
    """Return what Snakemake would do: `jobs`, in an order in which they can run, the outputs of a cache, `cached`.

    Further its `rules`, its `dag` and the `study`. Raises SystemExit, Snakemake having said why, when it cannot plan.
    """
    seen, workflows = DryRun(), []
    dag = WorkflowApi.dag

    def noted(api, *args, **kwargs):
        workflows.append(api._workflow)
        return dag(api, *args, **kwargs)

    logger.addFilter(seen)
    try:
        with mock.patch.object(WorkflowApi, "dag", noted):
            cli.main(["--dry-run", *arguments])
    except SystemExit as end:
        if end.code:
            raise
    finally:
        logger.removeFilter(seen)
    (workflow,) = workflows
    study = workflow.globals["STUDY"]
    return SimpleNamespace(jobs=seen.jobs, cached=seen.cached, rules=workflow.rules, dag=workflow.dag, study=study)


def rule_files(rules):
    """Return {rule: (pattern of its benchmark file, patterns of its outputs)}, below benchmarks/ and results/<study>/.

    Rules whose benchmark has a name of its own come first: a `predict` job's is called like the output it makes.
    """
    found = {}
    for rule in rules:
        if cost := rule.log.get("cost"):
            paths = [re.sub(r"\{(\w+),[^{}]*\}", r"{\1}", str(path)) for path in (cost, *rule.output)]
            benchmark, *outputs = (path.split("/", 2)[2] for path in paths)
            found[rule.name] = benchmark.removeprefix("benchmarks/"), tuple(outputs)
    return dict(sorted(found.items(), key=lambda item: "{" in item[1][0].rpartition("/")[2]))


def earlier_jobs(results, files):
    """Return the jobs that left a benchmark file below `results`, of the rules in `files` (see `rule_files`)."""
    patterns = {rule: matching(path) for rule, (path, _) in files.items()}
    jobs = []
    for folder in sorted(Path(results).glob("*/benchmarks")):
        for path in sorted(folder.rglob("*.tsv")):
            relative = str(path.relative_to(folder))
            rule, match = next(
                ((rule, m) for rule, p in patterns.items() if (m := p.fullmatch(relative))), (None, None)
            )
            with open(path, newline="", encoding="utf-8") as file:
                row = next(csv.DictReader(file, delimiter="\t"), None)
            if match and row:
                names = match.groupdict()
                memory = number(row["max_rss"])
                sizes = [size_of(folder.parent / output.format(**names)) for output in files[rule][1]]
                jobs.append(
                    Earlier(
                        rule=rule,
                        names=tuple(sorted((names | {"study": folder.parent.name}).items())),
                        seconds=number(row["s"]),
                        cpu=number(row["cpu_time"]),
                        memory=None if memory is None else memory * 2**20,
                        size=None if None in sizes else sum(sizes),
                    )
                )
    return jobs


def matching(path):
    """Return the regular expression of the files that a path with wildcards stands for."""
    parts = re.split(r"\{(\w+)\}", path)  # text, wildcard, text, ...
    for index, part in enumerate(parts):
        parts[index] = f"(?P<{part}>{WILDCARDS.get(part, '[^/]+')})" if index % 2 else re.escape(part)
    return re.compile("".join(parts))


def size_of(path):
    """Return the bytes of a file, None if there is none."""
    return os.path.getsize(path) if os.path.exists(path) else None


def forecast(jobs, cached, history, cores, gpus):
    """Return the rows of the table, as COLUMNS, with a last one for all rules, and the lines below it."""
    costs = []
    for job in jobs:
        if cached.intersection(job.outputs):
            costs.append({quantity: (0.0, "cached", ()) for quantity in ("seconds", "cpu", "memory", "size")})
        else:
            costs.append({q: history.estimate(job, q) for q in ("seconds", "cpu", "memory", "size")})
    rows = []
    for rule in [*dict.fromkeys(job.rule for job in jobs), None]:
        of = [index for index, job in enumerate(jobs) if rule in (job.rule, None)]
        why = Counter("from the cache" if costs[i]["cpu"][1] == "cached" else jobs[i].why for i in of)
        kinds = Counter(costs[i]["cpu"][1] for i in of)
        groups = {id(group): group for group in (costs[i]["cpu"][2] for i in of)}  # few, though of many jobs each
        behind = {id(earlier) for group in groups.values() for earlier in group}
        gpu = [costs[i]["seconds"][0] for i in of if jobs[i].gpu]
        memory = [costs[i]["memory"][0] for i in of if costs[i]["memory"][0] is not None]
        rows.append(
            (
                rule or "all",
                str(len(of)),
                "-" if rule is None else listed(why, len(of)),
                total([costs[i]["cpu"][0] for i in of], duration),
                total(gpu, duration) if gpu else "-",
                bytes_(max(memory)) if memory else "unknown",
                total([costs[i]["size"][0] for i in of], bytes_),
                f"{len(behind)}: {listed(kinds, len(of))}" if behind else listed(kinds, len(of)),
            )
        )
    return rows, notes(jobs, costs, cores, gpus)


def notes(jobs, costs, cores, gpus):
    """Return the lines below the table."""
    seconds = [cost["seconds"][0] for cost in costs]
    known = [value or 0.0 for value in seconds]
    least = ">= " if None in seconds else "about "
    wall = least + duration(schedule(jobs, known, cores, gpus))
    chain = least + duration(schedule(jobs, known, sum(job.threads for job in jobs), len(jobs)))
    if not any(cost["seconds"][2] for cost in costs) and None in seconds:
        wall = chain = "unknown"
    replaced = sum(size_of(path) or 0 for job in jobs for path in job.outputs)
    on = f"{cores} core{'s' * (cores > 1)}"
    if any(job.gpu for job in jobs):
        on += f", {gpus} job{'s' * (gpus > 1)} at once on GPUs"
    lines = [
        f"Wall time: {wall} on {on} (list scheduling); the longest chain of jobs alone: {chain}.",
        f"Disk: what is written; it replaces {bytes_(replaced)} of files that are there. Memory: the largest job's.",
    ]
    if any(cost["cpu"][1] in ("alike", "rule", "unknown") for cost in costs):
        lines.append(
            "Earlier jobs: own = the same job; alike = jobs of the same names; rule = other jobs of the rule; unknown ="
            " none ran."
        )
    if any(job.why in ("params changed", "code changed") for job in jobs):
        lines.append("A job whose code or params changed is taken to cost what it cost before.")
    if any(job.gpu for job in jobs):
        lines.append("GPU time: of jobs that ask for a GPU; as long as earlier ones took, on whatever device.")
    return lines


def listed(counts, whole):
    """Return counts as text: the word alone where it is the only one."""
    ordered = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    return ", ".join(word if number == whole else f"{number} {word}" for word, number in ordered)


def total(values, unit):
    """Return the sum of values as text, a lower bound where some are unknown."""
    known = [value for value in values if value is not None]
    if not known:
        return "unknown"
    return f"{'' if len(known) == len(values) else '>= '}{unit(sum(known))}"


def bytes_(count):
    """Return bytes as text, with a unit that suits."""
    for unit, power in (("GB", 3), ("MB", 2)):
        if count >= 1000**power:
            return f"{count / 1000**power:.1f} {unit}"
    return f"{count / 1000:.1f} kB"


def table(rows):
    """Return rows of text in aligned columns; a column that has nothing in it is left out."""
    columns = [column for column in zip(COLUMNS, *rows, strict=True) if set(column[1:]) != {"-"}]
    widths = [max(map(len, column)) for column in columns]
    right = ("jobs", "CPU time", "GPU time", "memory", "disk")
    lines = []
    for row in zip(*columns, strict=True):
        cells = [
            cell.rjust(width) if column[0] in right else cell.ljust(width)
            for cell, width, column in zip(row, widths, columns, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def main(arguments):
    """Print the forecast of a run with Snakemake's command-line arguments."""
    cores, arguments = options_of("plan", "What a run would make, why, and what it would cost.", arguments)
    plan = dry_run(arguments)
    if not plan.jobs:
        print("Nothing to be done.")
        return
    given = re.search(r"\bgpu=(\d+)", " ".join(arguments))
    gpus = int(given[1]) if given else visible()
    rows, lines = forecast(
        plan.jobs, plan.cached, History(earlier_jobs("results", rule_files(plan.rules))), cores, gpus
    )
    if comparisons := comparisons_of(plan.study):
        seeds, alpha = len(plan.study["seeds"]), plan.study["statistics"]["alpha"]
        lines.append(f"What can be decided, with {comparisons} comparisons: {in_words(seeds, comparisons, alpha)}.")
    print(f"{table(rows)}\n\n" + "\n".join(lines))
