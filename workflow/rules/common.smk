"""The study's config, checked, and what only Snakemake can do with it. What is decided about it is in poolflow.study."""

import os
import re
import sys
import time
from functools import partial
from pathlib import Path
from shlex import quote

# Our package first, and neither this folder nor the one that Snakemake runs in: a numpy.py may lie there.
FOLDERS = ("", str(Path.cwd()), str(workflow.basedir))
sys.path[:] = [f"{workflow.basedir}/workflow", *(path for path in sys.path if path not in FOLDERS)]

from poolflow.running import ending, pace, warm
from poolflow.running.gpus import visible
from poolflow.study import chains, checks, files, plugins, reports, settings
from poolflow.study.config import ConfigError, as_written, check
from snakemake.logging import logger
from snakemake.settings.types import DeploymentMethod
from snakemake.utils import update_config


def stop(lines):
    """End with some lines alone, also with --quiet: what Snakemake adds to an error tells of these files."""
    print(lines, file=sys.stderr, flush=True)
    sys.exit(1)


def refuse(error):
    """End with the mistakes of the config."""
    stop(f"The config ({', '.join(map(str, FILES))}) cannot be run:\n{error}")


# A study given with --configfile stands alone; it does not inherit from the default one.
FILES = workflow.overwrite_configfiles or ["config.yaml"]
try:
    for file in FILES:
        files.check(file)
except ConfigError as error:
    refuse(error)
if not workflow.overwrite_configfiles:

    configfile: "config.yaml"


update_config(config, as_written(workflow.config_settings.config))
try:
    STUDY = check(config)
    for name in STUDY["datasets"]:  # own data that are not there are named before anything is planned
        settings.dataset(STUDY, name, workflow.remote_exec)
    TABLES, FIGURES = reports.wanted(STUDY, "tables"), reports.wanted(STUDY, "figures")
except (ConfigError, plugins.PluginError) as error:
    refuse(error)

for note in () if workflow.remote_exec else checks.notes(STUDY):
    logger.warning(note)


def how_to_repair():
    """Return the command that makes again what is damaged, for the study as Snakemake was given it."""
    given = [f"{key}={value}" for key, value in workflow.config_settings.config.items()]
    paths = [str(path).removeprefix(f"{Path.cwd()}/") for path in workflow.overwrite_configfiles[:1]]
    return "".join(["make repair", *(f" CONFIG={quote(path)}" for path in paths)]) + (
        f" ARGS={quote(' '.join(['--config', *given]))}" if given else ""
    )


# Stages are run by the package beside this file, by the Python that runs Snakemake or by the one of a conda environment,
# which then must not see packages of the user's own in ~/.local. Where downloaded data and weights lie is no part of the
# study: as environment variables they are no params, and moving them reruns nothing. What the study asks for in all is none
# either, so that one more cycle makes no pool and no acquisition anew.
CONDA = DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method
ASKED = f"{STUDY['initial_size']} {STUDY['budget']} {STUDY['cycles']}"
PREFIX = (
    f"set -euo pipefail; export PYTHONSAFEPATH=1 PYTHONPATH={quote(f'{workflow.basedir}/workflow')}"
    f" POOLFLOW_ASKED={quote(ASKED)} POOLFLOW_CYCLES={STUDY['cycles']}"
    f" POOLFLOW_OWN={quote(settings.own_paths(STUDY))}"
    f" POOLFLOW_DATA={quote(os.path.expanduser(STUDY['data_root']))} POOLFLOW_REPAIR={quote(how_to_repair())}"
    f" {'PYTHONNOUSERSITE=1' if CONDA else f'PATH={quote(str(Path(sys.executable).parent))}:$PATH'}; "
)
if DeploymentMethod.APPTAINER in workflow.deployment_settings.deployment_method and not CONDA:
    stop(
        "--software-deployment-method: found apptainer, expected conda apptainer: the image has conda, which makes the "
        "environments of envs/ inside it, and none of the packages"
    )
PREFIX = PREFIX.replace("{", "{{").replace("}", "}}")  # which have a meaning for Snakemake
shell.prefix(PREFIX)
if warm.possible() and DeploymentMethod.APPTAINER not in workflow.deployment_settings.deployment_method:
    warm.use(shell, PREFIX, logger.warning)


onstart:
    pace.one_look_at_a_time(workflow.scheduler)
    # A file that was damaged since it was written looks new: what was made of it would be removed, and made of it again.
    if not workflow.remote_exec:
        from poolflow.running import repair

        repair.remove_parts(f"results/{STUDY['study']}")
        if damaged := repair.damaged_inputs(workflow.dag):
            how = f"is not what its job wrote; {how_to_repair()} makes it again, with the same results"
            stop("\n".join(f"{path} {how}" for path in damaged))


STARTED = time.time()


onsuccess:
    if not workflow.remote_exec:
        print(*ending.lines(f"results/{STUDY['study']}", STARTED), sep="\n", file=sys.stderr, flush=True)


pathvars:
    results=f"results/{STUDY['study']}",
    logs=f"results/{STUDY['study']}/logs",
    benchmarks=f"results/{STUDY['study']}/benchmarks",


def one_of(names):
    """Return the pattern of some names: there is no rule for another."""
    return "|".join(map(re.escape, names)) or "(?!)"


# Cycle 0: an initial pool, with `+<variant>` where a strategy needs such networks. The cycles after it: an initial pool
# and a strategy.
POOLS = chains.initial_pools(STUDY)
CHAIN = f"({one_of(POOLS)})([+]({one_of(plugins.names('variants'))})|/({one_of(STUDY['strategies'])}))?"


wildcard_constraints:
    dataset=one_of(STUDY["datasets"]),
    learner=one_of(STUDY["learners"]),
    task=one_of(STUDY["pretext"]),
    initial_pool=one_of(POOLS),
    strategy=one_of(STUDY["strategies"]),
    chain=CHAIN,
    seed="[0-9]+",
    cycle="[0-9]+",
    table=one_of(TABLES),
    figure=one_of(FIGURES),


def predicted(w, outputs):
    """Return what the outputs of a job depend on: the study, the learner, the variant, and the outputs' names."""
    return STUDY, w.learner, chains.variant(STUDY, w.chain), *(name.format(**w) for name in outputs)


def large(path):
    """Mark an output that a study with `keep: false` deletes when it is no longer needed."""
    return path if STUDY["keep"] else temp(path)


# How many jobs use a GPU at once: as many as this machine has, each its own, or what Snakemake was given; with
# `--resources gpu=6` three share each of two GPUs. With `gpu=0` jobs neither wait nor ask a cluster for one.
if "gpu" not in workflow.global_resources and not workflow.remote_exec and visible():
    workflow.register_resource("gpu", visible())
GPUS = workflow.global_resources.get("gpu").value


def gpu(device):
    """Return the number of GPUs of a job that runs networks on a device: 1, or 0 where it may use none."""
    return int(device != "cpu" and bool(GPUS))


def listed(only_targets=False):
    """Print what `snakemake --list` shows: the targets for people, and below them the jobs that they are made of."""
    width = max(len(rule.name) for rule in workflow.rules)
    for heading, target in (("Targets (snakemake NAME):", True), ("Jobs, which the targets ask for:", False)):
        rules = [rule for rule in workflow.rules if rule.norun == target and (target or not only_targets)]
        print(*([heading] if rules else []), *(f"  {rule.name:{width}}  {rule.docstring}" for rule in rules), sep="\n")


workflow.list_rules = listed
