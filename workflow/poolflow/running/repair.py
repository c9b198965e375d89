"""Makes again what is missing or damaged of a study, and then what the study still lacks.

PYTHONPATH=workflow python -m poolflow repair [--cores N] [Snakemake's options and targets]

Snakemake looks at names and times: it takes a truncated file for a new one, and does not miss one that was deleted when
all that was made of it is there. Here every output of the study is held against what its job wrote down, size and
SHA-256; one that nothing was written down of, as it came from a cache, is read. What is damaged is removed, and made
again together with what is missing, first things first. What comes out as it was gets the time that it had, so that
nothing follows from it.
"""

import os
import sys
import time
import zipfile
from pathlib import Path

import h5py
from snakemake import cli
from snakemake.io import is_flagged
from tqdm import tqdm

from poolflow.data import store
from poolflow.job import StageError
from poolflow.running import cost
from poolflow.running.door import options_of
from poolflow.running.forecast import dry_run


def _read_hdf5(path):
    names = []
    with store.read(path) as file:
        file.visit(names.append)
        for name in names:
            if isinstance(file[name], h5py.Dataset) and file[name].chunks:
                for chunk in file[name].iter_chunks():
                    file[name][chunk]


def _read_zip(path):
    with zipfile.ZipFile(path) as archive:
        if wrong := archive.testzip():
            raise zipfile.BadZipFile(f"damaged at {wrong}")


DAY = 86400  # seconds
READ = {".h5": _read_hdf5, ".json": store.read_json, ".pt": _read_zip}  # for files that nothing was written down of


def record(job):
    """Return what a job of Snakemake wrote down of its files, {path: [bytes, SHA-256]}."""
    path = job.log.get("cost")
    return cost.wrote(path) if path else {}


def damaged(path, facts):
    """Return whether a file that is there is other than by `facts`, what was written down of it, or None."""
    if facts is None:
        try:
            READ.get(Path(path).suffix, os.stat)(path)
        except (StageError, zipfile.BadZipFile):
            return True
        return False
    return os.path.getsize(path) != facts[0] or cost.facts(path) != facts


def ended(dag, output):
    """Return when the job of an output ended, which is the time that Snakemake gave the file; None if not known."""
    found = dag.workflow.persistence.metadata(output)
    return found and found.endtime


def damaged_inputs(dag):
    """Return the damaged files that the jobs which Snakemake is about to run would read and none of them makes.

    Only those that changed since their job ended are read.
    """
    coming, makers, found = set(dag.needrun_jobs(exclude_finished=False)), {}, []
    for job in coming:
        makers |= {file: maker for maker, files in dag.dependencies[job].items() for file in files}
    for file, maker in makers.items():
        if maker in coming or not os.path.exists(file) or os.path.getmtime(file) == ended(dag, file):
            continue
        facts = record(maker).get(str(file))
        if facts and damaged(file, facts):
            found.append(str(file))
    return sorted(found)


def abandoned(path):
    """Return whether the process that wrote a temporary file is gone; that of another machine is, after a day."""
    host, process, *_ = [*path.rsplit(".", 2)[-2].split("-"), ""]
    if host != store.machine() or not process.isdigit():
        return time.time() - os.path.getmtime(path) > DAY
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, PermissionError):  # the latter: it is another user's now
        return True
    return False


def remove_parts(folder):
    """Remove the unfinished files of processes that are gone; return how many there were."""
    parts = [path for path in Path(folder).rglob("*.part") if abandoned(str(path))]
    for path in parts:
        path.unlink(missing_ok=True)
    return len(parts)


def wrong(dag, whole):
    """Return {job: outputs} of the jobs of a study with an output that is damaged, or missing and not missed.

    `whole` are the files that were found in order, {path: time of the last change}; they are added.
    """
    found, coming = {}, set(dag.needrun_jobs(exclude_finished=False))
    for job in tqdm([job for job in dag.jobs if not job.is_norun], desc="files", unit=" jobs", delay=2, leave=False):
        facts = record(job)
        for output in job.output:
            path = str(output)
            if not os.path.lexists(path):
                bad = job not in coming and not is_flagged(output, "temp")
            elif not os.path.exists(path):  # a link to what a cache had
                bad = True
            else:
                now = os.stat(path).st_mtime_ns
                bad = whole.get(path) != now and damaged(path, facts.get(path))
                whole |= {} if bad else {path: now}
            if bad:
                found.setdefault(job, []).append(path)
    return found


def first_things(dag, found):
    """Return the jobs of `found` that build on no other of them."""
    behind, todo = set(), list(found)
    while todo:
        for job in dag.depending[todo.pop()]:
            if job not in behind:
                behind.add(job)
                todo.append(job)
    return [job for job in found if job not in behind]


def run(arguments):
    """Run Snakemake; SystemExit, it having said why, when it fails."""
    try:
        cli.main(arguments)
    except SystemExit as end:
        if end.code:
            raise


def remake(dag, jobs, found, options):
    """Have Snakemake make the outputs of some jobs again; what comes out as it was gets the time that it had."""
    before = {job: record(job) for job in jobs}
    times = {str(output): ended(dag, output) or 0 for job in jobs for output in job.output}
    for job in jobs:
        for path in found[job]:
            if os.path.lexists(path):
                os.remove(os.path.realpath(path))  # of one that a cache has, that too
                if os.path.islink(path):
                    os.remove(path)
    run([*(path for job in jobs for path in found[job]), *options])
    for job, facts in before.items():
        newest = max((os.path.getmtime(path) for path in job.input if os.path.exists(path)), default=0)
        for path in facts:
            if times.get(path) and os.path.exists(path) and cost.facts(path) == facts[path]:
                os.utime(path, (max(times[path], newest),) * 2)


def main(arguments):
    """Repair the study of Snakemake's command-line arguments, and run it."""
    _, arguments = options_of("repair", "Make again what is missing or damaged of a study.", arguments)
    snakemakes = cli.parse_args(arguments)[1]
    targets = snakemakes.targets
    options = [word for word in arguments if word not in targets]
    whole, named, mended = {}, set(), 0
    while True:
        dag = dry_run([*targets, *options]).dag
        if dag.workflow.persistence.locked:
            sys.exit("Snakemake is running this study, or was killed: wait for it, or give `snakemake --unlock` first")
        found = wrong(dag, whole)
        for path in sorted({path for paths in found.values() for path in paths} - named):
            print(f"{'damaged' if os.path.lexists(path) else 'missing'}: {path}", file=sys.stderr)
            named.add(path)
        if snakemakes.dryrun:
            print(f"Found {len(named)} files that are damaged or missing; nothing was changed.")
            return
        if not found:
            break
        jobs = first_things(dag, found)
        remake(dag, jobs, found, options)
        mended += sum(len(found[job]) for job in jobs)
    run([*targets, *options])
    folders = {Path(*Path(output).parts[:2]) for job in dag.jobs for output in job.output}
    parts = sum(map(remove_parts, folders))
    print(f"Repaired: {mended} files made again, {parts} unfinished ones of killed jobs removed.")
