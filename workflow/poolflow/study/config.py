"""A study's config: its defaults filled in, its mistakes named one a line.

Imported by the Snakefile, so it imports nothing heavy.
"""

import math
import re
from difflib import get_close_matches
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator
from jsonschema.validators import extend

from poolflow.study import chains, checks, plugins

WORKFLOW = Path(__file__).parents[2]
SCHEMA = WORKFLOW / "schemas" / "config.schema.yaml"
RECIPES = WORKFLOW / "recipes"
# What an entry of a key may have beside its plugin's name and parameters.
BESIDE = {
    "datasets": ["pool"],
    "learners": ["network", "training", "start", "features"],
    "initial_pools": ["pretext"],
    "strategies": ["pretext", "variant"],
    "pretext": ["recipe", "network", "of"],
}
WORDS = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "boolean": "true or false",
    "array": "a list",
    "object": "keys and values",
}


# Names that would meet what else lies in the same folder, by the key of the entries.
TAKEN = {
    "datasets": r"figures|logs|benchmarks|pretext|.*\.(csv|html|json)",
    "learners": r"pool|pools|pretext|dataset\.h5|source\.json",
    "strategies": r"seed\d+",
    "initial_pools": rf"seed\d+|{chains.PASSIVE}",
}


def finite(checker, value):
    """Return whether a value is a number other than NaN and the infinities, which YAML and jsonschema let through."""
    number = Draft202012Validator.TYPE_CHECKER.is_type(value, "number")
    return number and not (isinstance(value, float) and not math.isfinite(value))


Validator = extend(Draft202012Validator, type_checker=Draft202012Validator.TYPE_CHECKER.redefine("number", finite))


class ConfigError(Exception):
    """All mistakes of a config, one a line."""


def as_written(values):
    """Return what --config gave with the texts in lists and mappings read as YAML, as the rest is: seeds=[0,1]."""
    if isinstance(values, dict):
        return {key: as_written(value) for key, value in values.items()}
    if isinstance(values, list):
        return [yaml.safe_load(value) if isinstance(value, str) else as_written(value) for value in values]
    return values


def load_schema():
    """Return the schema of a study's config."""
    return yaml.safe_load(SCHEMA.read_text("utf-8"))


def recipes():
    """Return the named presets of `training`: {name: its keys}."""
    return {path.stem: yaml.safe_load(path.read_text("utf-8")) for path in sorted(RECIPES.glob("*.yaml"))}


class Study(dict):
    """A config with all defaults filled in and its plugins resolved; equal to itself alone, so that it can be a key.

    `datasets`, `learners`, `initial_pools`, `strategies` and `pretext` are mappings from a name to {the plugin's name
    under `plugin`, its literals under `facts`, its `parameters`, and: for a data set its `pool`; for a learner its
    `network` ({network, facts, parameters}), its `training`, the pretext task that this starts from, `start`, or None,
    and the one that embeds its images, `features`, or None; for an initial pool and a strategy the `pretext` task or
    None; for that its `network` or None and what it builds on, `of`; for a strategy also the `variant` of the
    network that its chain trains, "" for the plain one}.
    """

    __hash__ = object.__hash__
    __eq__ = object.__eq__


def check(config):
    """Return the `Study` of a config.

    Raises
    ------
    ConfigError
        With one line for each mistake: the key, what was found, what is expected.
    """
    schema = load_schema()
    given, problems = config, schema_problems(config, schema)
    # The other keys are looked at all the same, so that one run names every mistake.
    wrong = {problem.split(":")[0].split(".")[0] for problem in problems}
    config = {key: value for key, value in config.items() if key not in wrong}
    config["training"] = with_recipe("training", config.get("training", {}), problems)
    study = Study(with_defaults(config, schema))
    try:
        study["datasets"] = resolve("datasets", study, schema, problems)
        study["learners"] = resolve_learners(study, schema, problems)
        study["initial_pools"] = resolve("initial_pools", study, schema, problems)
        study["strategies"] = with_controls(study, resolve("strategies", study, schema, problems), problems)
        study["pretext"] = resolve_pretext(study, schema, problems)
        clean = not problems
        checks.check_bounds(study, wrong, problems)
        if clean:
            checks.together(study, problems)
    except plugins.PluginError as error:
        problems.append(str(error))
    named = {problem.partition(": ")[0] for problem in problems}
    problems += [problem for problem in meaningless(given) if problem.partition(": ")[0] not in named]
    if problems:
        raise ConfigError("\n".join(problems))
    return study


