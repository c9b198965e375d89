"""Stage: fetch the published files of a data set, or of a pretext task, into `data_root`, unless they are there."""

import os
from importlib import import_module

from poolflow.data import store
from poolflow.data.fetching import at_hand
from poolflow.data.published import md5

PLUGIN = {
    "datasets": lambda name: import_module(f"poolflow.datasets.{name}"),
    "pretext": lambda name: import_module(f"poolflow.pretext.{name}"),
}


def main(job, root, out):
    """Write `source.json`: path (relative to `root`), size in bytes and MD5 of each file.

    What is missing is fetched, resumed where an earlier process was killed; a file that is there is used as it is if
    its checksum is right.
    """
    files = PLUGIN[job.config["kind"]](job.config["plugin"]).files(**job.config["parameters"])
    paths = [path for file in files for path in at_hand(root, file)]
    content = []
    for path in dict.fromkeys(paths):
        full = os.path.join(root, path)
        content.append({"path": path, "size": os.path.getsize(full), "md5": md5(full)})
    store.write_json(out, job, {"files": content})
