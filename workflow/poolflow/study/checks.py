"""What settings of a study do not go together, named one a line."""

from poolflow.study import plugins
from poolflow.study.bounds import refusal
from poolflow.study.counts import pool_size


def together(study, problems):
    """Add to `problems` a line for each setting that does not go with another one."""
    check_pretext(study, problems)
    check_training(study, problems)
    check_data(study, problems)
    check_statistics(study, problems)


def notes(study):
    """Return what a reader of the results must know and may not, one line each."""
    strategies = study["strategies"].items()
    controls = {entry["variant"] for _, entry in strategies if entry["plugin"] == "random"}
    lines = []
    for variant in sorted({entry["variant"] for _, entry in strategies} - controls - {""}):
        names = ", ".join(name for name, entry in strategies if entry["variant"] == variant)
        lines.append(
            f"strategies: {names} train another kind of network ({variant}) than the others, so a difference to them "
            f"is that of the network too; write controls: true for random on networks with {variant}"
        )
    return lines


def check_statistics(study, problems):
    """Add a line for each name, number of labels or limit that the tables and figures cannot be made with."""
    asked = study["statistics"]
    for key, axis in (
        ("reference", "strategies"),
        ("reference_pool", "initial_pools"),
        ("reference_learner", "learners"),
    ):
        if asked[key] and asked[key] not in study[axis]:
            problems.append(f"statistics.{key}: found {asked[key]}, expected one of {', '.join(study[axis])}")
    least, most = study["initial_size"], study["initial_size"] + study["budget"] * study["cycles"]
    for count in asked["budgets"] if least else ():
        if not least <= count <= most:
            problems.append(f"statistics.budgets: found {count}, expected {least} to {most} labels, as the cycles have")
    metric, limits = study["figures"]["metric"], study["figures"]["limits"]
    for target in asked["targets"] if metric.endswith("accuracy") else ():
        if not 0 < target <= 1:
            problems.append(f"statistics.targets: found {target}, expected fractions, such as 0.95 for 95 %")
    if limits and not (len(limits) == 2 and limits[0] < limits[1]):
        problems.append(f"figures.limits: found {limits}, expected two numbers, the smaller one first")


def check_training(study, problems):
    """Add a line for each learner whose settings do not go together, or not with a strategy or a data set."""
    for learner, entry in study["learners"].items():
        training, where = entry["training"], f"learners.{learner}.training"
        if training["schedule"] == "step" and not training["schedule_epochs"]:
            problems.append(
                f"{where}.schedule_epochs: found 0, expected the epochs between two steps of schedule: step"
            )
        if training["optimizer"] == "sgd" and training["nesterov"] and not training["momentum"]:
            problems.append(f"{where}.nesterov: found True with momentum 0, expected a momentum")
        if training["patience"] and not training["best_epoch"]:
            problems.append(f"{where}.patience: found {training['patience']}, expected best_epoch: true beside it")
        mixed = [key for key, neutral in (("shrink", 1), ("perturb", 0)) if training[key] != neutral]
        if mixed and not training["warm_start"]:
            problems.append(f"{where}.{mixed[0]}: found {training[mixed[0]]}, expected warm_start: true beside it")
        if training["freeze"] and not entry["start"]:
            problems.append(
                f"{where}.freeze: found true, expected a pretext task to start from: learners.{learner}.start"
            )
        check_start(study, learner, problems)
        check_features(study, learner, problems)
        for name, strategy in study["strategies"].items():
            variant = strategy["variant"]
            asked = plugins.literals("variants", variant).get("NETWORK", {}) if variant else {}
            network = entry["network"]["network"]
            for parameter in sorted(set(asked) - set(plugins.parameters("networks", network))):
                problems.append(
                    f"learners.{learner}: the strategy {name} needs a network with {variant}, but {network} has no "
                    f"parameter {parameter}"
                )
            if variant in entry["facts"].get("NOT_WITH", ()):
                problems.append(
                    f"learners.{learner}: the strategy {name} needs a network with {variant}, which {entry['plugin']} "
                    "does not go with"
                )
        augmented = [key for key in ("crop", "flip", "resized_crop", "cutout", "randaugment") if training[key]]
        for name, dataset in study["datasets"].items():
            data = dataset["facts"] | ({"KIND": "features"} if entry["features"] else {})
            check_network(f"learners.{learner}", entry["network"], name, data, problems)
            if data.get("KIND", "images") not in entry["facts"].get("INPUTS", ("images", "features")):
                problems.append(f"learners.{learner}: {entry['plugin']} takes images, but {source(entry, name)}")
            for strategy, of in study["strategies"].items():
                if data.get("KIND", "images") not in of["facts"].get("INPUTS", ("images", "features")):
                    line = f"strategies.{strategy}: {of['plugin']} takes images, but {source(entry, name)}"
                    problems += [line] if line not in problems else []
            if data.get("KIND") == "features" and augmented:
                problems.append(f"{where}.{augmented[0]}: augmentation needs images, but {source(entry, name)}")
            if training["best_epoch"] and not dataset["pool"]["validation"]:
                problems.append(f"{where}.best_epoch: {name} has no validation split; write pool: {{validation: 0.1}}")


