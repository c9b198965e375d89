"""The digest of the code that a stage executes, so that an edit reruns what executes it and nothing else.

It covers the modules named and everything in this package that they import, statically, each as `ast.unparse` of its
tree without docstrings: comments, formatting and docstrings do not count, nor does the version of Python.
A name that a package's `__init__` only re-exports leads to the module that defines it, not to its neighbours.
"""

import ast
import hashlib
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).parents[1]


@lru_cache
def digest(*modules):
    """Return 16 hexadecimal digits for the code of the modules, given by their dotted names."""
    closure = set()
    for module in modules:
        _follow(module, closure)
    text = "\n".join(f"# {module}\n{_source(module)}" for module in sorted(closure))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _follow(module, closure):
    if module in closure:
        return
    closure.add(module)
    for imported in _imports(module):
        _follow(imported, closure)


def _path(module):
    base = ROOT.joinpath(*module.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.exists()), None)


@lru_cache
def _tree(module):
    tree = ast.parse(_path(module).read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:] or [ast.Pass()]
    return tree


@lru_cache
def _source(module):
    return ast.unparse(_tree(module))


@lru_cache
def _imports(module):
    """Return the modules of this package that `module` imports, anywhere in it."""
    found = []
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            origin = _origin(module, node)
            found += [_definer(origin, alias.name) for alias in node.names]
    return [name for name in dict.fromkeys(found) if _path(name)]


def _origin(module, node):
    if not node.level:
        return node.module
    package = module.split(".") if _path(module).name == "__init__.py" else module.split(".")[:-1]
    package = package[: len(package) - node.level + 1]
    return ".".join([*package, *([node.module] if node.module else [])])


def _definer(origin, name):
    """Return the module that `from origin import name` makes the code depend on."""
    if _path(f"{origin}.{name}"):
        return f"{origin}.{name}"
    path = _path(origin)
    if path and path.name == "__init__.py":
        for node in _tree(origin).body:
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    if name == (alias.asname or alias.name):
                        return _definer(_origin(origin, node), alias.name)
    return origin
