"""Which tables and figures a study has, which files each is made of, and what its job is given.

A plugin's literals say it: NEEDS what it reads; AT_LEAST from how many on there is something to say; FILE where a
figure lies, whose wildcards say once for what it is drawn; and others that the `__init__` of the two folders explain.
"""

import hashlib
import itertools
from functools import cache
from string import Formatter

from poolflow.data import paths
from poolflow.study import chains, plugins
from poolflow.study.settings import block, code

WILDCARDS = {
    "dataset": "datasets",
    "learner": "learners",
    "initial_pool": "initial_pools",
    "strategy": "strategies",
    "seed": "seeds",
    "clustering": "clusterings",
    "embedding": "embeddings",
}
# What a table or a figure may name in NEEDS beside tables, and the axes of the study that these files range over.
AXES = {
    "pools": ("datasets", "seeds"),
    "initial_pools": ("datasets", "initial_pools", "seeds"),
    "labeled": ("datasets", "learners", "initial_pools", "strategies", "seeds", "cycles"),
    "metrics": ("datasets", "learners", "initial_pools", "strategies", "seeds", "cycles"),
    "clusters": ("datasets", "clusterings", "seeds"),
    "embeddings": ("datasets", "embeddings", "seeds"),
    "probs": ("datasets", "learners", "initial_pools", "strategies", "seeds", "cycles"),
    "passive": ("datasets", "learners", "seeds"),
}
OTHER_AXES = ("references", "predicting", "guessing", "passive", "cycles")  # what else AT_LEAST may name
# Which data sets a literal DATASETS means.
DATASETS = {
    "all": lambda entry: True,
    "images": lambda entry: entry["facts"].get("KIND", "images") == "images",
    "named": lambda entry: entry["facts"].get("NAMES", False),
    "discovery": lambda entry: entry["pool"]["novel_classes"] > 0,
}


def literals(kind, name):
    """Return the literals of a table or a figure.

    Raises
    ------
    plugins.PluginError
        Where one of them is not what the `__init__` of its folder explains.
    """
    facts = plugins.literals(kind, name)
    tables = [f"{table}.csv" for table in plugins.names("tables") if (kind, name) != ("tables", table)]
    wildcards = [key for _, key, _, _ in Formatter().parse(facts.get("FILE", "")) if key is not None]
    for literal, found, known in (
        ("NEEDS", facts.get("NEEDS") or [None], [*FILES, *tables]),
        ("WITH", facts.get("WITH", ()), tables),
        ("FILE", wildcards, [*WILDCARDS, *(["view"] if facts.get("VIEWS") else [])]),
        ("AT_LEAST", facts.get("AT_LEAST", ()), [*WILDCARDS.values(), *OTHER_AXES]),
        ("DATASETS", [facts.get("DATASETS", "all")], DATASETS),
        ("SEEDS", [facts.get("SEEDS", "first")], ["first"]),
    ):
        if wrong := [word for word in found if word not in known]:
            path, expected = plugins.PACKAGE / kind / f"{name}.py", ", ".join(known)
            raise plugins.PluginError(f"{path}: {literal}: found {wrong[0]}, expected some of {expected}")
    return facts


@cache
def axes(study):
    """Return what a study ranges over: {axis: names, or for `cycles` their number}."""
    keys = ("datasets", "learners", "initial_pools", "strategies", "seeds")
    found = {key: list(study[key]) for key in keys}
    tasks = {task: study["pretext"][task] for task in chains.used_tasks(study)}
    found["clusterings"] = [task for task, entry in tasks.items() if "clusters" in entry["facts"]["GIVES"]]
    found["embeddings"] = list(dict.fromkeys(filter(None, map(_with_features(tasks), study["initial_pools"].values()))))
    found["references"] = list(filter(None, [compared_by(study)["reference"]]))
    # Those that class probabilities are predicted for, and kept.
    found["predicting"] = [
        s for s in study["strategies"] if study["keep"] and "probs" in chains.plain_outputs(study, s)
    ]
    found["guessing"] = chains.learners(study, pseudo_labels=True)
    found["passive"] = [chains.PASSIVE] if study["passive"] else []
    return found | {"cycles": study["cycles"]}


def _with_features(tasks):
    def task_of(entry):
        """Return the task by whose features an initial pool lies somewhere: its own, or what that builds on."""
        task = entry["pretext"]
        while task and "features" not in tasks[task]["facts"]["GIVES"]:
            task = tasks[task]["of"]
        return task

    return task_of


