"""Snakemake's scheduler looks for jobs once a second, and not once a second for each job that has ended."""

import inspect
import threading
from types import SimpleNamespace

from snakemake.scheduling import job_scheduler

from poolflow.running import pace


def test_one_look_of_the_scheduler_waits_at_a_time_and_the_next_one_can_follow():
    looks = threading.Semaphore(0)
    scheduler = SimpleNamespace(_open_jobs=looks, _schedule_reevalutation=None)
    pace.one_look_at_a_time(scheduler)
    for _ in range(50):
        scheduler._schedule_reevalutation(0.2)
    assert looks.acquire(timeout=10)
    assert not looks.acquire(timeout=0.5)
    scheduler._schedule_reevalutation(0)
    assert looks.acquire(timeout=10)


def test_what_it_replaces_is_there():
    """Where a new Snakemake has it no more, this is to go as well."""
    source = inspect.getsource(job_scheduler.JobScheduler)
    assert "self._schedule_reevalutation(self.job_rate_limiter.timespan)" in source
    assert "lambda: self._open_jobs.release()" in source
