"""Stage: take the weights of a network that has learned elsewhere, for a pretext task that embeds images with it."""

import json
import sys
from importlib import import_module

from poolflow.training import weights


def main(job, root, out, own="{}"):
    """Write `weights.pt`, the weights as their file has them, and say in a line which they are.

    `root` is the configured `data_root`, where what is fetched is kept; `own` says as JSON where files of the user's
    own lie, {task: {parameter: path}}.
    """
    plugin = import_module(f"poolflow.pretext.{job.config['task']}")
    state, text = plugin.weights(
        root, **job.config["parameters"], **json.loads(own).get(job.name.rpartition("/")[2], {})
    )
    weights.save({"states": [state], "provenance": job.provenance()}, out)
    for stream in (sys.stdout, sys.stderr):  # the terminal, and the log
        print(f"{job.name}: {text}", file=stream, flush=True)