def schema_problems(config, schema, prefix=()):
    """Return one line for each place where `config` does not fit the JSON schema."""
    problems = []
    for error in sorted(Validator(schema).iter_errors(config), key=lambda error: list(map(str, error.path))):
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
    if rule.get("type") == "string" and isinstance(error.instance, bool | int | float):
        return f'text; write it in quotes, "{error.instance}"'
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
    lost = isinstance(error.instance, float) and not math.isfinite(error.instance)
    words = [
        "a finite number" if lost else WORDS[rule["type"]],
        *(text.format(rule[bound]) for bound, text in bounds.items() if bound in rule),
    ]
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
        elif rule.get("items", {}).get("type") == "integer":
            value = [int(item) for item in value]
        filled[key] = value
    return filled


def resolve(key, study, schema, problems):
    """Return {name: {plugin, facts, parameters, ...}} for the entries of a key of the study, adding to `problems`."""
    kind = schema["properties"][key]["plugins"]
    resolved = {}
    for name, settings in named(key, study[key], schema, problems):
        plugin = chosen(key, name, plugins.KINDS[kind][0], name, plugins.names(kind), settings, problems)
        if plugin is None:
            continue
        entry = {"plugin": plugin, "facts": plugins.literals(kind, plugin)}
        EXTRA[key](f"{key}.{name}", entry, settings, study, schema, problems)
        others = [plugins.KINDS[kind][0], *BESIDE[key]]
        entry["parameters"] = checked(f"{key}.{name}", kind, plugin, settings, others, problems)
        resolved[name] = entry
    return resolved


def named(key, entries, schema, problems):
    """Yield (name, its settings) of a list of names or a mapping, adding to `problems` what is neither."""
    if isinstance(entries, list) and entries:
        numbers = [name for name in entries if isinstance(name, bool | int | float)]
        if numbers:
            problems.append(f"{key}: found {show(numbers[0])}, expected {refused_name(key, numbers[0], schema)}")
            return
        if not all(isinstance(name, str) for name in entries) or len(set(entries)) < len(entries):
            problems.append(f"{key}: found {show(entries)}, expected each name once, or a mapping of names")
            return
        entries = dict.fromkeys(entries)
    if not isinstance(entries, dict) or not entries:
        problems.append(f"{key}: found {show(entries)}, expected a list of names, or a mapping of names to settings")
        return
    folded = {}
    for name, settings in entries.items():
        settings = {} if settings is None else settings
        expected = refused_name(key, name, schema)
        if expected or not isinstance(settings, dict):
            found, expected = (name, expected) if expected else (settings, "keys and values")
            problems.append(f"{key}.{' '.join(str(name).split())}: found {show(found)}, expected {expected}")
            continue
        if (other := folded.setdefault(name.lower(), name)) != name:
            problems.append(f"{key}.{name}: found {other} as well, expected names that differ by more than their case")
            continue
        yield name, {str(word): value for word, value in settings.items()}


def refused_name(key, name, schema):
    """Return in words what a name must be that is none, None where it is one."""
    rule = schema["properties"]["study"]
    if isinstance(name, bool | int | float):
        return f'text; write it in quotes, "{name}"'
    if list(Validator(rule).iter_errors(name)):
        return rule["expected"]
    if re.fullmatch(TAKEN.get(key, "(?!)"), name):
        return "another name: that one is taken in the folder of the results"
    return None


def meaningless(value, where=""):
    """Yield a line for each number that is none and each text with a character that is none, at any depth."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from meaningless(inner, f"{where}.{key}" if where else str(key))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from meaningless(inner, f"{where}.{place}")
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"{where}: found {value}, expected a finite number"
    elif isinstance(value, str) and (bad := re.search(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]", value)):
        yield f"{where}: found the character {bad[0]!a} in {show(value)}, expected text without it"


def text(where, key, settings, problems, default=None):
    """Take a name out of an entry's settings and return it; the default for none, or for what is no name."""
    value = settings.pop(key, None)
    if value is None or isinstance(value, str):
        return value or default
    problems.append(f"{where}.{key}: found {show(value)}, expected a name")
    return default