def check_start(study, learner, problems):
    """Add a line where a learner starts from a pretext task that trains no network, or another one."""
    entry = study["learners"][learner]
    task = study["pretext"].get(entry["start"])
    if not task:
        return
    where, network = f"learners.{learner}.start", entry["network"]
    if not task["facts"].get("NETWORK"):
        known = [name for name in plugins.names("pretext") if plugins.literals("pretext", name).get("NETWORK")]
        problems.append(f"{where}: {entry['start']} trains no network of the study; write one of {', '.join(known)}")
        return
    while task["network"] is None and task["of"]:
        task = study["pretext"][task["of"]]
    trained = task["network"]
    if trained and any(trained[key] != network[key] for key in ("network", "parameters")):
        problems.append(
            f"{where}: {entry['start']} trains {trained['network']} {trained['parameters']}, but the learner's network "
            f"is {network['network']} {network['parameters']}; write pretext: {{{entry['start']}: {{network: ...}}}}"
        )


def source(learner, dataset):
    """Return in words where a learner's features come from."""
    return (
        f"it learns from features of {learner['features']}"
        if learner["features"]
        else f"{dataset} is a table of features"
    )


def check_features(study, learner, problems):
    """Add a line where a learner learns from features of a pretext task that embeds no data set."""
    entry = study["learners"][learner]
    task = study["pretext"].get(entry["features"])
    if not task:
        return
    where = f"learners.{learner}.features"
    if not plugins.defines("pretext", task["plugin"], "embed"):
        known = [name for name in plugins.names("pretext") if plugins.defines("pretext", name, "embed")]
        problems.append(
            f"{where}: {entry['features']} gives features of the pool alone, and none of the test images; write a task "
            f"such as {', '.join(known)}"
        )
    elif entry["start"]:
        problems.append(f"{where}: found {entry['features']} beside start: {entry['start']}; write one of the two")


