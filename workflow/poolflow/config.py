"""A study's config: its defaults filled in, its mistakes named one a line.

Imported by the Snakefile, so it imports nothing heavy.
"""

import re
from difflib import get_close_matches
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator

from poolflow import plugins

SCHEMA = Path(__file__).parents[1] / "schemas" / "config.schema.yaml"
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


def check(config):
    """Return the config with all defaults filled in and its plugins resolved.

    `datasets`, `learners`, `initial_pools` and `strategies` become mappings from a name to {the plugin's name under
    `plugin`, its `parameters`, for a learner also its `training`}.

    Raises
    ------
    ConfigError
        With one line for each mistake: the key, what was found, what is expected.
    """
    schema = load_schema()
    problems = schema_problems(config, schema)
    # The other keys are looked at all the same, so that one run names every mistake.
    wrong = {problem.split(":")[0].split(".")[0] for problem in problems}
    study = with_defaults({key: value for key, value in config.items() if key not in wrong}, schema)
    try:
        for key, rule in schema["properties"].items():
            if "plugins" in rule:
                study[key] = resolve(key, rule["plugins"], study, schema, problems)
        if not problems:
            check_sizes(study, problems)
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


def resolve(key, kind, study, schema, problems):
    """Return {name: {plugin, parameters, ...}} for the entries of `study[key]`, adding to `problems`."""
    entries = study[key]
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
        if kind == "models":
            entry["training"] = overridden(where, study["training"], settings.pop("training", {}), schema, problems)
        check_parameters(where, kind, plugin, word, settings, problems)
        plugins.literals(kind, plugin)
        resolved[name] = entry | {"parameters": settings}
    return resolved


def overridden(where, training, own, schema, problems):
    """Return the training settings of a learner that has `own` ones, adding to `problems`."""
    rule = schema["properties"]["training"]
    wrong = schema_problems(own, rule, prefix=(where, "training"))
    problems += wrong
    return with_defaults(training if wrong else training | own, rule)


def check_parameters(where, kind, plugin, word, settings, problems):
    """Add a line for each of the settings that the plugin does not take, or not in that type."""
    known = plugins.parameters(kind, plugin)
    others = [word, "training"] if kind == "models" else [word]
    for name, value in settings.items():
        if name not in known:
            problems.append(unknown(f"{where}.{name}", f"parameter of {plugin}", name, [*known, *others]))
            continue
        types, text = known[name]
        if not isinstance(value, types) or (isinstance(value, bool) and "bool" not in text and types is not object):
            problems.append(f"{where}.{name}: found {show(value)}, expected {text}")


def check_sizes(study, problems):
    """Add a line for each pool that is too small, too many labels asked for, or images too small for a network."""
    total = study["initial_size"] + study["budget"] * study["cycles"]
    for name, dataset in study["datasets"].items():
        facts = plugins.literals("datasets", dataset["plugin"])
        if "SIZE" in facts:
            size = facts["SIZE"] - round(facts["SIZE"] * study["validation"])
            if total > size:
                problems.append(
                    f"budget: found initial_size {study['initial_size']} + budget {study['budget']} x cycles "
                    f"{study['cycles']} = {total} labels, expected at most the {size} images in the pool of {name}"
                )
        for pool, settings in study["initial_pools"].items():
            one_each = plugins.literals("initial_pools", settings["plugin"]).get("ONE_PER_CLASS")
            needed = settings["parameters"].get("clusters") or facts.get("CLASSES", 0)
            if one_each and study["initial_size"] < needed:
                problems.append(
                    f"initial_size: found {study['initial_size']}, expected at least {needed}, since the initial "
                    f"pool {pool} takes one image or more from each of {needed} clusters of {name}"
                )
        for learner, settings in study["learners"].items():
            least = plugins.literals("models", settings["plugin"]).get("MIN_SIDE", 1)
            if "SHAPE" in facts and min(facts["SHAPE"][:2]) < least:
                height, width, _ = facts["SHAPE"]
                problems.append(
                    f"learners.{learner}: found images of {height} x {width} in {name}, expected at least "
                    f"{least} x {least} for the network {settings['plugin']}"
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
