"""Stage: bring one data set to the form that every other stage reads."""

import sys
from importlib import import_module

from poolflow.data import content


def main(job, root, out):
    """Write `dataset.h5`, see `poolflow.data.content.write`.

    There may be no test row, and no label yet. One line, which people see on the terminal and the attribute `summary`
    keeps, says how the data were read.
    """
    plugin = import_module(f"poolflow.datasets.{job.config['dataset']}")
    data = plugin.load(root, **job.config["parameters"])
    text = content.write(out, job, getattr(plugin, "KIND", "images"), data)
    for stream in (sys.stdout, sys.stderr):  # the terminal, and the log
        code = stream.encoding or "ascii"
        print(f"{job.name}: {text}".encode(code, "backslashreplace").decode(code), file=stream, flush=True)
