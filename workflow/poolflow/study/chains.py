"""The names and paths of a study: which chains there are, and which files a job reads.

A chain is a wildcard: `<initial pool>` or `<initial pool>+<variant>`, cycle 0, which strategies share, or
`<initial pool>/<strategy>`, the cycles after it. `names` are a job's wildcards: dataset, learner, seed, ...
"""

import re
from functools import cache

from poolflow.data import paths
from poolflow.study import plugins

FETCH = "download"  # in place of a path of the user's own: the published file
PASSIVE = "passive"  # in place of an initial pool's name: the whole pool, in a random order
OTHER_NEEDS = {*plugins.DATA, *plugins.ORACLE, "labels"}  # what a strategy gets from no file of its own


def initial_pools(study):
    """Return the names of the initial pools of a study, with that of the whole pool where `passive` asks for it."""
    return [*study["initial_pools"], *([PASSIVE] if study["passive"] else [])]


@cache
def needs_of_network(study, strategy):
    """Return what a strategy uses of the last network: outputs, which predict jobs make, or the `model` itself."""
    entry = study["strategies"][strategy]
    other = OTHER_NEEDS | ({"features"} if entry["pretext"] else set())
    return [need for need in entry["facts"]["NEEDS"] if need not in other]


@cache
def plain_outputs(study, strategy):
    """Return the outputs that a strategy uses and any network has, which come from one pass over the pool; sorted."""
    needs = [need for need in needs_of_network(study, strategy) if need != "model"]
    return tuple(sorted(need for need in needs if "VARIANT" not in plugins.literals("outputs", need)))


def predicted_together(study):
    """Return {outputs: strategies}: the sets of two or more outputs that one job predicts after cycle 0.

    In cycle 0, which all strategies share, each output has a job of its own: another strategy must not remake what is
    there.
    """
    found = {}
    for strategy in study["strategies"]:
        if len(outputs := plain_outputs(study, strategy)) > 1:
            found.setdefault(outputs, []).append(strategy)
    return found


def variant(study, chain):
    """Return the variant of the network that a chain trains, "" for none."""
    pool, _, strategy = chain.partition("/")
    return study["strategies"][strategy]["variant"] if strategy else pool.partition("+")[2]


def first_chain(study, initial_pool, strategy):
    """Return the chain of the cycle 0 that a strategy starts from, shared by all that need its kind of network."""
    needed = variant(study, f"{initial_pool}/{strategy}")
    return f"{initial_pool}+{needed}" if needed else initial_pool


def folder(names, chain, cycle):
    """Return the folder of a cycle of a chain."""
    return f"<results>/{paths.cycle(names.dataset, names.learner, chain, names.seed, cycle)}"


def dataset(study, names):
    """Return the data set that a learner sees: the embedding of it by a pretext task, where it learns from that."""
    task = study["learners"][names.learner]["features"]
    return embedding(names.dataset, task) if task else f"<results>/{paths.dataset(names.dataset)}"


def embedding(dataset, task):
    """Return the file of a data set's images as a pretext task embeds them."""
    return f"<results>/{dataset}/pretext/{task}/embedding.h5"


def embeds(study, task):
    """Return whether a pretext task embeds all images of a data set, with weights learned elsewhere."""
    return plugins.defines("pretext", study["pretext"][task]["plugin"], "embed")


def of_pretext(study, names):
    """Return the data set that an output of a pretext task is made of."""
    task = names.task
    return embedding(names.dataset, task) if embeds(study, task) else f"<results>/{paths.dataset(names.dataset)}"


def labeled(names, chain, cycle):
    """Return the labelled set of a cycle; that of cycle 0 is the initial pool's, whatever the kind of network."""
    return f"{folder(names, chain if cycle else re.split('[+/]', chain)[0], cycle)}/labeled.h5"


def trained(study, names, chain, cycle):
    """Return the folder of a cycle's networks; those of cycle 0 are shared by all strategies that need their kind."""
    return folder(names, chain if cycle else first_chain(study, *chain.split("/")), cycle)


def last_model(study, names):
    """Return the last cycle's model, where the training continues from it or the learner asks it; else none."""
    cycle, entry = int(names.cycle), study["learners"][names.learner]
    used = entry["training"]["warm_start"] or entry["facts"].get("LAST")
    return f"{trained(study, names, names.chain, cycle - 1)}/model.pt" if used and cycle else []


def pretrained(study, names):
    """Return the model of the pretext task that a learner's training starts from: none without one."""
    task = study["learners"][names.learner]["start"]
    return pretext_file(study, names, task, "model") if task else []


def needs_of_acquisition(study, names):
    """Return the files of the last cycle, and of a pretext task, that an acquisition reads."""
    last = trained(study, names, f"{names.initial_pool}/{names.strategy}", int(names.cycle) - 1)
    files = [
        f"{last}/{'model.pt' if need == 'model' else f'{need}.h5'}" for need in needs_of_network(study, names.strategy)
    ]
    return files + needs_of_pretext(study, names, "strategies", names.strategy)


def needs_of_pretext(study, names, key, name):
    """Return the files of a pretext task that an initial pool or a strategy uses."""
    entry = study[key].get(name)  # none of the whole pool
    if not entry or not entry["pretext"]:
        return []
    needs = [need for need in entry["facts"]["NEEDS"] if need in plugins.GIVES]
    return [pretext_file(study, names, entry["pretext"], need) for need in needs]


def pretext_file(study, names, task, need):
    """Return the file of an output of a pretext task: where it makes no features, of the task that it builds on."""
    entry, file = study["pretext"][task], "model.pt" if need == "model" else f"{need}.h5"
    if need not in (*entry["facts"]["GIVES"], "model"):
        return pretext_file(study, names, entry["of"], need)
    return f"<results>/{paths.pretext(names.dataset, task, names.seed)}/{file}"


def used_tasks(study):
    """Return the pretext tasks that an initial pool, a strategy or a learner uses, and those that these build on."""
    used = [entry["pretext"] for key in ("initial_pools", "strategies") for entry in study[key].values()]
    used += [entry[key] for entry in study["learners"].values() for key in ("start", "features")]
    for task in used:  # grows
        used += [study["pretext"][task]["of"]] if task else []
    return [task for task in dict.fromkeys(used) if task]


def pretext_base(study, names):
    """Return the files of the task that a pretext task builds on."""
    entry = study["pretext"][names.task]
    return [pretext_file(study, names, entry["of"], need) for need in entry["facts"].get("BASE", ())]


def pretext_model(study, names):
    """Return what a pretext task has learned; nothing for one that does not learn."""
    learns = plugins.defines("pretext", study["pretext"][names.task]["plugin"], "train")
    return pretext_file(study, names, names.task, "model") if learns else []


def learners(study, pseudo_labels):
    """Return the names of the learners that keep pseudo-labels, or of those that do not."""
    return [n for n, entry in study["learners"].items() if bool(entry["facts"].get("PSEUDO_LABELS")) == pseudo_labels]


def own_files(entry):
    """Return the parameters of a data set or a pretext task that are paths of the user's own."""
    return [key for key in entry["facts"].get("LOCAL", ()) if entry["parameters"].get(key) not in (None, FETCH)]


def published(study, key, name):
    """Return the file that says that the published files of a data set, or a pretext task, are there.

    None for one that has no such files, or for which the user gives others.
    """
    entry = study[key][name]
    fetched = plugins.defines(key, entry["plugin"], "files") and not own_files(entry)
    return [f"<results>/{'pretext/' if key == 'pretext' else ''}{name}/source.json"] if fetched else []
