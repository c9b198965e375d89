"""The study's config, checked, and what the rules look up in it."""

import hashlib
import json
import os
import re
import sys
from functools import lru_cache
from pathlib import Path
from shlex import quote

sys.path.insert(0, f"{workflow.basedir}/workflow")

from poolflow.study.config import ConfigError, check
from poolflow.study.digest import digest
from poolflow.running.gpus import visible
from poolflow.study.plugins import DROPOUT, ENSEMBLE, GIVES, LOSS_PREDICTION, PLAIN, defines, literals, parameters
from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

try:
    STUDY = check(config)
except ConfigError as error:
    raise WorkflowError(f"The config ({', '.join(map(str, workflow.configfiles))}) cannot be run:\n{error}")

# Stages are run as modules of the package beside this file, by the Python that runs Snakemake or by the one of a conda
# environment, which then shall not see packages of the user's own in ~/.local. Where downloaded data lie is no part of
# the study: as an environment variable it is no param, and moving the data reruns nothing.
CONDA = DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method
shell.prefix(
    f"set -euo pipefail; export PYTHONPATH={quote(f'{workflow.basedir}/workflow')}"
    f" POOLFLOW_DATA={quote(STUDY['data_root'])}"
    f" {'PYTHONNOUSERSITE=1' if CONDA else f'PATH={quote(str(Path(sys.executable).parent))}:$PATH'}; "
)
if DeploymentMethod.APPTAINER in workflow.deployment_settings.deployment_method and not CONDA:
    raise WorkflowError(
        "--software-deployment-method: found apptainer, expected conda apptainer: the image has conda, which makes the "
        "environments of envs/ inside it, and none of the packages"
    )


pathvars:
    results=f"results/{STUDY['study']}",
    logs=f"results/{STUDY['study']}/logs",
    benchmarks=f"results/{STUDY['study']}/benchmarks",


def one_of(key):
    """Return the pattern of the names that a key of the study has: there is no rule for another."""
    return "|".join(map(re.escape, STUDY[key]))


wildcard_constraints:
    dataset=one_of("datasets"),
    learner=one_of("learners"),
    task=one_of("pretext"),
    initial_pool=one_of("initial_pools"),
    strategy=one_of("strategies"),
    # Cycle 0: an initial pool, with `+dropout`, `+ensemble` or `+loss_prediction` where a strategy needs such networks.
    # The cycles after it: an initial pool and a strategy.
    chain=f"({one_of('initial_pools')})([+][a-z_]+|/({one_of('strategies')}))?",
    seed="[0-9]+",
    cycle="[0-9]+",
    need="[a-z_]+",


def block(**settings):
    """Return settings as the canonical JSON text that a stage is given: only these are watched for changes."""
    return json.dumps(settings, sort_keys=True)


def code(stage, kind=None, entry=None):
    """Return the digest of a stage's code and of the plugin that it was asked for."""
    plugin = [f"poolflow.{kind}.{entry['plugin']}"] if kind else []
    return digest(f"poolflow.stages.{stage}", *plugin)


@lru_cache
def dataset_block(name):
    """Return the settings of a data set, and what the user's own data looked like."""
    entry = STUDY["datasets"][name]
    own = [fingerprint(name, key) for key in literals("datasets", entry["plugin"]).get("LOCAL", ())]
    return block(dataset=entry["plugin"], parameters=entry["parameters"], **({"files": own} if own else {}))


def fingerprint(name, key):
    """Return a digest of the names, sizes and times of the user's files that a data set's parameter `key` names."""
    entry = STUDY["datasets"][name]["parameters"].get(key)
    if entry is None:
        return ""
    path = Path(STUDY["data_root"], entry)
    if not path.exists():
        if workflow.remote_exec:
            return ""
        raise WorkflowError(f"datasets.{name}.{key}: found nothing at {path}, expected a file or folder there")
    paths = [path] if path.is_file() else [Path(top, file) for top, _, files in os.walk(path) for file in files]
    facts = sorted((str(p.relative_to(path)), (s := p.stat()).st_size, s.st_mtime_ns) for p in paths)
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def published(name):
    """Return the file that says that a data set's published files are there; none for one that is not published."""
    return [f"<results>/{name}/source.json"] if defines("datasets", STUDY["datasets"][name]["plugin"], "files") else []