def chosen(key, name, word, default, known, settings, problems):
    """Take the plugin's name out of an entry's settings and return it; None where there is no such plugin."""
    plugin = settings.pop(word, default)
    if isinstance(plugin, str) and plugin in known:
        return plugin
    place = key if plugin == name else f"{key}.{name}.{word}"
    problems.append(unknown(place, word.replace("_", " "), plugin, known))
    return None


def of_dataset(where, entry, settings, study, schema, problems):
    """Add to a data set's entry its `pool`."""
    entry["pool"] = overridden(where, "pool", study["pool"], settings.pop("pool", {}), schema, problems)


def of_pretext_user(where, entry, settings, study, schema, problems):
    """Add to an initial pool's or a strategy's entry the `pretext` task whose outputs it uses, or None."""
    entry["pretext"] = text(where, "pretext", settings, problems, entry["facts"].get("PRETEXT"))


def of_task(where, entry, settings, study, schema, problems):
    """Add to a pretext task's entry what it builds `of` and its `network`, and to its settings those of its recipe."""
    if recipe := text(where, "recipe", settings, problems):
        settings |= with_preset(f"{where}.recipe", entry["plugin"], recipe, settings, problems)
    entry["of"] = text(where, "of", settings, problems, entry["facts"].get("OF"))
    entry["network"] = None
    if entry["facts"].get("NETWORK") and "model" not in entry["facts"].get("BASE", ()):
        entry["network"] = resolve_network(f"{where}.network", settings.pop("network", None), study, problems)


def of_strategy(where, entry, settings, study, schema, problems):
    """Add to a strategy's entry its `pretext` task and the `variant` of the network, that it needs or is given."""
    of_pretext_user(where, entry, settings, study, schema, problems)
    needed = plugins.variant(entry["plugin"])
    entry["variant"] = given = text(where, "variant", settings, problems) or needed
    if needed and given != needed:
        problems.append(f"{where}.variant: found {show(given)}, expected {needed}, which {entry['plugin']} needs")
    elif given and given not in plugins.names("variants"):
        problems.append(unknown(f"{where}.variant", "variant", given, plugins.names("variants")))
        entry["variant"] = ""


def with_controls(study, strategies, problems):
    """Return the strategies, and where the study has `controls`, `random` on each kind of network that they train."""
    found = dict(strategies)
    for variant in {entry["variant"]: None for entry in strategies.values()} if study["controls"] else ():
        if ("random", variant) not in [(entry["plugin"], entry["variant"]) for entry in strategies.values()]:
            name = "_".join(filter(None, ["random", variant]))
            if name in strategies:
                problems.append(
                    f"strategies.{name}: found {strategies[name]['plugin']}, expected that name to be free "
                    "for the control that controls: true adds; write another one"
                )
            facts = plugins.literals("strategies", "random")
            found[name] = {"plugin": "random", "facts": facts, "pretext": None, "variant": variant, "parameters": {}}
    return found


EXTRA = {
    "datasets": of_dataset,
    "initial_pools": of_pretext_user,
    "strategies": of_strategy,
    "pretext": of_task,
}


def resolve_learners(study, schema, problems):
    """Return {name: {plugin, facts, parameters, network, training, start, features}} for the learners of the study."""
    resolved = {}
    for name, settings in named("learners", study["learners"], schema, problems):
        where = f"learners.{name}"
        learner = chosen("learners", name, "learner", "supervised", plugins.names("learners"), settings, problems)
        own = settings.pop("network", name)
        own = dict(own) if isinstance(own, dict) else {"network": own}
        network = chosen("learners", name, "network", name, plugins.names("networks"), own, problems)
        training = overridden(where, "training", study["training"], settings.pop("training", {}), schema, problems)
        tasks = {key: text(where, key, settings, problems) for key in ("start", "features")}
        if learner is None or network is None:
            continue
        others = ["learner", *BESIDE["learners"], *plugins.parameters("networks", network)]
        of_learner = {key: settings.pop(key) for key in plugins.parameters("learners", learner) if key in settings}
        resolved[name] = {
            "plugin": learner,
            "facts": plugins.literals("learners", learner),
            "parameters": checked(where, "learners", learner, of_learner, others, problems),
            "network": network_entry(where, network, settings | own, problems),
            "training": training,
            **tasks,
        }
    return resolved


