"""What a process cost, as a file with the columns of Snakemake's benchmark files, and one for the files that it wrote.

A process measures itself: Snakemake sees only the one that it started, and not what a warm one forked.
"""

import csv
import hashlib
import json
import os
import resource
import sys
import time
from datetime import timedelta
from pathlib import Path

from poolflow.data import store

MEASURED = ("s", "h:m:s", "max_rss", "max_vms", "max_uss", "max_pss", "io_in", "io_out", "mean_load", "cpu_time")
COLUMNS = (*MEASURED, "wrote")
MB = 2**20
LOADED = time.monotonic()


def write(path):
    """Write what this process, and those that it waited for, cost so far.

    Seconds since the process began, CPU seconds, and the peak resident memory in MB, in which pages shared with the
    process that it was forked from count; MB read from and written to disks; NA for what was not measured. `wrote` is
    JSON: {path: [bytes, SHA-256]}.
    """
    wrote = {name: facts(name) for name in dict.fromkeys(store.WRITTEN) if os.path.exists(name)}
    own, others = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    seconds = age()
    cpu = own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime
    peak = max(own.ru_maxrss, others.ru_maxrss) * (1 if sys.platform == "darwin" else 1024) / MB
    row = dict.fromkeys(COLUMNS, "NA") | {
        "s": f"{seconds:.4f}",
        "h:m:s": str(timedelta(seconds=int(seconds))),
        "max_rss": f"{peak:.2f}",
        "io_in": f"{(own.ru_inblock + others.ru_inblock) * 512 / MB:.2f}",
        "io_out": f"{(own.ru_oublock + others.ru_oublock) * 512 / MB:.2f}",
        "mean_load": f"{100 * cpu / max(seconds, cpu / os.cpu_count(), 1e-9):.2f}",
        "cpu_time": f"{cpu:.3f}",
        "wrote": json.dumps(wrote),
    }
    with store.replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS, delimiter="\t", lineterminator="\n")
        table.writeheader()
        table.writerow(row)


def facts(path):
    """Return [bytes, SHA-256] of a file."""
    with open(path, "rb") as file:
        return [os.path.getsize(path), hashlib.file_digest(file, "sha256").hexdigest()]


def wrote(path):
    """Return the files that the job of a file of `write` wrote, {path: facts}; {} where it does not say."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            (row,) = csv.DictReader(file, delimiter="\t")
            found = json.loads(row["wrote"])
            return {str(name): [size, digest] for name, (size, digest) in found.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # not there, or not ours: nothing is known
        return {}


def age():
    """Return the seconds since this process was started or forked; since its imports where the system does not say."""
    status = Path("/proc/self/stat")
    if not status.exists():
        return time.monotonic() - LOADED
    ticks = int(status.read_text("utf-8").rpartition(")")[2].split()[19])  # field 22, since the machine started
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK"))