@lru_cache
def pool_block(name):
    """Return the settings of a pool."""
    return block(pool=STUDY["datasets"][name]["pool"], seed=STUDY["seed"])


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
def strategy_block(name, learner):
    """Return the settings of an acquisition, with those of the learner's network where the strategy uses it."""
    entry = STUDY["strategies"][name]
    used = {"learner": network_settings(learner, learner_kind(name))} if "model" in network_needs(name) else {}
    return block(
        strategy=entry["plugin"],
        parameters=entry["parameters"],
        budget=STUDY["budget"],
        seed=STUDY["seed"],
        threads=STUDY["threads"],
        **used,
    )


@lru_cache
def strategy_code(name, learner):
    """Return the digest of an acquisition's code, with that of the learner's network where the strategy uses it."""
    network = [f"poolflow.networks.{STUDY['learners'][learner]['plugin']}"]
    used = network if "model" in network_needs(name) else []
    return digest("poolflow.stages.acquire", f"poolflow.strategies.{STUDY['strategies'][name]['plugin']}", *used)


def kind(chain):
    """Return how the networks of a chain are trained: plain, dropout, ensemble or loss_prediction."""
    pool, _, strategy = chain.partition("/")
    return learner_kind(strategy) if strategy else pool.partition("+")[2] or PLAIN


def learner_kind(strategy):
    """Return the kind of network that a strategy needs."""
    return literals("strategies", STUDY["strategies"][strategy]["plugin"]).get("LEARNER", PLAIN)


def first_chain(initial_pool, strategy):
    """Return the chain of the cycle 0 that a strategy starts from, shared by all that need its kind of network."""
    needed = learner_kind(strategy)
    return initial_pool if needed == PLAIN else f"{initial_pool}+{needed}"


@lru_cache
def training_block(name, kind):
    """Return the settings of a learner's training."""
    training = STUDY["learners"][name]["training"]
    members = training["members"] if kind == ENSEMBLE else 1
    unread = {"recipe", "members", "passes"}
    training = {key: value for key, value in training.items() if key not in unread}
    return block(**network_settings(name, kind), training=training, members=members, seed=STUDY["seed"])


@lru_cache
def embedding_block(name, kind, need):
    """Return the settings of a learner's inference."""
    training = STUDY["learners"][name]["training"]
    stochastic = {"passes": training["passes"], "seed": STUDY["seed"]} if need == "mc_probs" else {}
    return block(**network_settings(name, kind), precision=training["precision"], **stochastic)


def network_settings(name, kind):
    """Return the settings that every stage running a learner's network reads."""
    entry = STUDY["learners"][name]
    parameters = entry["parameters"]
    if kind == DROPOUT:
        parameters = parameters | {"dropout": parameters.get("dropout") or 0.5}
    settings = {
        "network": entry["plugin"],
        "parameters": parameters,
        "threads": STUDY["threads"],
        "device": STUDY["device"],
        "deterministic": STUDY["deterministic"],
    }
    return settings | ({"loss_prediction": True} if kind == LOSS_PREDICTION else {})


def strategy_gpu(name):
    """Return the number of GPUs of an acquisition: only some run a network, the last cycle's or one of their own."""
    own = STUDY["strategies"][name]["parameters"].get("device", "cpu")
    return gpu(STUDY["device"] if "model" in network_needs(name) else own)


@lru_cache
def network_needs(strategy):
    """Return what a strategy uses of the last network: outputs, which the predict jobs make, or the `model` itself."""
    entry = STUDY["strategies"][strategy]
    other = ("images", "given", "labels", *(("features",) if entry["pretext"] else ()))
    return [need for need in literals("strategies", entry["plugin"])["NEEDS"] if need not in other]


def pretext_needs(wildcards, key, name):
    """Return the files of a pretext task that an initial pool or a strategy uses."""
    entry = STUDY[key][name]
    if not entry["pretext"]:
        return []
    needs = [need for need in literals(key, entry["plugin"])["NEEDS"] if need in GIVES]
    return [pretext_file(wildcards, entry["pretext"], need) for need in needs]


def pretext_file(wildcards, task, need):
    """Return the file of an output of a pretext task: where it makes no features, of the task that it builds on."""
    entry = STUDY["pretext"][task]
    if need == "model":
        return f"<results>/{wildcards.dataset}/pretext/{task}/seed{wildcards.seed}/model.pt"
    if need not in literals("pretext", entry["plugin"])["GIVES"]:
        return pretext_file(wildcards, entry["of"], need)
    return f"<results>/{wildcards.dataset}/pretext/{task}/seed{wildcards.seed}/{need}.h5"


