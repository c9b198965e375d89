"""What each job is given: its settings as the JSON text that Snakemake watches, and the digest of the code it executes.

A block has what its stage reads of the study and nothing else: an edit of another key reruns nothing.
"""

import hashlib
import json
import os
from functools import cache
from pathlib import Path

from poolflow.data import listing
from poolflow.study import chains, plugins
from poolflow.study.config import ConfigError, load_schema
from poolflow.study.digest import digest

INDEX = ".snakemake/poolflow"  # where Snakemake keeps what it knows: what was seen of the user's own files


def block(**settings):
    """Return settings as canonical JSON."""
    return json.dumps(settings, sort_keys=True)


def code(stage, *used):
    """Return the digest of a stage's code and of the plugins that it was asked for, each (kind, name)."""
    return digest(f"poolflow.stages.{stage}", *(f"poolflow.{kind}.{name}" for kind, name in used))


def of_machine(study):
    """Return the settings of every stage that runs a network."""
    return {key: study[key] for key in ("threads", "device", "deterministic")}


# -- data sets and pools --


@cache
def dataset(study, name, remote=False):
    """Return the settings of a data set, and what the user's own data looked like.

    Where they are not seen, on the node of a cluster (`remote`), nothing is said of them.

    Raises
    ------
    ConfigError
        When the user's data are not there.
    """
    entry = study["datasets"][name]
    own = [fingerprint(study, name, key, remote) for key in entry["facts"].get("LOCAL", ())]
    return block(dataset=entry["plugin"], parameters=entry["parameters"], **({"files": own} if own else {}))


def fingerprint(study, name, key, remote=False, of="datasets"):
    """Return a digest of the names and contents of the user's files that a data set's parameter `key` names.

    Of a folder these are the files that the data set reads, by its literal ENDINGS, or all of them. With `of` "pretext"
    it is a pretext task's parameter.
    """
    dataset = study[of][name]
    entry = dataset["parameters"].get(key)
    if entry is None:
        return ""
    path = Path(os.path.expanduser(study["data_root"]), os.path.expanduser(entry))
    if not path.exists():
        if remote:
            return ""
        raise ConfigError(f"{of}.{name}.{key}: found nothing at {path}, expected a file or folder there")
    index = Path(INDEX, hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:16]).with_suffix(".json")
    try:
        names = [""] if path.is_file() else listing.read_of(path, tuple(dataset["facts"].get("ENDINGS", ("",))))
        return listing.digest(str(path), names, str(index))
    except listing.Loop as error:
        raise ConfigError(f"{of}.{name}.{key}: {error}") from error
    except OSError as error:
        raise ConfigError(f"{of}.{name}.{key}: cannot read {error.filename}: {error.strerror}") from error


def dataset_code(study, stage, name):
    """Return the digest of the stage that fetches or reads a data set."""
    return code(stage, ("datasets", study["datasets"][name]["plugin"]))


@cache
def pool(study, name):
    """Return the settings of a pool."""
    return block(pool=study["datasets"][name]["pool"], seed=study["seed"])


# -- pretext tasks --


@cache
def pretext(study, task, need=None):
    """Return the settings of the training of a pretext task, or of one of its outputs."""
    entry = study["pretext"][task]
    functions = {"build": "build", **({"output": need} if need else {"train": "train"})}
    taken = {key: plugins.parameters("pretext", entry["plugin"], name) for key, name in functions.items()}
    parameters = {
        key: {name: value for name, value in entry["parameters"].items() if name in known}
        for key, known in taken.items()
    }
    network = entry["network"] and network_of(entry["network"])
    return block(task=entry["plugin"], network=network, seed=study["seed"], **of_machine(study), **parameters)


def published(study, key, name):
    """Return the settings of the job that fetches the published files of a data set, or of a pretext task."""
    entry = study[key][name]
    return block(kind=key, plugin=entry["plugin"], parameters=_of(key, entry, "files"))


@cache
def weights(study, task, remote=False):
    """Return the settings of the job that takes the weights of a network learned elsewhere, and what was seen of them.

    Where a file of the user's own lies is none of them: `own_paths` has it.

    Raises
    ------
    ConfigError
        When it is not there.
    """
    entry = study["pretext"][task]
    seen = [fingerprint(study, task, key, remote, "pretext") for key in chains.own_files(entry)]
    parameters = {
        key: value for key, value in _of("pretext", entry, "weights").items() if key not in chains.own_files(entry)
    }
    return block(task=entry["plugin"], parameters=parameters, files=seen)


def own_paths(study):
    """Return the paths of the user's own files that pretext tasks name, as JSON: {task: {parameter: path}}."""
    found = {
        name: {key: entry["parameters"][key] for key in chains.own_files(entry)}
        for name, entry in study["pretext"].items()
    }
    return json.dumps({name: paths for name, paths in found.items() if paths})


