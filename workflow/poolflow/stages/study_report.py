"""Stage: make the report of a study, one HTML file."""

from pathlib import Path

from poolflow.data import store
from poolflow.reporting.content import content_of
from poolflow.reporting.page import page
from poolflow.reporting.sources import of_folder


def main(job, out):
    """Write what the tables and figures beside `out` say, what was asked for, and what the jobs before it cost."""
    source = of_folder(str(Path(out).parent), job.config["settings"], job.config["study"])
    with store.replacing(out) as temporary:
        Path(temporary).write_text(page([content_of(source)]), "utf-8")