def used_tasks():
    """Return the pretext tasks that an initial pool or a strategy uses, and those that these build on."""
    used = [entry["pretext"] for key in ("initial_pools", "strategies") for entry in STUDY[key].values()]
    for task in used:  # grows
        used += [STUDY["pretext"][task]["of"]] if task else []
    return [task for task in dict.fromkeys(used) if task]


def pretext_base(wildcards):
    """Return the files of the task that a pretext task builds on."""
    entry = STUDY["pretext"][wildcards.task]
    needs = literals("pretext", entry["plugin"]).get("BASE", ())
    return [pretext_file(wildcards, entry["of"], need) for need in needs]


def pretext_model(wildcards):
    """Return what a pretext task has learned; nothing for one that does not learn."""
    learns = defines("pretext", STUDY["pretext"][wildcards.task]["plugin"], "train")
    return pretext_file(wildcards, wildcards.task, "model") if learns else []


@lru_cache
def pretext_block(task, need=None):
    """Return the settings of the training of a pretext task, or of one of its outputs."""
    entry = STUDY["pretext"][task]
    functions = {"build": "build", **({"output": need} if need else {"train": "train"})}
    return block(
        task=entry["plugin"],
        network=entry["network"],
        seed=STUDY["seed"],
        threads=STUDY["threads"],
        device=STUDY["device"],
        deterministic=STUDY["deterministic"],
        **{
            key: {k: v for k, v in entry["parameters"].items() if k in parameters("pretext", entry["plugin"], function)}
            for key, function in functions.items()
        },
    )


@lru_cache
def pretext_code(stage, task):
    """Return the digest of a stage's code, of the task's and of its network's."""
    entry = STUDY["pretext"][task]
    network = [f"poolflow.networks.{entry['network']['network']}"] if entry["network"] else []
    return digest(f"poolflow.stages.{stage}", f"poolflow.pretext.{entry['plugin']}", *network)


def chains(pattern, **more):
    """Return the paths of a pattern for every data set, learner, initial pool and seed of the study."""
    keys = {"dataset": "datasets", "learner": "learners", "initial_pool": "initial_pools", "seed": "seeds"}
    return sorted(set(expand(pattern, **{wildcard: STUDY[key] for wildcard, key in keys.items()}, **more)))


def large(path):
    """Mark an output that a study with `keep: false` deletes when it is no longer needed."""
    return path if STUDY["keep"] else temp(path)


def folder(wildcards, chain, cycle):
    """Return the folder of a cycle of a chain."""
    return f"<results>/{wildcards.dataset}/{wildcards.learner}/{chain}/seed{wildcards.seed}/cycle{cycle}"


def labeled(wildcards, chain, cycle):
    """Return the labelled set of a cycle; that of cycle 0 is the initial pool's, whatever the kind of network."""
    return f"{folder(wildcards, chain if cycle else re.split('[+/]', chain)[0], cycle)}/labeled.h5"


def trained(wildcards, chain, cycle):
    """Return the folder of a cycle's networks; those of cycle 0 are shared by all strategies that need their kind."""
    return folder(wildcards, chain if cycle else first_chain(*chain.split("/")), cycle)


def last_model(wildcards):
    """Return the model that a training continues from: none unless the learner has a warm start."""
    cycle = int(wildcards.cycle)
    warm = STUDY["learners"][wildcards.learner]["training"]["warm_start"]
    return f"{trained(wildcards, wildcards.chain, cycle - 1)}/model.pt" if warm and cycle else []


for name in STUDY["datasets"]:
    dataset_block(name)  # own data that are not there are named before anything is planned

# How many jobs use a GPU at once: as many as this machine has, each its own, or what Snakemake was given; with
# `--resources gpu=6` three share each of two GPUs. With `gpu=0` jobs neither wait nor ask a cluster for one.
if "gpu" not in workflow.global_resources and not workflow.remote_exec and visible():
    workflow.register_resource("gpu", visible())
GPUS = workflow.global_resources.get("gpu").value


def gpu(device):
    """Return the number of GPUs of a job that runs networks on a device: 1, or 0 where it may use none."""
    return int(device != "cpu" and bool(GPUS))
