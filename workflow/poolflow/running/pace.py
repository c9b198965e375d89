"""How often Snakemake's scheduler looks for jobs to start.

Each look has another one follow after a second, since a limit on the jobs of a second may have lifted by then, and so
has each job that ends. They add up: after 1,000 jobs there are 1,000 looks a second, each in a thread of its own, and
Snakemake takes a core for itself (Snakemake 9.27; `benchmarks/many_jobs.py`). One look that is to follow is enough.
"""

import threading


def one_look_at_a_time(scheduler):
    """Have no more than one look of a Snakemake scheduler wait for its time."""
    waiting = threading.Lock()

    def look_again(delay):
        if waiting.acquire(blocking=False):
            timer = threading.Timer(delay, look)
            timer.daemon = True
            timer.start()

    def look():
        waiting.release()
        scheduler._open_jobs.release()

    scheduler._schedule_reevalutation = look_again
