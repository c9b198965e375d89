"""What the workflow knows of a plugin without importing it: its name, its literal constants, its parameters."""

import ast
from functools import lru_cache
from pathlib import Path

from poolflow.study.bounds import parse

PACKAGE = Path(__file__).parents[1]
# Folder of a kind of plugin -> what one is called, and its functions: how many arguments precede the parameters. Those
# with `__init__` are a class of that name, `Network` or `Learner`.
KINDS = {
    "datasets": ("dataset", {"load": 1, "files": 0}),
    "networks": ("network", {"__init__": 3}),
    "learners": ("learner", {"__init__": 3}),
    "variants": ("variant", {}),
    "outputs": ("output", {"output": 3}),
    "pretext": (
        "task",
        {"build": 1, "train": 2, "features": 2, "scores": 2, "clusters": 2, "files": 0, "weights": 1, "embed": 2},
    ),
    "initial_pools": ("initial_pool", {"select": 3}),
    "strategies": ("strategy", {"select": 3}),
    "tables": ("table", {"table": 1}),
    "figures": ("figure", {"draw": 1}),
}
# What a pretext task may make for every image of the pool.
GIVES = {"features", "scores", "clusters"}
# What a plugin may name in NEEDS beside what tasks or networks give: any, an initial pool, a strategy.
DATA, ORACLE, ANSWERS = {"images", "given"}, {"oracle", "test"}, {"labels", "model"}
# What a table or a figure may name in NEEDS beside tables.
TYPES = {"int": (int,), "float": (int, float), "str": (str,), "bool": (bool,), "list": (list,), "None": (type(None),)}


class PluginError(Exception):
    """A plugin file that cannot be used, in one line."""


@lru_cache
def names(kind):
    """Return the names of all plugins of a kind, sorted."""
    return sorted(path.stem for path in (PACKAGE / kind).glob("*.py") if not path.stem.startswith("_"))


@lru_cache
def _tree(kind, name):
    path = PACKAGE / kind / f"{name}.py"
    try:
        return ast.parse(path.read_text("utf-8"))
    except SyntaxError as error:
        raise PluginError(f"{path}, line {error.lineno}: {error.msg}") from error


@lru_cache
def literals(kind, name):
    """Return the module's upper-case literal constants: {name: value}."""
    found = {}
    for node in _tree(kind, name).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id.isupper():
            try:
                found[node.targets[0].id] = ast.literal_eval(node.value)
            except ValueError:
                continue  # not a literal: the module's own business
    path = f"{PACKAGE / kind / name}.py"
    CHECKS.get(kind, lambda *_: None)(path, name, found)
    _check_bounds(path, found.get("BOUNDS", {}), parameters(kind, name) if "BOUNDS" in found else ())
    return found


def _check_needs(path, needs, allowed):
    """Raise PluginError unless NEEDS is a tuple of allowed words."""
    if not isinstance(needs, tuple) or not allowed.issuperset(needs):
        raise PluginError(f"{path}: NEEDS must be a literal tuple of {sorted(allowed)}, found {needs!r}")


def _check_initial_pool(path, name, found):
    _check_needs(path, found.get("NEEDS"), DATA | GIVES | ORACLE)


def _check_strategy(path, name, found):
    _check_needs(path, found.get("NEEDS"), DATA | ANSWERS | ORACLE | set(names("outputs")))


def _check_output(path, name, found):
    """Raise PluginError unless VARIANT, where there is one, is a variant."""
    if "VARIANT" in found and found["VARIANT"] not in names("variants"):
        known = ", ".join(names("variants"))
        raise PluginError(f"{path}: VARIANT: found {found['VARIANT']!r}, expected one of {known}")


@lru_cache
def variant(strategy):
    """Return the variant of the network that gives what a strategy needs, "" where any network does."""
    needs = literals("strategies", strategy)["NEEDS"]
    asked = {need: literals("outputs", need).get("VARIANT") for need in needs if need in names("outputs")}
    variants = sorted({variant for variant in asked.values() if variant})
    if len(variants) > 1:
        which = ", ".join(f"{need} of {variant}" for need, variant in asked.items() if variant)
        raise PluginError(f"{PACKAGE}/strategies/{strategy}.py: NEEDS must be outputs of one network, found {which}")
    return variants[0] if variants else ""


