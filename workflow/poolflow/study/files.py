"""The files of a study's config, read with care: what YAML takes without a word, or fails on at length, is named."""

import json
import os
from difflib import get_close_matches
from pathlib import Path

import yaml

from poolflow.study.config import ConfigError, as_written
from poolflow.study.config import check as checked

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
YTE = "__use_yte__"  # has Snakemake run what the config says as Python code
DEPTH = 50
ALLOWED = "POOLFLOW_ALLOW_YTE"


def check(path):
    """Check the form of one file.

    Raises
    ------
    ConfigError
        With a line for each place: a file that is not there, cannot be read or is not UTF-8; a mistake of syntax, with
        line and column; a key twice; an alias within itself; no keys and values; code to run.
    """
    try:
        text = Path(path).read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: found nothing there, expected the config of a study{_nearest(path)}") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        found = f"found the byte 0x{error.object[error.start]:02x} in line {line}"
        raise ConfigError(f"{path}: {found}, expected UTF-8; save it with that encoding") from None
    try:
        root = yaml.compose(text, LOADER)
        content = yaml.load(text, LOADER)
    except yaml.YAMLError as error:
        raise ConfigError(_syntax(path, text, error)) from None
    except (RecursionError, ValueError, OverflowError) as error:
        raise ConfigError(f"{path}: found values that cannot be read ({error}), expected a study's config") from None
    problems = list(_problems(path, root)) if root else []
    if not problems and not isinstance(content, dict):
        found = "nothing in it" if content is None else json.dumps(content)[:60]
        problems.append(f"{path}: found {found}, expected keys and values, such as study: mine")
    if isinstance(content, dict) and content.get(YTE) and not os.environ.get(ALLOWED):
        problems.append(
            f"{path}: {YTE}: found {content[YTE]}, which has Snakemake run parts of the config as Python code; remove "
            f"it, or set {ALLOWED}=1 if you trust whoever wrote it"
        )
    if problems:
        raise ConfigError("\n".join(problems))


def study_of(path, pairs=()):
    """Return the checked `Study` of a config file and of KEY=VALUE texts that override it, and the config.

    Raises
    ------
    ConfigError
        With a line for each mistake.
    """
    check(path)
    config = yaml.safe_load(Path(path).read_text("utf-8"))
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise ConfigError(f"--config: found {pair}, expected KEY=VALUE")
        (value,) = as_written([value])
        both = isinstance(value, dict) and isinstance(config.get(key), dict)
        config[key] = config[key] | value if both else value
    return checked(config), config


def _nearest(path):
    folder = Path(path).parent
    beside = [one.name for one in folder.iterdir() if one.suffix in (".yaml", ".yml")] if folder.is_dir() else []
    close = get_close_matches(Path(path).name, beside, n=1)
    return f"; did you mean {folder / close[0]}?" if close else ""


def _syntax(path, text, error):
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    what = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    if not mark:
        return f"{path}: {' '.join(str(what).split())}, expected YAML"
    lines = text.splitlines()
    line = lines[mark.line] if mark.line < len(lines) else ""
    hint = "; YAML wants spaces, not tabs" if "\t" in line else ""
    where = f"line {mark.line + 1}, column {mark.column + 1}"
    return f"{path}: {where}: {what} at {json.dumps(line.strip()[:60], ensure_ascii=False)}, expected YAML{hint}"


def _problems(path, root):
    """Yield a line for each key that a mapping has twice and each alias that stands within what it names."""
    todo, seen = [(root, "", frozenset())], set()
    while todo:
        node, where, above = todo.pop()
        if id(node) in above:
            yield f"{path}: {where or 'config'}: found an alias within what it stands for, expected an end"
            return
        if len(above) > DEPTH:
            yield f"{path}: {where[:60]}...: found more than {DEPTH} values within each other, expected fewer"
            return
        if id(node) in seen or isinstance(node, yaml.ScalarNode):
            continue
        seen.add(id(node))
        above = above | {id(node)}
        pairs = node.value if isinstance(node, yaml.MappingNode) else enumerate(node.value)
        known = {}
        for key, value in pairs:
            name = str(getattr(key, "value", key))
            key_where = f"{where}.{name}" if where else name
            if isinstance(node, yaml.MappingNode):
                line = key.start_mark.line + 1
                if isinstance(key, yaml.ScalarNode) and (key.tag, name) in known and name != "<<":
                    first = known[key.tag, name]
                    yield f"{path}: {key_where}: found twice, in lines {first} and {line}, expected each key once"
                known.setdefault((getattr(key, "tag", None), name), line)
            todo.append((value, key_where, above))
