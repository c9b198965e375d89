"""Contenders that take turns, each run in a process of its own, on one thread. Import this before NumPy."""

import multiprocessing
import os
import statistics
import time
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"
SLOW = 20  # CPU seconds; a contender that takes longer runs once


def peak():
    """Return the peak memory of this process since the last reset, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def _run(pipe, contender):
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before, start = peak(), time.process_time()
    result = contender()
    pipe.send((time.process_time() - start, peak() - before, result))


def take_turns(contenders, runs):
    """Run {name: function} in turn; return {name: (median CPU seconds, peak MiB beside the input, a result, runs)}."""
    measured = {name: [] for name in contenders}
    for _ in range(runs):
        for name, contender in contenders.items():
            if measured[name] and measured[name][0][0] > SLOW:
                continue
            receiver, sender = multiprocessing.Pipe(duplex=False)
            process = multiprocessing.get_context("fork").Process(target=_run, args=(sender, contender))
            process.start()
            sender.close()
            measured[name].append(receiver.recv())
            process.join()
    return {
        name: (
            statistics.median(seconds for seconds, _, _ in values),
            max(memory for _, memory, _ in values),
            values[0][2],
            len(values),
        )
        for name, values in measured.items()
    }


def report(case, measured, quality=lambda result: ""):
    """Print the rows of one case as a table; the first contender is what the others are compared with."""
    ours = next(iter(measured.values()))[0]
    for name, (seconds, memory, result, runs) in measured.items():
        times = f"{seconds:.3f}" if seconds < 1 else f"{seconds:.1f}"
        print(
            f"| {case} | {name} | {times} | {seconds / ours:.1f}x | {memory:.0f} | {runs} | {quality(result)} |",
            flush=True,
        )


HEADER = "| case | contender | CPU s | of ours | MiB | runs | result |\n|---|---|---|---|---|---|---|"