@cache
def axes_of(study, kind, name, **names):
    """Return the axes of a study that a table or a figure of some names sees."""
    facts = plugins.literals(kind, name)
    used = {axis for need in all_needs(facts) for axis in AXES.get(need, ())}
    found = {axis: values for axis, values in ranges_of(study, facts).items() if axis in used}
    if facts.get("SEEDS") == "first" and "seeds" in found:
        found["seeds"] = found["seeds"][:1]
    if "probs" in facts["NEEDS"]:
        found["strategies"] = axes(study)["predicting"]
    if "labeled" in facts["NEEDS"] and not study["cycles"]:  # the initial pools: the same for every learner
        found["learners"], found["strategies"] = found["learners"][:1], [""]
    fixed = {WILDCARDS[wildcard]: [value] for wildcard, value in names.items() if wildcard in WILDCARDS}
    return found | {axis: values for axis, values in fixed.items() if axis in found}


def all_needs(facts):
    """Yield what a table or a figure reads, and what the tables that it reads are made of."""
    for need in facts["NEEDS"]:
        yield need
        if need not in FILES:
            yield from all_needs(plugins.literals("tables", need.removesuffix(".csv")))


def ranges_of(study, facts):
    """Return the axes of a study with those of its data sets that a table or a figure is of."""
    among = DATASETS[facts.get("DATASETS", "all")]
    return axes(study) | {"datasets": [name for name, entry in study["datasets"].items() if among(entry)]}


@cache
def enough(study, kind, name):
    """Return whether a study has enough for a table or a figure, and for the tables that it is made of."""
    facts = literals(kind, name)
    ranges = ranges_of(study, facts)
    sizes = {axis: values if axis == "cycles" else len(values) for axis, values in ranges.items()}
    least = {"datasets": 1} | facts.get("AT_LEAST", {})
    tables = [need.removesuffix(".csv") for need in facts["NEEDS"] if need not in FILES]
    return all(sizes[axis] >= count for axis, count in least.items()) and all(
        enough(study, "tables", table) for table in tables
    )


@cache
def wanted(study, kind):
    """Return the tables or figures that a study has: {path without ending: (plugin, what it is of)}."""
    found = {}
    for name in plugins.names(kind):
        facts = literals(kind, name)
        pattern, ranges = facts.get("FILE", name), ranges_of(study, facts)
        if not enough(study, kind, name):
            continue
        values = {"view": facts.get("VIEWS", ())} | {key: ranges[axis] for key, axis in WILDCARDS.items()}
        of = [key for key in values if f"{{{key}}}" in pattern]
        for combination in itertools.product(*(values[key] for key in of)):
            names = dict(zip(of, combination, strict=True))
            path = pattern.format(**names)
            if path in found:
                raise plugins.PluginError(
                    f"{kind}: {found[path][0]} and {name} both make {path}; FILE must tell them apart"
                )
            found[path] = (name, names)
    return found


def inputs(study, kind, path):
    """Return the files that a table or a figure is made of."""
    name, names = wanted(study, kind)[path]
    found = axes_of(study, kind, name, **names)
    files = [
        file
        for need in [*plugins.literals(kind, name)["NEEDS"], *beside(study, kind, name)]
        for file in (FILES[need](study, found) if need in FILES else [need])
    ]
    return [f"<results>/{file}" for file in dict.fromkeys(files)]


def beside(study, kind, name):
    """Return the tables that a table or a figure reads where the study has them, by its literal WITH."""
    asked = literals(kind, name).get("WITH", ())
    return [table for table in asked if enough(study, "tables", table.removesuffix(".csv"))]


def settings(study, kind, path):
    """Return the settings of the job that makes a table or a figure."""
    name, names = wanted(study, kind)[path]
    facts = plugins.literals(kind, name)
    known = study["figures"] | compared_by(study)
    ranges = axes_of(study, kind, name, **names)
    more = {"settings": {key: value for key, value in known.items() if key in plugins.parameters(kind, name)}}
    if kind == "figures" and not facts.get("PIXELS"):
        more["dpi"] = study["figures"]["dpi"]
    if "initial_pools" in facts["NEEDS"]:
        more["first_learner"] = next(iter(study["learners"]))
    if with_ := beside(study, kind, name):
        more["with"] = with_
    if {"metrics", "probs"} & {*facts["NEEDS"]}:
        more["variants"] = {s: chains.variant(study, f"/{s}") for s in ranges["strategies"]}
    return block(plugin=name, names=names, axes=ranges, **more)


REFERENCES = (
    ("reference", "strategies", "random"),
    ("reference_pool", "initial_pools", "random"),
    ("reference_learner", "learners", "supervised"),
)