def network_entry(where, network, settings, problems):
    """Return {network, facts, parameters} of a network with the settings of its own."""
    others = ["learner", *BESIDE["learners"]] if where.startswith("learners.") else ["network"]
    parameters = checked(where, "networks", network, settings, others, problems)
    return {"network": network, "facts": plugins.literals("networks", network), "parameters": parameters}


def resolve_pretext(study, schema, problems):
    """Return the entries of the pretext tasks that the study describes, and of those that something in it names."""
    given, known = study["pretext"], plugins.names("pretext")
    if not isinstance(given, dict):
        problems.append(f"pretext: found {show(given)}, expected a mapping of names to settings")
        return {}
    entries, todo = {}, [("pretext", name) for name in given]
    for key in ("initial_pools", "strategies"):
        todo += [(f"{key}.{name}.pretext", entry["pretext"]) for name, entry in study[key].items() if entry["pretext"]]
    for key in ("start", "features"):
        todo += [(f"learners.{name}.{key}", entry[key]) for name, entry in study["learners"].items() if entry[key]]
    for where, name in todo:  # grows as tasks name what they build on
        if name in entries:
            continue
        if name not in given and name not in known:
            problems.append(unknown(where, "pretext task", name, [*given, *known]))
            continue
        entries[name] = given.get(name)
        settings = entries[name] if isinstance(entries[name], dict) else {}
        task = settings.get("task", name)
        default = plugins.literals("pretext", task).get("OF") if isinstance(task, str) and task in known else None
        base = settings.get("of") or default
        todo += [(f"pretext.{name}.of", base)] if isinstance(base, str) else []
    study = study | {"pretext": entries}
    return resolve("pretext", study, schema, problems) if entries else {}


def resolve_network(where, value, study, problems):
    """Return the entry of a network's name, or of a mapping with the key `network`; the first learner's for None."""
    if value is None:
        first = next(iter(study["learners"].values()), None)
        return first and first["network"]
    settings = dict(value) if isinstance(value, dict) else {"network": value}
    network = settings.pop("network", None)
    if not isinstance(network, str) or network not in plugins.names("networks"):
        problems.append(unknown(where, "network", network, plugins.names("networks")))
        return None
    return network_entry(where, network, settings, problems)


def with_preset(where, task, name, settings, problems):
    """Return a pretext task's settings on top of those that a recipe has for it, adding to `problems`."""
    presets = {
        path.stem: yaml.safe_load(path.read_text("utf-8")) for path in sorted((RECIPES / "pretext").glob("*.yaml"))
    }
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
    if not name or not isinstance(name, str):
        return settings
    known = recipes()
    if name not in known:
        problems.append(unknown(f"{where}.recipe", "recipe", name, known))
        return settings
    return known[name] | settings


def checked(where, kind, plugin, settings, others, problems):
    """Return the settings that a plugin takes, adding a line for each other one, and for each that it lacks."""
    known, taken = plugins.parameters(kind, plugin), {}
    for name, (_, words, required) in known.items():
        if required and name not in settings:
            problems.append(f"{where}.{name}: found nothing, expected {words}")
    for name, value in settings.items():
        if name not in known:
            problems.append(unknown(f"{where}.{name}", f"parameter of {plugin}", name, [*known, *others]))
            continue
        types, words, _ = known[name]
        if isinstance(value, float) and value.is_integer() and not isinstance(value, types):
            value = int(value)  # 3.0 counts as 3, as in the schema
        if not isinstance(value, types) or (isinstance(value, bool) and "bool" not in words and types is not object):
            problems.append(f"{where}.{name}: found {show(value)}, expected {words}")
            continue
        taken[name] = value
    return taken


def unknown(where, what, name, known):
    """Return the line for a name that is not among the known ones, with the nearest of them."""
    close = get_close_matches(str(name), [str(k) for k in known], n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"{where}: found unknown {what} {show(name)}, expected one of {', '.join(sorted(map(str, known)))}{hint}"


def show(value):
    """Return a value as the user wrote it, shortened."""
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
