"""Stage: draw one figure of a study's results."""

import os
from importlib import import_module

import matplotlib

from poolflow.data import store
from poolflow.lettering import as_written
from poolflow.results import Results

matplotlib.use("Agg")
matplotlib.rcParams["svg.hashsalt"] = "poolflow"  # the same bytes every time


def main(job, out):
    """Write a figure as PNG or SVG, as the ending of `out` says; what it shows, `poolflow.figures.<name>` says."""
    plugin = import_module(f"poolflow.figures.{job.config['plugin']}")
    root, ending = os.path.splitext(out)
    results = Results(plugin, root.removesuffix(f"figures/{job.name}"), job.config)
    ending = ending.removeprefix(".")
    form = {"format": ending, "metadata": {"Date": None} if ending == "svg" else None}
    with as_written() as take_fonts, store.replacing(out) as temporary:
        figure = plugin.draw(results, **job.config["settings"])
        take_fonts()
        # A figure that is made of pixels says itself how many.
        size = {"dpi": job.config["dpi"], "bbox_inches": "tight"} if "dpi" in job.config else {"dpi": figure.dpi}
        figure.savefig(temporary, **form, **size)
