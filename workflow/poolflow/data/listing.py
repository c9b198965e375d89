"""The files of a folder: one walk for what reads them and for what notices that they changed.

Imported by the Snakefile, so it imports nothing heavy.
"""

import hashlib
import json
import os
import secrets
import stat
import sys
import time

# Of systems, and of stores in the network; in small letters.
SYSTEM = (
    "@eadir", "@recycle", "#recycle", "#snapshot", "$recycle.bin", "__macosx", "lost+found",
    "system volume information",
)  # fmt: skip
RECENT = 2  # seconds: a file that changed so lately may change again without another time
SHOWN = 1  # seconds of reading after which it is said


class Loop(Exception):
    """A folder that is the same as one above it or beside it, in words."""


def walk(path):
    """Yield the path of each file below a folder, relative and with "/", in order; links are followed.

    Raises
    ------
    Loop
        When a folder is there twice.
    OSError
        When a folder cannot be read.
    """

    def stop(error):
        raise error

    seen = {}
    for folder, folders, names in os.walk(path, onerror=stop, followlinks=True):
        folders.sort()
        real = os.path.realpath(folder)
        if real in seen:
            raise Loop(f"{folder} is the same folder as {seen[real]}; remove the link")
        seen[real] = folder
        for name in sorted(names):
            yield os.path.relpath(os.path.join(folder, name), path).replace(os.sep, "/")


def empty_folders(path):
    """Return the folders below a folder, or an archive, for which that is not known, that hold nothing; sorted."""
    found = [] if os.path.isfile(path) else os.walk(path, followlinks=True)
    empty = [os.path.relpath(folder, path) for folder, folders, names in found if not folders and not names]
    return sorted(folder.replace(os.sep, "/") for folder in empty if not hidden(folder))


def hidden(name):
    """Return whether a file, or a folder that it is in, is hidden or of a system's own making."""
    return any(part.startswith(".") or part.lower() in SYSTEM for part in name.split("/"))


def read_of(path, endings):
    """Return the names of the files of a folder that count, those with the endings and not hidden, sorted."""
    return sorted(name for name in walk(path) if name.lower().endswith(endings) and not hidden(name))


def digest(path, names, index):
    """Return 16 hexadecimal digits for the names and the contents of files below `path`; "" is `path` itself.

    A content is read when size, time or place of its file is another one than in the `index`, a file of JSON that is
    kept for the next time; without it all are read. What is read for long says so.
    """
    known, kept, facts = _read_index(index, path), {}, []
    now, begin, said = time.time(), time.monotonic(), False
    for number, name in enumerate(names):
        full = os.path.join(path, name) if name else path
        status = os.stat(full)
        mark = [status.st_size, status.st_mtime_ns, status.st_ino]
        if not stat.S_ISREG(status.st_mode):
            content = ""  # whoever reads it refuses it
        elif known.get(name, [None])[:-1] == mark:
            content = known[name][-1]
        else:
            with open(full, "rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
            if not said and time.monotonic() - begin > SHOWN:
                said = True
                print(f"{path}: reading {len(names) - number} files, to notice when they change", file=sys.stderr)
        if now - status.st_mtime > RECENT:
            kept[name] = [*mark, content]
        facts.append([name, content])
    if kept != known:
        _write_index(index, path, kept)
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def _read_index(index, path):
    try:
        with open(index, encoding="utf-8") as file:
            content = json.load(file)
        files = content["files"] if content["path"] == os.path.abspath(path) else {}
        return {name: mark for name, mark in files.items() if isinstance(mark, list) and len(mark) == 4}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # none, or none of ours: all files are read
        return {}


def _write_index(index, path, files):
    temporary = f"{index}.{secrets.token_hex(4)}"
    try:
        os.makedirs(os.path.dirname(index), exist_ok=True)
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump({"path": os.path.abspath(path), "files": files}, file)
        os.replace(temporary, index)
    except OSError:  # a folder that cannot be written: all files are read next time
        return
