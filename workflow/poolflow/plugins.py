"""What the workflow knows of a plugin without importing it: its name, its literal constants, its parameters."""

import ast
from functools import lru_cache
from pathlib import Path

PACKAGE = Path(__file__).parent
# Folder of a kind of plugin -> what the config calls one, how many arguments its entry point has before the parameters.
KINDS = {
    "datasets": ("dataset", "load", 1),
    "models": ("network", "__init__", 3),
    "initial_pools": ("initial_pool", "select", 3),
    "strategies": ("strategy", "select", 3),
}
# What a plugin may name in NEEDS: any plugin, a strategy, and by how its network is trained, a strategy as well.
PLAIN, DROPOUT, ENSEMBLE, LOSS_PREDICTION = "plain", "dropout", "ensemble", "loss_prediction"
DATA, ANSWERS = {"images", "given"}, {"labels"}
OUTPUTS = {PLAIN: {"probs", "features", "model"}, DROPOUT: {"probs", "features", "model", "mc_probs"}}
OUTPUTS |= {ENSEMBLE: {"probs", "features", "model", "ensemble_probs"}}
OUTPUTS |= {LOSS_PREDICTION: {"probs", "features", "model", "predicted_loss"}}
TYPES = {"int": (int,), "float": (int, float), "str": (str,), "bool": (bool,), "None": (type(None),)}


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
        return ast.parse(path.read_text())
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
    if kind in ("initial_pools", "strategies"):
        _check_needs(f"{PACKAGE / kind / name}.py", kind, found)
    return found


def _check_needs(path, kind, found):
    """Raise PluginError unless LEARNER is a way of training and NEEDS names what such a network gives."""
    learner, needs = found.get("LEARNER", PLAIN), found.get("NEEDS")
    if learner not in OUTPUTS:
        raise PluginError(f"{path}: LEARNER must be one of {sorted(OUTPUTS)}, found {learner!r}")
    allowed = DATA | (OUTPUTS[learner] | ANSWERS if kind == "strategies" else set())
    if not isinstance(needs, tuple) or not allowed.issuperset(needs):
        hint = "".join(
            f"; {need} takes LEARNER = {other!r}"
            for other, outputs in OUTPUTS.items()
            for need in sorted(set(needs or ()) & outputs - allowed)
            if kind == "strategies"
        )
        raise PluginError(f"{path}: NEEDS must be a literal tuple of {sorted(allowed)}, found {needs!r}{hint}")


def docstring(kind, name):
    """Return the module's docstring."""
    return ast.get_docstring(_tree(kind, name))


def defines(kind, name, function):
    """Return whether the module has a function of that name."""
    return any(isinstance(node, ast.FunctionDef) and node.name == function for node in _tree(kind, name).body)


@lru_cache
def parameters(kind, name):
    """Return the parameters of the plugin's entry point: {name: (types it takes, their names, whether required)}."""
    _, entry, skip = KINDS[kind]
    for node in ast.walk(_tree(kind, name)):
        if isinstance(node, ast.FunctionDef) and node.name == entry:
            arguments = node.args.args + node.args.kwonlyargs
            defaults = [None] * (len(node.args.args) - len(node.args.defaults)) + node.args.defaults
            return {
                argument.arg: (*_types(argument.annotation, default), default is None)
                for argument, default in zip(arguments[skip:], (defaults + node.args.kw_defaults)[skip:], strict=True)
            }
    raise PluginError(f"{PACKAGE / kind / name}.py: has no function {entry}")


def _types(annotation, default):
    """Return the accepted types and their text, from a parameter's annotation or else from its default."""
    if annotation is not None:
        text = ast.unparse(annotation)
    elif isinstance(default, ast.Constant) and default.value is not None:
        text = type(default.value).__name__
    else:
        return object, "anything"
    return tuple(kind for part in text.split(" | ") for kind in TYPES.get(part, ())) or object, text
