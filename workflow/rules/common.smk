"""The study's config, checked, and what the rules look up in it."""

import json
import sys
from functools import lru_cache
from pathlib import Path
from shlex import quote

sys.path.insert(0, f"{workflow.basedir}/workflow")

from poolflow.config import ConfigError, check
from poolflow.digest import digest
from poolflow.plugins import literals
from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

try:
    STUDY = check(config)
except ConfigError as error:
    raise WorkflowError(f"The config ({', '.join(map(str, workflow.configfiles))}) cannot be run:\n{error}")

# Stages are run as modules of the package beside this file, by the Python that runs Snakemake or by the one of a conda
# environment. Where downloaded data lie is no part of the study: as an environment variable it is no param, and moving
# the data reruns nothing.
CONDA = DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method
shell.prefix(
    f"set -euo pipefail; export PYTHONPATH={quote(f'{workflow.basedir}/workflow')}"
    f" POOLFLOW_DATA={quote(STUDY['data_root'])}"
    f"{'' if CONDA else f' PATH={quote(str(Path(sys.executable).parent))}:$PATH'}; "
)


pathvars:
    results=f"results/{STUDY['study']}",
    logs=f"results/{STUDY['study']}/logs",
    benchmarks=f"results/{STUDY['study']}/benchmarks",


wildcard_constraints:
    dataset="[^/]+",
    learner="[^/]+",
    initial_pool="[^/]+",
    strategy="[^/]+",
    chain="[^/]+(/[^/]+)?",  # an initial pool (cycle 0), or an initial pool and a strategy (the cycles after it)
    seed="[0-9]+",
    cycle="[0-9]+",
    need="[a-z_]+",


def block(**settings):
    """Return settings as the canonical JSON text that a stage is given: only these are watched for changes."""
    return json.dumps(settings, sort_keys=True)


def code(stage, kind=None, entry=None):
    """Return the digest of a stage's code and of the plugin that it was asked for."""
    plugin = [f"poolflow.{kind}.{entry['plugin']}"] if kind else []
    return digest(f"poolflow.{stage}", *plugin)


@lru_cache
def dataset_block(name):
    """Return the settings of a data set."""
    entry = STUDY["datasets"][name]
    return block(dataset=entry["plugin"], parameters=entry["parameters"])


@lru_cache
def initial_pool_block(name):
    """Return the settings of the choice of an initial pool."""
    entry = STUDY["initial_pools"][name]
    return block(
        initial_pool=entry["plugin"],
        parameters=entry["parameters"],
        size=STUDY["initial_size"],
        seed=STUDY["seed"],
        threads=STUDY["threads"],
    )


@lru_cache
def strategy_block(name):
    """Return the settings of an acquisition."""
    entry = STUDY["strategies"][name]
    return block(
        strategy=entry["plugin"],
        parameters=entry["parameters"],
        budget=STUDY["budget"],
        seed=STUDY["seed"],
        threads=STUDY["threads"],
    )


@lru_cache
def training_block(name):
    """Return the settings of a learner's training."""
    return network_block(name, training=STUDY["learners"][name]["training"], seed=STUDY["seed"])


@lru_cache
def embedding_block(name):
    """Return the settings of a learner's inference."""
    return network_block(name)


def network_block(name, **more):
    """Return the settings that every stage running a learner's network reads."""
    entry = STUDY["learners"][name]
    return block(
        network=entry["plugin"],
        parameters=entry["parameters"],
        threads=STUDY["threads"],
        device=STUDY["device"],
        **more,
    )


@lru_cache
def network_needs(strategy):
    """Return the network outputs that a strategy uses, which the embed jobs make."""
    needs = literals("strategies", STUDY["strategies"][strategy]["plugin"])["NEEDS"]
    return [need for need in needs if need != "images"]


def chains(pattern, **more):
    """Return the paths of a pattern for every data set, learner, initial pool and seed of the study."""
    keys = {"dataset": "datasets", "learner": "learners", "initial_pool": "initial_pools", "seed": "seeds"}
    return expand(pattern, **{wildcard: STUDY[key] for wildcard, key in keys.items()}, **more)


def large(path):
    """Mark an output that a study with `keep: false` deletes when it is no longer needed."""
    return path if STUDY["keep"] else temp(path)


def previous(wildcards):
    """Return the folder of the cycle before: cycle 0 belongs to the initial pool, not to the strategy."""
    cycle = int(wildcards.cycle) - 1
    chain = wildcards.initial_pool if cycle == 0 else f"{wildcards.initial_pool}/{wildcards.strategy}"
    return f"<results>/{wildcards.dataset}/{wildcards.learner}/{chain}/seed{wildcards.seed}/cycle{cycle}"
