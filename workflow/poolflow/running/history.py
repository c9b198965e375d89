"""What earlier jobs say of those to come: how long each takes, and all of them together. Snakemake is not asked."""

import heapq
from collections import defaultdict
from dataclasses import dataclass
from statistics import linear_regression, median

# The names that each further look for similar jobs leaves out; the study counts as one.
LOOKS = (
    (),
    ("seed", "cycle"),
    ("study", "seed", "cycle"),
    ("study", "seed", "cycle", "initial_pool", "chain"),
)
LINE = 3  # cycles that a line needs


@dataclass(frozen=True)
class Earlier:
    """A job that ran. Seconds of wall and CPU time, peak memory and size of the outputs in bytes, None if unknown."""

    rule: str
    names: tuple
    seconds: float
    cpu: float
    memory: float
    size: float


def number(text):
    """Return a number of a benchmark file, None for what was not measured."""
    try:
        return float(text)
    except ValueError:
        return None


class History:
    """Earlier jobs, found by what they have in common with a planned one."""

    def __init__(self, jobs):
        self.found = defaultdict(list)
        for job in jobs:
            for key in looks(job):
                self.found[key].append(job)
        self.known = {}

    def estimate(self, job, quantity):
        """Return (value, own, alike or rule, the earlier jobs behind it); (None, "unknown", ()) without any."""
        cycle = dict(job.names).get("cycle")
        for look, key in enumerate(looks(job)):
            kind = "own" if look == 0 else "alike" if key[1:] else "rule"
            at = None if cycle is None or kind == "rule" else int(cycle)
            if (key, at, quantity) not in self.known:
                self.known[key, at, quantity] = expected(self.found.get(key, ()), at, quantity)
            value, behind = self.known[key, at, quantity]
            if value is not None:
                return value, kind, behind
        return None, "unknown", ()


def looks(job):
    """Return what to look for similar jobs by, the most similar first."""
    keys = [(job.rule, *(item for item in job.names if item[0] not in left_out)) for left_out in LOOKS]
    return list(dict.fromkeys([*keys, (job.rule,)]))


def expected(jobs, cycle, quantity):
    """Return what the earlier jobs say of a quantity at a cycle, and those that say so; (None, ()) where none knows."""
    jobs = [job for job in jobs if getattr(job, quantity) is not None]
    if not jobs:
        return None, ()
    if cycle is None:
        return median(getattr(job, quantity) for job in jobs), tuple(jobs)
    cycles = defaultdict(list)
    for job in jobs:
        cycles[int(dict(job.names)["cycle"])].append(job)
    medians = {key: median(getattr(job, quantity) for job in cycles[key]) for key in sorted(cycles)}
    if cycle not in medians and len(medians) >= LINE:
        slope, intercept = linear_regression(list(medians), list(medians.values()))
        return max(0.0, slope * cycle + intercept), tuple(jobs)
    nearest = min(medians, key=lambda key: abs(key - cycle))
    return medians[nearest], tuple(cycles[nearest])


def schedule(jobs, seconds, cores, gpus):
    """Return the seconds that the jobs take on so many cores and GPUs, each started in the given order once it can."""

    def fits(job):
        return min(job.threads, cores) <= free[0] and job.gpu <= free[1]

    makers = {path: index for index, job in enumerate(jobs) for path in job.outputs}
    waits = [{makers[path] for path in job.inputs if path in makers} for job in jobs]
    followers = defaultdict(list)
    for index, makers_of in enumerate(waits):
        for maker in makers_of:
            followers[maker].append(index)
    ready = [[], []]  # those that ask for no GPU, and those that do
    for index, makers_of in enumerate(waits):
        if not makers_of:
            ready[jobs[index].gpu].append(index)
    running, now, free = [], 0.0, [cores, max(1, gpus)]
    while any(ready) or running:
        while fitting := [queue for queue in ready if queue and fits(jobs[queue[0]])]:
            index = heapq.heappop(min(fitting))
            free = [free[0] - min(jobs[index].threads, cores), free[1] - jobs[index].gpu]
            heapq.heappush(running, (now + seconds[index], index))
        now, index = heapq.heappop(running)
        free = [free[0] + min(jobs[index].threads, cores), free[1] + jobs[index].gpu]
        for follower in followers[index]:
            waits[follower].discard(index)
            if not waits[follower]:
                heapq.heappush(ready[jobs[follower].gpu], follower)
    return now


def duration(seconds):
    """Return seconds as text, with a unit that suits."""
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"
