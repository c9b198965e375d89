"""Fetching published files: resumed, verified, from the first address that gives them."""

import os
import re
import sys
import time
from dataclasses import replace
from urllib.parse import urlsplit

import requests
from filelock import FileLock
from requests.exceptions import HTTPError, RequestException
from tqdm import tqdm
from urllib3.exceptions import HTTPError as TransferError

from poolflow.data.published import checksum, kind_of, verified
from poolflow.job import StageError

ATTEMPTS = 5  # in a row that bring nothing new, each over all addresses
WAIT = 1.0  # seconds before the second attempt, doubled for each one after it
TIMEOUT = (10, 30)  # seconds to connect; without a byte from the server
CHUNK = 2**18
LATER = {408, 425, 429}  # statuses below 500 that may pass


class Unusable(Exception):
    """An answer that is of no use, in a few words."""


def at_hand(root, file):
    """Return the paths, relative to `root`, that hold the content of `file`, after fetching it if need be."""
    if file.unpacked(root):
        return file.instead
    path = os.path.join(root, file.path)
    if os.path.exists(path):
        if file.checksum:
            verified(path, file.checksum)
        return [file.path]
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with FileLock(f"{path}.lock") as lock:
            try:
                if not os.path.exists(path):  # another process may have fetched it in the meantime
                    partial = f"{path}.part"
                    fetch(
                        file if file.checksum else replace(file, checksum=sha256_at(file.urls[0], path)), partial, root
                    )
                    os.replace(partial, path)
            finally:
                os.remove(lock.lock_file)  # who waits for it notices, and makes a new one
    except OSError as error:
        raise StageError(f"cannot write {path}: {error}") from error
    return [file.path]


def fetch(file, partial, root):
    """Bring the file to `partial`, whatever of it is there already.

    Raises
    ------
    StageError
        When no address gives it: what to put where, and what is wrong with each address.
    """
    urls, problems, kind = list(file.urls), {}, kind_of(file.checksum)
    attempts = mismatches = most = 0
    while urls and attempts < ATTEMPTS and mismatches <= len(file.urls):
        if attempts:
            time.sleep(WAIT * 2 ** (attempts - 1))
        attempts += 1
        for url in list(urls):
            try:
                receive(url, partial, os.path.basename(file.path))
                found = checksum(partial, kind)
                if found == file.checksum:
                    return
                os.remove(partial)
                mismatches += 1
                problems[url] = f"sent a file of {kind} {found}"
            except (RequestException, TransferError, Unusable) as error:
                problems[url] = reason(error)
                if isinstance(error, HTTPError) and error.response.status_code not in LATER | set(range(500, 600)):
                    urls.remove(url)
                size = os.path.getsize(partial) if os.path.exists(partial) else 0
                if size > most:
                    attempts, most = 1, size
            print(f"{url}: {problems[url]}", file=sys.stderr)
    name = os.path.basename(file.path)
    text = "; ".join(dict.fromkeys(f"{urlsplit(url).netloc}: {problem}" for url, problem in problems.items()))
    raise StageError(
        f"{name} cannot be downloaded ({text}); put it in {os.path.join(root, file.path)} ({kind} {file.checksum}), "
        f"or set data_root to the folder that has {file.path}"
    )


def receive(url, partial, name):
    """Append to `partial` what it lacks of the file at `url`, or all of it where the server cannot send a part."""
    have = os.path.getsize(partial) if os.path.exists(partial) else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
        if answer.status_code == 416:  # there is nothing after what we have: the checksum tells whether it is the file
            return
        answer.raise_for_status()
        if answer.status_code not in (200, 206):
            raise Unusable(f"status {answer.status_code}")
        resumed = answer.status_code == 206
        if resumed and not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            os.remove(partial)
            raise Unusable("sent another part than was asked for")
        have = have if resumed else 0
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length else None
        progress = {"unit": "B", "unit_scale": True, "mininterval": 1, "desc": name}
        with open(partial, "ab" if resumed else "wb") as target, tqdm(total=total, initial=have, **progress) as bar:
            # As sent: some servers call a .gz file an encoding.
            while block := answer.raw.read1(CHUNK, decode_content=False):
                target.write(block)
                bar.update(len(block))


def reason(error):
    """Return in a few words what went wrong: the innermost cause, without the names of objects in memory."""
    while True:
        inner = getattr(error, "reason", None) or next(iter(getattr(error, "args", ())), None)
        if not isinstance(inner, Exception):
            break
        error = inner
    if isinstance(error, HTTPError):
        return f"status {error.response.status_code}"
    return str(error).rsplit(">: ")[-1].rsplit("): ")[-1].rstrip(".")


def sha256_at(url, path):
    """Return the SHA-256 that a server of the Hugging Face hub says a file has, before it is fetched to `path`.

    Raises
    ------
    StageError
        When it cannot be reached, or says none.
    """
    try:
        with requests.head(url, headers={"Accept-Encoding": "identity"}, timeout=TIMEOUT) as answer:
            answer.raise_for_status()
    except (RequestException, TransferError) as error:
        raise StageError(f"{url} cannot be reached ({reason(error)}); put the file in {path}") from error
    found = answer.headers.get("X-Linked-ETag", "").strip('"')
    if not re.fullmatch("[0-9a-f]{64}", found):
        raise StageError(f"{url}: the server says no SHA-256 of it; put the file in {path}")
    return found
