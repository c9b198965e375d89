"""A study's config: its defaults filled in, its mistakes named one a line.

Imported by the Snakefile, so it imports nothing heavy.
"""

import re
from difflib import get_close_matches
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator

from poolflow.study import plugins
from poolflow.study.counts import pool_size

WORKFLOW = Path(__file__).parents[2]
SCHEMA = WORKFLOW / "schemas" / "config.schema.yaml"
RECIPES = WORKFLOW / "recipes"
# What an entry of a kind may set for itself of a block of the study,
OWN = {"datasets": "pool", "networks": "training"}
# and what entries may have beside the parameters.
BESIDE = {"initial_pools": ["pretext"], "strategies": ["pretext"], "pretext": ["recipe", "network", "of"]}
WORDS = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "boolean": "true or false",
    "array": "a list",
    "object": "keys and values",
}


class ConfigError(Exception):
    """All mistakes of a config, one a line."""


def load_schema():
    """Return the schema of a study's config."""
    return yaml.safe_load(SCHEMA.read_text())


def recipes():
    """Return the named presets of `training`: {name: its keys}."""
    return {path.stem: yaml.safe_load(path.read_text()) for path in sorted(RECIPES.glob("*.yaml"))}


def check(config):
    """Return the config with all defaults filled in and its plugins resolved.

    `datasets`, `learners`, `initial_pools`, `strategies` and `pretext` become mappings from a name to {the plugin's
    name under `plugin`, its `parameters`, for a data set also its `pool`, for a learner its `training`, for an initial
    pool and a strategy the `pretext` task or None, for that its `network` and what it builds on, `of`}.

    Raises
    ------
    ConfigError
        With one line for each mistake: the key, what was found, what is expected.
    """
    schema = load_schema()
    problems = schema_problems(config, schema)
    # The other keys are looked at all the same, so that one run names every mistake.
    wrong = {problem.split(":")[0].split(".")[0] for problem in problems}
    config = {key: value for key, value in config.items() if key not in wrong}
    config["training"] = with_recipe("training", config.get("training", {}), problems)
    study = with_defaults(config, schema)
    try:
        for key, rule in schema["properties"].items():
            if rule.get("plugins") == "pretext":
                study[key] = resolve_pretext(study, schema, problems)
            elif "plugins" in rule:
                study[key] = resolve(key, rule["plugins"], study[key], study, schema, problems)
        if not problems:
            check_pretext(study, problems)
            check_training(study, problems)
            check_data(study, problems)
    except plugins.PluginError as error:
        problems.append(str(error))
    if problems:
        raise ConfigError("\n".join(problems))
    return study


def schema_problems(config, schema, prefix=()):
    """Return one line for each place where `config` does not fit the JSON schema."""
    problems = []
    for error in sorted(Draft202012Validator(schema).iter_errors(config), key=lambda error: list(map(str, error.path))):
        key = ".".join([*prefix, *map(str, error.path)])
        if error.validator == "additionalProperties":
            known = error.schema["properties"]
            for name in sorted(set(error.instance) - set(known), key=str):
                problems.append(unknown(f"{key}.{name}" if key else str(name), "key", name, known))
        else:
            problems.append(f"{key or 'config'}: found {show(error.instance)}, expected {expectation(error)}")
    return list(dict.fromkeys(problems))


def expectation(error):
    """Return in words what a failed JSON-schema rule allows."""
    rule, value = error.schema, error.validator_value
    if "expected" in rule:
        return rule["expected"]
    if error.validator == "enum":
        return "one of " + ", ".join(value)
    if error.validator == "uniqueItems":
        return "each entry once"
    if error.validator == "minItems":
        return f"at least {value} entry"
    bounds = {
        "minimum": "at least {}",
        "exclusiveMinimum": "more than {}",
        "maximum": "at most {}",
        "exclusiveMaximum": "less than {}",
    }
    words = [WORDS[rule["type"]], *(text.format(rule[bound]) for bound, text in bounds.items() if bound in rule)]
    hint = " (YAML reads it as text; write 0.001 or 1.0e-3)" if re.fullmatch(r"\d+e-?\d+", str(error.instance)) else ""
    return ", ".join(words) + hint


def with_defaults(config, schema):
    """Return `config` with the defaults of every missing key, in the schema's order."""
    filled = {}
    for key, rule in schema["properties"].items():
        value = config.get(key, rule["default"])
        if "properties" in rule:
            value = with_defaults(value, rule)
        elif rule.get("type") == "integer":
            value = int(value)  # JSON schema counts 3.0 as an integer
        filled[key] = value
    return filled


