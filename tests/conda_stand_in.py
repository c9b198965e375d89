"""What stands in for `conda` where there is none: all of it that Snakemake calls, but for the solver.

An environment is a virtual environment with what pip would install of the file's `pip` section, and nothing else. So
that this takes no time, each file of the packages that the section names, and of those that they need by their
metadata, is a link to the one in the Python that runs this.
"""

import json
import os
import subprocess
import sys
from importlib import metadata
from itertools import pairwise
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ACTIVATE = 'export PATH="$1/bin:$PATH" CONDA_PREFIX="$1"\n'


def install(folder):
    """Write the commands of a conda into `folder`/bin."""
    (folder / "bin").mkdir(parents=True)
    (folder / "bin/activate").write_text(ACTIVATE)
    (folder / "bin/conda").write_text(f'#!/bin/sh\nexec "{sys.executable}" "{__file__}" "{folder}" "$@"\n')
    (folder / "bin/conda").chmod(0o755)


def closure(lines):
    """Return what pip would install for requirements, of the versions that are here: {name: distribution}."""
    found, seen, todo = {}, set(), [Requirement(line) for line in lines]
    for requirement in todo:  # grows
        name = canonicalize_name(requirement.name)
        found[name] = distribution = metadata.distribution(name)
        if distribution.version not in requirement.specifier:
            sys.exit(f"found {name} {distribution.version}, expected {requirement}")
        for extra in {"", *requirement.extras}:
            if (name, extra) not in seen:
                seen.add((name, extra))
                needed = map(Requirement, distribution.requires or ())
                todo += [r for r in needed if r.marker is None or r.marker.evaluate({"extra": extra})]
    return found


def create(file, prefix):
    """Make the environment of a file."""
    *conda, pip = yaml.safe_load(Path(file).read_text())["dependencies"]
    if [name.partition("=")[0] for name in conda] != ["python", "pip"]:
        sys.exit(f"{file}: found {conda}, expected python and pip; all else belongs to the pip section")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", prefix], check=True)
    (site,) = Path(prefix).glob("lib/python*/site-packages")
    for distribution in closure(pip["pip"]).values():
        paths = [path for path in distribution.files if path.parts[0] != ".."]  # those are commands and manual pages
        for folder in {path.parent for path in paths}:
            os.makedirs(site / folder, exist_ok=True)
        for path in paths:
            os.symlink(distribution.locate_file(path), f"{site}/{path}")


def main(folder, command, *arguments):
    """Do what Snakemake asks of conda."""
    if command == "info":
        print(json.dumps({"conda_prefix": folder, "platform": "linux-64"}))
    elif command == "--version":
        print("conda 26.3.2")
    elif command == "config":
        print(json.dumps({"get": {"channel_priority": "strict"}}))
    elif command == "env":
        options = dict(pairwise(arguments))
        create(options["--file"], options["--prefix"])
    elif command != "clean":
        sys.exit(f"conda {command} {' '.join(arguments)}: not one of the commands that the stand-in knows")


if __name__ == "__main__":
    main(*sys.argv[1:])