def check_pretext(study, problems):
    """Add a line for each pretext task that does not give what is asked of it, or does not fit network or data."""
    tasks = study["pretext"]
    facts = {name: entry["facts"] for name, entry in tasks.items()}
    gives = {name: {*fact["GIVES"], *fact.get("BASE", ())} - {"model"} for name, fact in facts.items()}
    for key in ("initial_pools", "strategies"):
        for name, entry in study[key].items():
            where, task = f"{key}.{name}.pretext", entry["pretext"]
            taken = plugins.GIVES if key == "initial_pools" else {"features"}
            needs = sorted(taken.intersection(entry["facts"]["NEEDS"]))
            if task and not needs:
                problems.append(f"{where}: found {task}, but {entry['plugin']} takes nothing of a pretext task")
            elif task and not gives[task].issuperset(needs):
                found = " and ".join(sorted(gives[task]))
                problems.append(f"{where}: {task} gives {found}, but {entry['plugin']} needs {' and '.join(needs)}")
            elif needs and not task and key == "initial_pools":
                known = [
                    task for task in plugins.names("pretext") if needs[0] in plugins.literals("pretext", task)["GIVES"]
                ]
                expected = f"expected a task that gives {' and '.join(needs)}, such as {', '.join(known)}"
                problems.append(f"{where}: found nothing, {expected}")
    for name, entry in tasks.items():
        chain, base = [name], entry["of"]
        if base and not facts[name].get("BASE"):
            problems.append(f"pretext.{name}.of: found {base}, but {entry['plugin']} builds on no other task")
            continue
        while base and base not in chain:
            chain.append(base)
            base = tasks[base]["of"]
        if base:
            if base == name == min(chain):  # named once, not for each task in it
                problems.append(f"pretext.{name}.of: found a circle, {' of '.join([*chain, base])}")
            continue
        base, wanted = entry["of"], facts[name].get("BASE", ())
        if "features" in wanted and "features" not in gives[base]:
            problems.append(f"pretext.{name}.of: found {base}, expected a task that gives features")
        if "model" in wanted:
            if not facts[base].get("NETWORK"):
                problems.append(
                    f"pretext.{name}.of: found {base}, expected a task that trains the network of the study"
                )
            entry["network"] = tasks[chain[-1]]["network"]
        for dataset, settings in study["datasets"].items():
            data = settings["facts"]
            kind, taken = data.get("KIND", "images"), facts[name].get("INPUTS", ("images",))
            if kind not in taken:
                problems.append(
                    f"pretext.{name}: {entry['plugin']} takes {' or '.join(taken)}, but {dataset} holds {kind}"
                )
            elif entry["network"]:
                check_network(f"pretext.{name}.network", entry["network"], dataset, data, problems)
            changed = [key for key in ("flips", "noise") if settings["pool"][key]]
            if changed and plugins.defines("pretext", entry["plugin"], "embed"):
                problems.append(
                    f"pretext.{name}: {entry['plugin']} embeds the images as they are, but those of {dataset} are "
                    f"changed by pool.{changed[0]}"
                )


def check_network(where, entry, name, data, problems):
    """Add a line when a network does not take what a data set holds, or only larger images."""
    network, facts, kind = entry["network"], entry["facts"], data.get("KIND", "images")
    if kind not in (taken := facts.get("INPUTS", ("images",))):
        problems.append(f"{where}: {network} takes {' or '.join(taken)}, but {name} holds {kind}")
    least = facts.get("MIN_SIDE", 1)
    if "SHAPE" in data and min(data["SHAPE"][:2]) < least:
        height, width, _ = data["SHAPE"]
        problems.append(
            f"{where}: found images of {height} x {width} in {name}, expected at least {least} x {least} for the "
            f"network {network}"
        )


def check_data(study, problems):
    """Add a line for each pool that is too small for what is asked of it."""
    total = study["initial_size"] + study["budget"] * study["cycles"]
    for name, dataset in study["datasets"].items():
        pool, classes = dataset["pool"], dataset["facts"].get("CLASSES")
        discovered = pool["known_classes"] + pool["novel_classes"]
        if pool["known_classes"] and classes and discovered > classes:
            problems.append(
                f"pool.known_classes: found {pool['known_classes']} known + {pool['novel_classes']} novel classes, "
                f"expected at most the {classes} of {name}"
            )
        if pool["novel_classes"] and not pool["known_classes"]:
            problems.append(
                f"datasets.{name}.pool.novel_classes: found {pool['novel_classes']}, expected known_classes beside it"
            )
        size = quantities(study, name)["pool"]
        if size is not None and total > size:
            problems.append(
                f"budget: found initial_size {study['initial_size']} + budget {study['budget']} x cycles "
                f"{study['cycles']} = {total} labels, expected at most the {size} images in the pool of {name}"
            )
        for initial_pool, settings in study["initial_pools"].items():
            check_given(study, name, initial_pool, settings, problems)


