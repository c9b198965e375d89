"""Runs a study with Snakemake, after a look at what Snakemake itself would answer with a traceback.

PYTHONPATH=workflow python -m poolflow run [Snakemake's options and targets]
"""

import argparse
import os
import re
import sys
from difflib import get_close_matches
from pathlib import Path

import yaml
from snakemake import cli
from snakemake.utils import update_config

from poolflow.study import files, plugins, reports
from poolflow.study.config import ConfigError, as_written, check

WORKFLOW = Path(__file__).parents[2]


def cannot_write(folder, what):
    """Return a line where a folder cannot be made or written, else None."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        reason = None if os.access(folder, os.W_OK) else "no permission to write"
    except OSError as error:
        reason = error.strerror
    return reason and f"{folder}: found {reason}, expected a folder for {what}"


def targets(config):
    """Return what a study may be asked for by name: the rules that are targets, its tables and its figures."""
    text = (WORKFLOW.parent / "Snakefile").read_text("utf-8")
    named = re.findall(r"^rule (\w+):", text, re.MULTILINE)
    try:
        study = check(config)
        paths = [f"{table}.csv" for table in reports.wanted(study, "tables")]
        paths += [f"figures/{figure}.{form}" for figure in reports.wanted(study, "figures") for form in ("png", "svg")]
    except (ConfigError, plugins.PluginError):  # the Snakefile names these mistakes
        return named
    return named + [f"results/{study['study']}/{path}" for path in paths]


def mistyped(wanted, known):
    """Yield a line for each target that is none of the known ones, and cannot be another file."""
    top = {str(Path(path).parent) for path in known if "/" in path}
    for target in wanted:
        short = "/" not in target and not os.path.exists(target)
        if target not in known and (short or str(Path(target).parent) in top):
            rules = ", ".join(name for name in known if "/" not in name)
            close = get_close_matches(target, known, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            yield f"{target}: found no such target, expected one of {rules}, or a file of the results{hint}"


def number_of_cores(text):
    """Return the number that Snakemake's option --cores stands for."""
    return os.cpu_count() if text == "all" else int(text)


def options_of(command, what, arguments):
    """Return the number of cores and Snakemake's arguments, checked, of a command that takes them and --cores."""
    description = f"{what} Other options are Snakemake's."
    parser = argparse.ArgumentParser(f"python -m poolflow {command}", description=description, allow_abbrev=False)
    parser.add_argument("-c", "--cores", type=number_of_cores, default="all", help="cores to use (default: all)")
    args, others = parser.parse_known_args(arguments)
    check_arguments(others)
    return args.cores, ["--cores", str(args.cores), *others]


def check_arguments(arguments):
    """Raise SystemExit, with a line for each mistake, where Snakemake's arguments are wrong.

    Seen here are what is read before the Snakefile is: config files that are not there or no YAML, a target after
    --configfile, which takes all that follows, a target that is none, --config without a value, a folder that cannot be
    written.
    """
    problems = []
    try:
        args = cli.parse_args(arguments)[1]
        cli.parse_config(args.config)
    except (ValueError, cli.CliException, OSError) as error:
        problems.append(" ".join(str(error).split()))
        args = None
    for path in (args.configfile or ["config.yaml"]) if args else ():
        if args.configfile and not os.path.exists(path) and Path(path).suffix not in (".yaml", ".yml", ".json"):
            problems.append(f"--configfile: found {path} as another file; write targets first: {path} --configfile ...")
            continue
        try:
            files.check(path)
        except ConfigError as error:
            problems.append(str(error))
    if not problems:
        config = {}
        for path in args.configfile or ["config.yaml"]:
            update_config(config, yaml.safe_load(Path(path).read_text("utf-8")) or {})
        update_config(config, as_written(cli.parse_config(args.config)))
        problems += mistyped(args.targets, targets(config))
        cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        problems += filter(
            None, [cannot_write(args.directory or os.getcwd(), "results/"), cannot_write(cache, "caches")]
        )
    if problems:
        sys.exit("\n".join(problems))


def main(arguments):
    """Run Snakemake with its command-line arguments."""
    check_arguments(arguments)
    cli.main(arguments)