def _check_task(path, name, found):
    """Raise PluginError unless GIVES names functions of the pretext task and BASE what another gives."""
    gives, base = found.get("GIVES"), found.get("BASE", ())
    if not isinstance(gives, tuple) or not gives or not GIVES.issuperset(gives):
        raise PluginError(f"{path}: GIVES must be a literal tuple of {sorted(GIVES)}, found {gives!r}")
    missing = [function for function in gives if not defines("pretext", name, function)]
    if missing:
        raise PluginError(f"{path}: GIVES names {missing[0]}, but there is no such function")
    if bool(base) != ("OF" in found) or not {"features", "model"}.issuperset(base):
        raise PluginError(f"{path}: OF and BASE belong together, BASE a tuple of features and model; found {base!r}")


CHECKS = {
    "initial_pools": _check_initial_pool,
    "strategies": _check_strategy,
    "outputs": _check_output,
    "pretext": _check_task,
}


def _check_bounds(path, bounds, known):
    """Raise PluginError unless BOUNDS has texts that `poolflow.study.bounds` reads, of parameters."""
    if not isinstance(bounds, dict):
        raise PluginError(f"{path}: BOUNDS must be a literal mapping from parameters to text, found {bounds!r}")
    for parameter, text in bounds.items():
        if parameter not in known:
            raise PluginError(f"{path}: BOUNDS names {parameter}, but there is no such parameter")
        try:
            parse(text)
        except ValueError as error:
            raise PluginError(f"{path}: BOUNDS of {parameter}: {error}") from error


def docstring(kind, name):
    """Return the module's docstring."""
    return ast.get_docstring(_tree(kind, name))


def defines(kind, name, function):
    """Return whether the module has a function of that name."""
    return any(isinstance(node, ast.FunctionDef) and node.name == function for node in _tree(kind, name).body)


def _functions(kind, name):
    """Return the functions of a plugin, {name: node}: those of the module, or of its class (none where it inherits)."""
    word, entries = KINDS[kind]
    body = _tree(kind, name).body
    if "__init__" in entries:
        classes = {node.name: node for node in body if isinstance(node, ast.ClassDef)}
        if word.capitalize() not in classes:
            raise PluginError(f"{PACKAGE / kind / name}.py: has no class {word.capitalize()}")
        body = classes[word.capitalize()].body
    return {node.name: node for node in body if isinstance(node, ast.FunctionDef)}


@lru_cache
def parameters(kind, name, function=None):
    """Return the parameters that a plugin takes: {name: (types, their names, whether required)}.

    Those of one `function`, none where the plugin does not have it, or of all its entry points together.
    """
    entries, nodes = KINDS[kind][1], _functions(kind, name)
    found = {}
    for entry in entries if function is None else [function]:
        if entry in nodes:
            arguments = nodes[entry].args
            defaults = [None] * (len(arguments.args) - len(arguments.defaults)) + arguments.defaults
            pairs = zip(arguments.args + arguments.kwonlyargs, defaults + arguments.kw_defaults, strict=True)
            for argument, default in list(pairs)[entries[entry] :]:
                found[argument.arg] = (*_types(argument.annotation, default), default is None)
    if function is None and entries and "__init__" not in entries and not set(entries) & set(nodes):
        raise PluginError(f"{PACKAGE / kind / name}.py: has no function {' or '.join(entries)}")
    return found


@lru_cache
def defaults(kind, name, function=None):
    """Return the literal defaults of what `parameters` returns: {name: value}."""
    found = {}
    for entry, node in _functions(kind, name).items():
        if entry in KINDS[kind][1] and function in (entry, None):
            arguments = node.args
            pairs = [*zip(reversed(arguments.args), reversed(arguments.defaults), strict=False)]
            pairs += zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
            for argument, default in pairs:
                if default is not None:
                    found[argument.arg] = ast.literal_eval(default)
    return {key: value for key, value in found.items() if key in parameters(kind, name, function)}


def _types(annotation, default):
    """Return the accepted types and their text, from a parameter's annotation or else from its default."""
    if annotation is not None:
        text = ast.unparse(annotation)
    elif isinstance(default, ast.Constant) and default.value is not None:
        text = type(default.value).__name__
    else:
        return object, "anything"
    return tuple(kind for part in text.split(" | ") for kind in TYPES.get(part, ())) or object, text