def quantities(study, name):
    """Return what bounds may name, of a data set: budget, initial_size, and classes and pool, None where not known."""
    facts, pool = study["datasets"][name]["facts"], study["datasets"][name]["pool"]
    classes = facts.get("CLASSES")
    if pool["known_classes"]:
        classes = pool["known_classes"] + pool["novel_classes"]
    known = "SIZE" in facts and ("CLASSES" in facts or pool["imbalance"] == 1)
    size = pool_size(facts["SIZE"], classes or 1, pool) if known else None
    # initial_size: 0 stands for all that have a label, however many these are
    return {"budget": study["budget"], "initial_size": study["initial_size"] or None, "classes": classes, "pool": size}


def check_bounds(study, wrong, problems):
    """Add a line for each parameter of a plugin, set or left at its default, that is not what the plugin accepts.

    What bounds say of a key of the study that is itself `wrong`, they do not.
    """
    found = [quantities(study, name) for name in study["datasets"]] or [{}]
    found = [{key: None if key in wrong else value for key, value in known.items()} for known in found]
    for where, kind, plugin, parameters, functions in parametrised(study):
        bounds = plugins.literals(kind, plugin).get("BOUNDS", {})
        values = {}
        for function in functions:
            values |= plugins.defaults(kind, plugin, function)
        for name, value in (values | parameters).items():
            words = next(filter(None, (refusal(bounds.get(name), value, known) for known in found)), None)
            if words:
                default = "" if name in parameters else ", the default"
                problems.append(f"{where}.{name}: found {value!r}{default}, expected {words}")


def parametrised(study):
    """Yield (key, kind, plugin, its parameters, its functions that the study calls) for all plugins of a study."""
    for key in ("datasets", "learners", "initial_pools", "strategies"):
        for name, entry in study[key].items():
            yield f"{key}.{name}", key, entry["plugin"], entry["parameters"], plugins.KINDS[key][1]
    for name, entry in study["pretext"].items():
        functions = {"build", "train", *outputs_used(study, name)}
        yield f"pretext.{name}", "pretext", entry["plugin"], entry["parameters"], functions
    networks = {
        id(entry["network"]): (f"learners.{name}", entry["network"]) for name, entry in study["learners"].items()
    }
    for name, entry in study["pretext"].items():  # mostly that of the first learner
        networks.setdefault(id(entry["network"]), (f"pretext.{name}.network", entry["network"]))
    for where, network in networks.values():
        if network:
            yield where, "networks", network["network"], network["parameters"], ["__init__"]


def outputs_used(study, task):
    """Return the outputs of a pretext task that an initial pool, a strategy or another task uses."""
    used = set()
    for key in ("initial_pools", "strategies"):
        for entry in study[key].values():
            if entry["pretext"] == task:
                used |= plugins.GIVES.intersection(entry["facts"]["NEEDS"])
    for entry in study["pretext"].values():
        if entry["of"] == task:
            used |= {"features"}.intersection(entry["facts"].get("BASE", ()))
    return used


def check_given(study, name, initial_pool, settings, problems):
    """Add a line when an initial pool asks for given labels and a data set has none, or asks for no image."""
    pool, own = study["datasets"][name]["pool"], "LOCAL" in study["datasets"][name]["facts"]
    needs = settings["facts"]["NEEDS"]
    if "given" not in needs and not study["initial_size"]:
        problems.append(f"initial_size: found 0, expected at least 1 for the initial pool {initial_pool}")
    if "given" in needs and not (pool["start"] or pool["known_classes"] or own):
        problems.append(
            f"initial_pools.{initial_pool}: no labels of {name} are given from the start; write pool: {{start: N}}"
        )