@cache
def embedding(study, task):
    """Return the settings of the embedding of a data set."""
    entry = study["pretext"][task]
    return block(task=entry["plugin"], parameters=_of("pretext", entry, "embed"), **of_machine(study))


def _of(kind, entry, function):
    """Return those of an entry's parameters that a function of its plugin takes."""
    known = plugins.parameters(kind, entry["plugin"], function)
    return {name: value for name, value in entry["parameters"].items() if name in known}


@cache
def pretext_code(study, stage, task):
    """Return the digest of a stage's code, of the task's and of its network's."""
    entry = study["pretext"][task]
    network = [("networks", entry["network"]["network"])] if entry["network"] else []
    return code(stage, ("pretext", entry["plugin"]), *network)


# -- selections --


@cache
def initial_pool(study, name):
    """Return the settings of the choice of an initial pool."""
    entry = study["initial_pools"].get(name, {"plugin": "random", "parameters": {}})
    return block(
        initial_pool=entry["plugin"],
        parameters=entry["parameters"],
        size="pool" if name == chains.PASSIVE else study["initial_size"],
        seed=study["seed"],
        threads=study["threads"],
    )


def initial_pool_code(study, name):
    """Return the digest of the choice of an initial pool."""
    return code("initial_pool", ("initial_pools", json.loads(initial_pool(study, name))["initial_pool"]))


@cache
def acquisition(study, strategy, learner):
    """Return the settings of an acquisition, with those of the learner's network where the strategy uses it."""
    entry = study["strategies"][strategy]
    used = {"learner": network(study, learner, entry["variant"])} if uses_model(study, strategy) else {}
    return block(
        strategy=entry["plugin"],
        parameters=entry["parameters"],
        budget=study["budget"],
        seed=study["seed"],
        threads=study["threads"],
        **used,
    )


@cache
def acquisition_code(study, strategy, learner):
    """Return the digest of an acquisition's code, with that of the learner's network where the strategy uses it."""
    entry = study["strategies"][strategy]
    used = network_plugins(study, learner, entry["variant"]) if uses_model(study, strategy) else []
    return code("acquire", ("strategies", entry["plugin"]), *used)


def uses_model(study, strategy):
    """Return whether a strategy runs the last cycle's network itself."""
    return "model" in chains.needs_of_network(study, strategy)


def device_of_acquisition(study, strategy):
    """Return where an acquisition runs a network, the last cycle's or one of its own; "cpu" where it runs none."""
    own = study["strategies"][strategy]["parameters"].get("device", "cpu")
    return study["device"] if uses_model(study, strategy) else own


# -- networks --


def network_of(entry):
    """Return the name and the parameters of a network's entry."""
    return {"network": entry["network"], "parameters": entry["parameters"]}


def network(study, learner, variant):
    """Return the settings that every stage running a learner's network, or a variant of it, reads."""
    settings = network_of(study["learners"][learner]["network"]) | of_machine(study)
    if variant:
        asked = plugins.literals("variants", variant).get("NETWORK", {})
        parameters = settings["parameters"]
        settings["parameters"] = parameters | {key: parameters.get(key) or value for key, value in asked.items()}
        settings["variant"] = variant
    return settings


def network_plugins(study, learner, variant):
    """Return the plugins that make a learner's network, or a variant of it."""
    name = study["learners"][learner]["network"]["network"]
    return [("networks", name), *([("variants", variant)] if variant else [])]


@cache
def training(study, learner, variant):
    """Return the settings of a learner's training."""
    entry = study["learners"][learner]
    facts = plugins.literals("variants", variant) if variant else {}
    members = entry["training"][facts["MEMBERS"]] if "MEMBERS" in facts else 1
    read = {key: value for key, value in entry["training"].items() if key not in not_of_training()}
    return block(
        **network(study, learner, variant),
        learner={"learner": entry["plugin"], "parameters": entry["parameters"]},
        training=read,
        members=members,
        seed=study["seed"],
    )


@cache
def not_of_training():
    """Return the keys of `training` that no training reads, but what the schema says."""
    rules = load_schema()["properties"]["training"]["properties"]
    return {key for key, rule in rules.items() if "read_by" in rule}


@cache
def training_code(study, learner, variant):
    """Return the digest of a learner's training."""
    plugin = ("learners", study["learners"][learner]["plugin"])
    return code("train", plugin, *network_plugins(study, learner, variant))


@cache
def prediction(study, learner, variant, *needs):
    """Return the settings of outputs of a learner's network."""
    training = study["learners"][learner]["training"]
    settings = {need: {k: training[k] for k in training if k in plugins.parameters("outputs", need)} for need in needs}
    precision = training["precision"]
    return block(**network(study, learner, variant), precision=precision, settings=settings, seed=study["seed"])


@cache
def prediction_code(study, learner, variant, *needs):
    """Return the digest of outputs of a learner's network."""
    outputs = [("outputs", need) for need in needs]
    return code("predict", *outputs, *network_plugins(study, learner, variant))
