"""Stage: make one table of a study's results."""

from importlib import import_module

from poolflow.data import store
from poolflow.results import Results


def main(job, out):
    """Write a table as CSV, numbers with six digits; what it holds, the plugin `poolflow.tables.<name>` says."""
    plugin = import_module(f"poolflow.tables.{job.config['plugin']}")
    table = plugin.table(Results(plugin, out.removesuffix(f"{job.name}.csv"), job.config), **job.config["settings"])
    with store.replacing(out) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")