def resolve(key, kind, entries, study, schema, problems):
    """Return {name: {plugin, parameters, ...}} for the entries of a key of the study, adding to `problems`."""
    if isinstance(entries, list) and entries:
        if not all(isinstance(name, str) for name in entries) or len(set(entries)) < len(entries):
            problems.append(f"{key}: found {show(entries)}, expected each name once, or a mapping of names")
            return {}
        entries = dict.fromkeys(entries)
    if not isinstance(entries, dict) or not entries:
        problems.append(f"{key}: found {show(entries)}, expected a list of names, or a mapping of names to settings")
        return {}
    resolved = {}
    name_rule = schema["properties"]["study"]
    for name, settings in entries.items():
        where, settings = f"{key}.{name}", {} if settings is None else settings
        wrong_name = list(Draft202012Validator(name_rule).iter_errors(name))
        if wrong_name or not isinstance(settings, dict):
            found, expected = (name, name_rule["expected"]) if wrong_name else (settings, "keys and values")
            problems.append(f"{where}: found {show(found)}, expected {expected}")
            continue
        settings = dict(settings)
        word = plugins.KINDS[kind][0]
        plugin = settings.pop(word, name)
        if plugin not in plugins.names(kind):
            place = f"{where}.{word}" if plugin != name else key
            problems.append(unknown(place, word.replace("_", " "), plugin, plugins.names(kind)))
            continue
        entry = {"plugin": plugin}
        if kind in OWN:
            block = OWN[kind]
            entry[block] = overridden(where, block, study[block], settings.pop(block, {}), schema, problems)
        facts = plugins.literals(kind, plugin)
        if kind in ("initial_pools", "strategies"):
            entry["pretext"] = settings.pop("pretext", facts.get("PRETEXT"))
        if kind == "pretext":
            if recipe := settings.pop("recipe", None):
                settings = with_preset(f"{where}.recipe", plugin, recipe, settings, problems)
            entry["of"] = settings.pop("of", facts.get("OF"))
            entry["network"] = None
            if facts.get("NETWORK") and "model" not in facts.get("BASE", ()):
                entry["network"] = resolve_network(f"{where}.network", settings.pop("network", None), study, problems)
        check_parameters(where, kind, plugin, word, settings, problems)
        resolved[name] = entry | {"parameters": settings}
    return resolved


def resolve_pretext(study, schema, problems):
    """Return the entries of the pretext tasks that the study describes, and of those that something in it names."""
    given, known = study["pretext"], plugins.names("pretext")
    if not isinstance(given, dict):
        problems.append(f"pretext: found {show(given)}, expected a mapping of names to settings")
        return {}
    entries, todo = {}, [("pretext", name) for name in given]
    for key in ("initial_pools", "strategies"):
        todo += [(f"{key}.{name}.pretext", entry["pretext"]) for name, entry in study[key].items() if entry["pretext"]]
    for where, name in todo:  # grows as tasks name what they build on
        if name in entries:
            continue
        if name not in given and name not in known:
            problems.append(unknown(where, "pretext task", name, [*given, *known]))
            continue
        entries[name] = given.get(name)
        settings = entries[name] if isinstance(entries[name], dict) else {}
        task = settings.get("task", name)
        base = settings.get("of", plugins.literals("pretext", task).get("OF") if task in known else None)
        todo += [(f"pretext.{name}.of", base)] if base else []
    return resolve("pretext", "pretext", entries, study, schema, problems) if entries else {}


def resolve_network(where, value, study, problems):
    """Return {network, parameters} of a name, or of a mapping with the key `network`; the first learner's for None."""
    if value is None:
        first = next(iter(study["learners"].values()), None)
        return first and {"network": first["plugin"], "parameters": first["parameters"]}
    settings = dict(value) if isinstance(value, dict) else {"network": value}
    plugin = settings.pop("network", None)
    if plugin not in plugins.names("networks"):
        problems.append(unknown(where, "network", plugin, plugins.names("networks")))
        return None
    check_parameters(where, "networks", plugin, "network", settings, problems)
    return {"network": plugin, "parameters": settings}


def with_preset(where, task, name, settings, problems):
    """Return a pretext task's settings on top of those that a recipe has for it, adding to `problems`."""
    presets = {path.stem: yaml.safe_load(path.read_text()) for path in sorted((RECIPES / "pretext").glob("*.yaml"))}
    known = [preset for preset, tasks in presets.items() if task in tasks]
    if name not in known:
        problems.append(unknown(where, f"recipe of {task}", name, known))
        return settings
    return presets[name][task] | settings


def overridden(where, block, shared, own, schema, problems):
    """Return the settings of a block for an entry that has `own` ones beside the study's `shared`, or a recipe's."""
    rule = schema["properties"][block]
    wrong = schema_problems(own, rule, prefix=(where, block))
    problems += wrong
    if wrong:
        return shared
    base = {} if own.get("recipe") else shared
    return with_defaults(base | with_recipe(f"{where}.{block}", own, problems), rule)


def with_recipe(where, settings, problems):
    """Return training settings on top of those of the recipe that they name, adding to `problems`."""
    name = settings.get("recipe")
    if not name:
        return settings
    known = recipes()
    if name not in known:
        problems.append(unknown(f"{where}.recipe", "recipe", name, known))
        return settings
    return known[name] | settings


