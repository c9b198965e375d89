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
PROVIDED = {"initial_pools": {"images"}, "strategies": {"images", "probs", "features"}}
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
    needs = found.get("NEEDS")
    if kind in PROVIDED and not (isinstance(needs, tuple) and PROVIDED[kind].issuperset(needs)):
        raise PluginError(
            f"{PACKAGE / kind / name}.py: NEEDS must be a literal tuple of {sorted(PROVIDED[kind])}, found {needs!r}"
        )
    return found


@lru_cache
def parameters(kind, name):
    """Return the parameters of the plugin's entry point: {name: (types that it takes, their names)}."""
    _, entry, skip = KINDS[kind]
    for node in ast.walk(_tree(kind, name)):
        if isinstance(node, ast.FunctionDef) and node.name == entry:
            arguments = node.args.args + node.args.kwonlyargs
            defaults = [None] * (len(node.args.args) - len(node.args.defaults)) + node.args.defaults
            return {
                argument.arg: _types(argument.annotation, default)
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
