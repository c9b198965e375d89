"""The digest of the code that a job executes, so that an edit reruns what executes it and nothing else.

It covers the modules named and everything in this package that they import, statically, each as `ast.unparse` of its
tree without docstrings: comments, formatting and docstrings do not count, nor does the version of Python. In that text
each import inside the package stands as the digest of its target, and so do the names that modules are called by: where
a module lies and what it is called does not count, nor do the order of imports and the declarations in DECLARED.
A name that a package's `__init__` only re-exports leads to the module that defines it, not to its neighbours.
"""

import ast
import hashlib
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
DECLARED = {"BOUNDS"}  # literals of plugins that the config check alone reads


@lru_cache
def digest(*modules):
    """Return 16 hexadecimal digits for the code of the modules, given by their dotted names."""
    return _hash("\n".join(map(_digest, modules)))


@lru_cache
def closure(module):
    """Return the names of a module and of all in this package that it imports, whether directly or not: a frozenset."""
    found, todo = set(), [module]
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += imports(name)
    return frozenset(found)


@lru_cache
def imports(module):
    """Return the modules of this package that a module imports, anywhere in it."""
    found = []
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            found += [target for target, _ in _targets(module, node).values()]
    return list(dict.fromkeys(found))


@lru_cache
def _digest(module):
    # Modules that import one another: each round tells apart what is one import further away.
    known = {name: "" for name in closure(module) if module in closure(name)}
    for _ in tuple(known):
        known = {name: _hash(_text(name, known)) for name in known}
    return known[module]


def _hash(text):
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _path(module):
    base = ROOT.joinpath(*module.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.exists()), None)


@lru_cache
def _tree(module):
    tree = ast.parse(_path(module).read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:] or [ast.Pass()]
    tree.body = [node for node in tree.body if not _is_declaration(node)]
    return tree


def _is_declaration(node):
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in DECLARED


def _text(module, known):
    """Return the code of a module, in which digests, the `known` ones first, take the place of modules' names."""

    def digest_of(target):
        return known[target] if target in known else _digest(target)

    tree = ast.parse(ast.unparse(_tree(module)))
    names = {}  # of modules, as this one calls them
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for local, (target, name) in _targets(module, node).items():
                if name is None and "." not in local:
                    names[local] = f"_{digest_of(target)}"
    for node in ast.walk(tree):
        for field, value in ast.iter_fields(node):
            if isinstance(value, list) and value and isinstance(value[0], ast.stmt):
                setattr(node, field, _with_imports_first(module, value, digest_of))
            elif field in ("id", "name") or (field == "arg" and isinstance(node, ast.arg)):
                if not isinstance(node, ast.alias) and value in names:
                    setattr(node, field, names[value])
            elif field == "names" and isinstance(node, ast.Global | ast.Nonlocal):
                node.names = [names.get(name, name) for name in value]
    return ast.unparse(tree)


def _with_imports_first(module, statements, digest_of):
    """Return statements with the imports from this package, one name each and sorted, before all others."""
    inside, others = [], []
    for node in statements:
        targets = _targets(module, node) if isinstance(node, ast.Import | ast.ImportFrom) else {}
        for local, (target, name) in targets.items():
            if name is None:
                inside.append(f"import _{digest_of(target)}" + (f" as {local}" if "." in local else ""))
            else:
                inside.append(f"from _{digest_of(target)} import {name}" + (f" as {local}" if local != name else ""))
        if targets:
            node.names = [alias for alias in node.names if (alias.asname or alias.name) not in targets]
        if not targets or node.names:
            others.append(node)
    return [ast.Expr(ast.Constant(line)) for line in sorted(inside)] + others


def _targets(module, node):
    """Return what an import statement takes from this package: {name here: (module, name there; None for a module)}."""
    if isinstance(node, ast.Import):
        return {alias.asname or alias.name: (alias.name, None) for alias in node.names if _path(alias.name)}
    origin = _origin(module, node)
    found = {alias.asname or alias.name: _definer(origin, alias.name) for alias in node.names}
    return {local: target for local, target in found.items() if _path(target[0])}


def _origin(module, node):
    if not node.level:
        return node.module
    package = module.split(".") if _path(module).name == "__init__.py" else module.split(".")[:-1]
    package = package[: len(package) - node.level + 1]
    return ".".join([*package, *([node.module] if node.module else [])])


def _definer(origin, name):
    """Return the module that `from origin import name` makes the code depend on, and the name there (None: itself)."""
    if _path(f"{origin}.{name}"):
        return f"{origin}.{name}", None
    path = _path(origin)
    if path and path.name == "__init__.py":
        for node in _tree(origin).body:
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    if name == (alias.asname or alias.name):
                        return _definer(_origin(origin, node), alias.name)
    return origin, name