def check_parameters(where, kind, plugin, word, settings, problems):
    """Add a line for each of the settings that the plugin does not take, or not in that type."""
    known = plugins.parameters(kind, plugin)
    others = [word, *([OWN[kind]] if kind in OWN else []), *BESIDE.get(kind, [])]
    for name, (_, text, required) in known.items():
        if required and name not in settings:
            problems.append(f"{where}.{name}: found nothing, expected {text}")
    for name, value in settings.items():
        if name not in known:
            problems.append(unknown(f"{where}.{name}", f"parameter of {plugin}", name, [*known, *others]))
            continue
        types, text, _ = known[name]
        if not isinstance(value, types) or (isinstance(value, bool) and "bool" not in text and types is not object):
            problems.append(f"{where}.{name}: found {show(value)}, expected {text}")


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
        for name, strategy in study["strategies"].items():
            kind = plugins.literals("strategies", strategy["plugin"]).get("LEARNER")
            if kind == plugins.DROPOUT and "dropout" not in plugins.parameters("networks", entry["plugin"]):
                problems.append(
                    f"learners.{learner}: the strategy {name} needs a network with dropout, but {entry['plugin']} has "
                    "no parameter dropout"
                )
        augmented = [key for key in ("crop", "flip", "cutout", "randaugment") if training[key]]
        for name, dataset in study["datasets"].items():
            data = plugins.literals("datasets", dataset["plugin"])
            check_network(f"learners.{learner}", entry["plugin"], name, data, problems)
            if data.get("KIND") == "features" and augmented:
                problems.append(f"{where}.{augmented[0]}: augmentation needs images, but {name} is a table of features")
            if training["best_epoch"] and not dataset["pool"]["validation"]:
                problems.append(f"{where}.best_epoch: {name} has no validation split; write pool: {{validation: 0.1}}")


def check_pretext(study, problems):
    """Add a line for each pretext task that does not give what is asked of it, or does not fit network or data."""
    tasks = study["pretext"]
    facts = {name: plugins.literals("pretext", entry["plugin"]) for name, entry in tasks.items()}
    gives = {name: {*fact["GIVES"], *fact.get("BASE", ())} - {"model"} for name, fact in facts.items()}
    for key in ("initial_pools", "strategies"):
        for name, entry in study[key].items():
            where, task = f"{key}.{name}.pretext", entry["pretext"]
            taken = plugins.GIVES if key == "initial_pools" else {"features"}
            needs = sorted(taken.intersection(plugins.literals(key, entry["plugin"])["NEEDS"]))
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
            data = plugins.literals("datasets", settings["plugin"])
            kind, taken = data.get("KIND", "images"), facts[name].get("INPUTS", ("images",))
            if kind not in taken:
                problems.append(
                    f"pretext.{name}: {entry['plugin']} takes {' or '.join(taken)}, but {dataset} holds {kind}"
                )
            elif entry["network"]:
                check_network(f"pretext.{name}.network", entry["network"]["network"], dataset, data, problems)


def check_network(where, network, name, data, problems):
    """Add a line when a network does not take what a data set holds, or only larger images."""
    facts, kind = plugins.literals("networks", network), data.get("KIND", "images")
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
    """Add a line for each pool that is too small for what is asked of it, or images too small for a network."""
    total = study["initial_size"] + study["budget"] * study["cycles"]
    for name, dataset in study["datasets"].items():
        facts, pool = plugins.literals("datasets", dataset["plugin"]), dataset["pool"]
        classes = facts.get("CLASSES")
        if pool["known_classes"]:
            discovered = pool["known_classes"] + pool["novel_classes"]
            if classes and discovered > classes:
                problems.append(
                    f"pool.known_classes: found {pool['known_classes']} known + {pool['novel_classes']} novel classes, "
                    f"expected at most the {classes} of {name}"
                )
            classes = discovered
        known = "SIZE" in facts and ("CLASSES" in facts or pool["imbalance"] == 1)
        if known and total > (size := pool_size(facts["SIZE"], classes or 1, pool)):
            problems.append(
                f"budget: found initial_size {study['initial_size']} + budget {study['budget']} x cycles "
                f"{study['cycles']} = {total} labels, expected at most the {size} images in the pool of {name}"
            )
        for initial_pool, settings in study["initial_pools"].items():
            check_given(study, name, initial_pool, settings, problems)


def check_given(study, name, initial_pool, settings, problems):
    """Add a line when an initial pool asks for given labels and a data set has none, or asks for no image."""
    pool, dataset = study["datasets"][name]["pool"], study["datasets"][name]["plugin"]
    own = "LOCAL" in plugins.literals("datasets", dataset)
    needs = plugins.literals("initial_pools", settings["plugin"])["NEEDS"]
    if "given" not in needs and not study["initial_size"]:
        problems.append(f"initial_size: found 0, expected at least 1 for the initial pool {initial_pool}")
    if "given" in needs and not (pool["start"] or pool["known_classes"] or own):
        problems.append(
            f"initial_pools.{initial_pool}: no labels of {name} are given from the start; write pool: {{start: N}}"
        )


def unknown(where, what, name, known):
    """Return the line for a name that is not among the known ones, with the nearest of them."""
    close = get_close_matches(str(name), [str(k) for k in known], n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"{where}: found unknown {what} {show(name)}, expected one of {', '.join(sorted(map(str, known)))}{hint}"


def show(value):
    """Return a value as the user wrote it, shortened."""
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