def compared_by(study):
    """Return the study's `statistics`, with the names of what others are compared with; "" where it has none."""
    found = dict(study["statistics"])
    for key, axis, usual in REFERENCES:
        plain = [
            name
            for name, entry in study[axis].items()
            if entry["plugin"] == usual and not entry.get("variant") and not entry.get("start")
        ]
        found[key] = found[key] or next(iter(plain), "")
    return found | {"metric": study["figures"]["metric"]}


def of_all_chains(study):
    """Return the axes of a study with all its chains, and the kind of network of each strategy, `variants`."""
    return axes(study) | {
        "variants": {strategy: chains.variant(study, f"/{strategy}") for strategy in study["strategies"]}
    }


def report_settings(study, config):
    """Return the settings of the job that makes the report; where data lie is no part of the study."""
    return block(settings=compared_by(study), study={key: value for key, value in config.items() if key != "data_root"})


def report_code():
    """Return the digest of the report: its code, and what its page is made of."""
    parts = sorted(path for path in (plugins.PACKAGE / "reporting").glob("page.*") if path.suffix != ".py")
    content = b"".join(path.read_bytes() for path in parts)
    return hashlib.sha256(code("study_report").encode() + content).hexdigest()[:16]


def plugin_code(study, kind, path):
    """Return the digest of the job that makes a table or a figure."""
    return code(plugins.KINDS[kind][0], (kind, wanted(study, kind)[path][0]))


def _pools(study, found):
    return [
        *(paths.dataset(dataset) for dataset in found["datasets"]),
        *(paths.pool(dataset, seed) for dataset in found["datasets"] for seed in found["seeds"]),
    ]


def _initial_pools(study, found):
    learner = next(iter(study["learners"]))
    return [
        f"{paths.cycle(dataset, learner, pool, seed, 0)}/labeled.h5"
        for dataset, pool, seed in itertools.product(found["datasets"], found["initial_pools"], found["seeds"])
    ]


def _cycles(study, found, cycles, file):
    combinations = itertools.product(
        *(found[axis] for axis in ("datasets", "learners", "initial_pools", "strategies", "seeds")), cycles
    )
    for dataset, learner, pool, strategy, seed, cycle in combinations:
        # The labelled set of cycle 0 is the initial pool's, whatever the kind of network.
        first = chains.first_chain(study, pool, strategy) if strategy and file != "labeled.h5" else pool
        yield f"{paths.cycle(dataset, learner, f'{pool}/{strategy}' if cycle else first, seed, cycle)}/{file}"


def _passive(study, found):
    for dataset, learner, seed in itertools.product(found["datasets"], found["learners"], found["seeds"]):
        yield f"{paths.cycle(dataset, learner, chains.PASSIVE, seed, 0)}/metrics.json"


def _probs(study, found):
    return _cycles(study, found, range(found["cycles"]), "probs.h5")


def _tasks(axis, file):
    def files(study, found):
        for dataset, task, seed in itertools.product(found["datasets"], found[axis], found["seeds"]):
            yield f"{paths.pretext(dataset, task, seed)}/{file}"

    return files


FILES = {
    "pools": _pools,
    "initial_pools": _initial_pools,
    "labeled": lambda study, found: _cycles(study, found, [found["cycles"]], "labeled.h5"),
    "metrics": lambda study, found: _cycles(study, found, range(found["cycles"] + 1), "metrics.json"),
    "probs": _probs,
    "passive": _passive,
    "clusters": _tasks("clusterings", "clusters.h5"),
    "embeddings": _tasks("embeddings", "tsne.h5"),
}


def initial_sets(study, names):
    """Return the labelled sets of cycle 0 of all initial pools, for a data set and seed."""
    found = {"datasets": [names.dataset], "initial_pools": list(study["initial_pools"]), "seeds": [names.seed]}
    return [f"<results>/{file}" for file in _initial_pools(study, found)]


def to_label(study):
    """Return the files that say what to label next: the table, and sheets of the images; [] where none has a name."""
    sheet = "to_label" if study["cycles"] else "contact_sheet"
    named = [name for name, entry in study["datasets"].items() if DATASETS["named"](entry)]
    figures = wanted(study, "figures").items()
    sheets = [path for path, (name, of) in figures if name == sheet and of["dataset"] in named]
    tables = [f"<results>/{path}.csv" for path in wanted(study, "tables") if path == "to_label"]
    return [*tables, *(f"<results>/figures/{path}.png" for path in sheets)]
