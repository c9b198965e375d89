"""The download stage, against a server on this machine that misbehaves on demand."""

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT

from poolflow.data import fetching
from poolflow.data.published import File
from poolflow.job import Job, StageError
from poolflow.stages import download

BODY = np.random.default_rng(0).bytes(3 * fetching.CHUNK + 1000)
HALF = len(BODY) // 2
MD5 = hashlib.md5(BODY).hexdigest()
CONFIG = {"kind": "datasets", "plugin": "fake", "parameters": {}}
JOB = Job("download", "fake", CONFIG, "abc")
# The stage with a data set of one file, and short waits.
SCRIPT = """
import sys, types
from poolflow.data import fetching
from poolflow.data import published as files
from poolflow.running.run import run
from poolflow.stages import download
fetching.WAIT, fetching.TIMEOUT = 0.01, (5, 5)
file = files.File("data/a.bin", tuple(sys.argv.pop().split(",")), {md5!r})
sys.modules["poolflow.datasets.fake"] = types.SimpleNamespace(files=lambda: [file])
run("download", sys.argv[1:])
"""


class Handler(BaseHTTPRequestHandler):
    """Answers the n-th request with the server's n-th keyword arguments, the last ones ever after."""

    def log_message(self, *args):
        pass

    def do_GET(self):
        with self.server.lock:
            turn = len(self.server.ranges)
            self.server.ranges.append(self.headers.get("Range"))
        self.answer(**self.server.answers[min(turn, len(self.server.answers) - 1)])

    def answer(self, body=BODY, status=200, ranges=True, until=None, stall=0, length=True, headers=(), shift=0, pace=0):
        """Send `body`, or the part asked for if the server knows `ranges`, up to byte `until` of the whole."""
        start = 0
        if status != 200:
            return self.send_error(status)
        if ranges and self.headers.get("Range"):
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-")) + shift
            if start >= len(body):
                return self.send_error(416)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        if length:
            self.send_header("Content-Length", str(len(body) - start))
        for header in headers:
            self.send_header(*header)
        self.end_headers()
        end = len(body) if until is None else until
        for first in range(start, end, 2**16):
            self.server.sent += min(2**16, end - first)  # before the client can have it, and look
            self.wfile.write(body[first : min(first + 2**16, end)])
            time.sleep(pace)
        self.wfile.flush()
        self.server.stalled.wait(stall)


@pytest.fixture
def server():
    """A server whose `answers` a test sets; `ranges` are the Range headers that it was sent."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.lock, server.stalled = threading.Lock(), threading.Event()
    server.ranges, server.answers, server.sent = [], [{}], 0
    server.url = f"http://127.0.0.1:{server.server_port}/a.bin"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.stalled.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def refusing():
    """An address at which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/a.bin"


@pytest.fixture
def fetch(tmp_path, monkeypatch):
    """Return a function that runs the stage in this process for one file; it returns what source.json says."""
    monkeypatch.setattr(fetching, "WAIT", 0.001)

    def run(*urls, instead=(), md5=MD5, patience=30):
        monkeypatch.setattr(fetching, "TIMEOUT", (5, patience))
        plugin = SimpleNamespace(files=lambda: [File("data/a.bin", urls, md5, instead)])
        monkeypatch.setitem(sys.modules, "poolflow.datasets.fake", plugin)
        download.main(JOB, str(tmp_path / "root"), str(tmp_path / "source.json"))
        return json.loads((tmp_path / "source.json").read_text())["files"]

    return run


def below(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


RECORD = [{"path": "data/a.bin", "size": len(BODY), "md5": MD5}]
FAULTS = {
    "none": ([{}], [None]),
    "truncated": ([{"until": HALF}, {}], [None, f"bytes={HALF}-"]),
    "truncated again and again": (
        [{"until": n * len(BODY) // 9} for n in range(1, 9)] + [{}],
        [None] + [f"bytes={n * len(BODY) // 9}-" for n in range(1, 9)],
    ),
    "truncated, no length": ([{"until": HALF, "length": False}, {}], [None, None]),
    "truncated, ranges ignored": ([{"until": HALF}, {"ranges": False}], [None, f"bytes={HALF}-"]),
    "another part sent": ([{"until": HALF}, {"shift": 7}, {}], [None, f"bytes={HALF}-", None]),
    "empty": ([{"until": 0}, {}], [None, None]),
    "stalled": ([{"until": HALF, "stall": 20}, {}], [None, f"bytes={HALF}-"]),
    "status 500": ([{"status": 500}, {"status": 503}, {"status": 429}, {}], [None] * 4),
    "another file": ([{"body": BODY[::-1]}, {}], [None, None]),
    "changed on the way": ([{"body": BODY[::-1], "until": HALF}, {}, {}], [None, f"bytes={HALF}-", None]),
    "called an encoding": ([{"headers": [("Content-Encoding", "gzip")]}], [None]),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_file_arrives_whole_whatever_happens(server, fetch, tmp_path, fault):
    server.answers, ranges = FAULTS[fault]
    assert fetch(server.url, patience=2 if fault == "stalled" else 30) == RECORD
    assert server.ranges == ranges
    assert below(tmp_path / "root") == {"data/a.bin": BODY}


@pytest.mark.parametrize("left", [BODY[:1], BODY[:HALF], BODY[:-1], BODY, BODY + b"more", b"another" * 1000])
def test_what_a_killed_process_left_is_used_if_it_is_right(server, fetch, tmp_path, left):
    (tmp_path / "root/data").mkdir(parents=True)
    (tmp_path / "root/data/a.bin.part").write_bytes(left)
    assert fetch(server.url) == RECORD
    assert below(tmp_path / "root") == {"data/a.bin": BODY}
    right = BODY.startswith(left)
    assert server.sent == (len(BODY) - len(left) if right else len(BODY) + max(0, len(BODY) - len(left)))
    assert server.ranges == [f"bytes={len(left)}-"] + [None] * (not right)


def test_the_second_mirror_helps_out(server, refusing, fetch):
    missing = server.url.replace("a.bin", "b.bin")
    server.answers = [{"status": 404}, {"until": HALF}, {}]
    assert fetch(missing, refusing, server.url) == RECORD
    assert server.ranges == [None, None, f"bytes={HALF}-"]  # what is missing is not asked for again


def test_a_mirror_with_another_file_is_passed_over(server, fetch):
    server.answers = [{"body": b"Welcome to the hotel's network"}, {}]
    assert fetch(server.url, server.url + "?2") == RECORD


def test_a_wrong_checksum_is_one_line_after_a_second_try(server, fetch, tmp_path):
    server.answers = [{"body": b"<html>"}]
    found = hashlib.md5(b"<html>").hexdigest()
    with pytest.raises(StageError, match=rf"127.0.0.1:\d+: sent a file of MD5 {found}\); put it in .*MD5 {MD5}"):
        fetch(server.url)
    assert server.ranges == [None, None]
    assert below(tmp_path / "root") == {}


@pytest.mark.parametrize(
    ("answer", "requests", "message"),
    [
        ({"status": 404}, 1, "status 404"),
        ({"status": 403}, 1, "status 403"),
        ({"status": 500}, fetching.ATTEMPTS, "status 500"),
        ({"until": 0, "stall": 20}, fetching.ATTEMPTS, "Read timed out"),
        ({"until": HALF, "ranges": False}, fetching.ATTEMPTS, "IncompleteRead|Connection broken"),
    ],
)
def test_attempts_end(server, fetch, tmp_path, answer, requests, message):
    server.answers = [answer]
    with pytest.raises(StageError, match=rf"a\.bin cannot be downloaded \(127\.0\.0\.1:\d+: .*({message})"):
        fetch(server.url, patience=0.3 if "stall" in answer else 30)
    assert len(server.ranges) == requests
    assert "data/a.bin" not in below(tmp_path / "root")


def test_waiting_times_double(server, fetch, monkeypatch):
    waits = []
    monkeypatch.setattr(fetching.time, "sleep", waits.append)
    monkeypatch.setattr(fetching, "WAIT", 1.0)
    server.answers = [{"status": 500}]
    with pytest.raises(StageError):
        fetch(server.url)
    assert [wait for wait in waits if wait] == [1, 2, 4, 8]


def test_files_at_hand_need_no_network(refusing, fetch, tmp_path):
    (tmp_path / "root/data").mkdir(parents=True)
    (tmp_path / "root/data/a.bin").write_bytes(BODY)
    assert fetch(refusing) == RECORD
    (tmp_path / "root/data/a.bin").rename(tmp_path / "root/data/b")
    with pytest.raises(StageError, match="cannot be downloaded"):
        fetch(refusing, instead=("data/b", "data/c"))
    (tmp_path / "root/data/c").write_bytes(b"")
    found = fetch(refusing, instead=("data/b", "data/c"))
    assert found == [RECORD[0] | {"path": "data/b"}, {"path": "data/c", "size": 0, "md5": hashlib.md5().hexdigest()}]
    assert set(below(tmp_path / "root")) == {"data/b", "data/c"}


def test_a_file_of_another_checksum_is_named_and_kept(server, fetch, tmp_path):
    (tmp_path / "root/data").mkdir(parents=True)
    path = tmp_path / "root/data/a.bin"
    path.write_bytes(b"mine")
    with pytest.raises(StageError, match=rf"{path} has the MD5 {hashlib.md5(b'mine').hexdigest()}, expected {MD5}"):
        fetch(server.url)
    assert path.read_bytes() == b"mine"
    assert server.ranges == []


# The stage as a process


@pytest.fixture
def start(tmp_path):
    """Return a function that starts the stage for one file, in tmp_path/root."""
    script = tmp_path / "download.py"
    script.write_text(SCRIPT.format(md5=MD5))
    processes = []

    def start(*urls, out="source.json", before=()):
        options = ["--name", "fake", "--config", json.dumps(CONFIG), "--root", "root", "--out", out, ",".join(urls)]
        environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow"), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [*before, sys.executable, str(script), *options]
        processes.append(subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()


def failure(process):
    _, error = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Traceback" not in error
    return error.strip().splitlines()[-1]


def test_no_network_is_one_line_that_says_what_to_put_where(start, refusing, tmp_path):
    line = failure(start(refusing))
    host = refusing.split("/")[2]
    assert line.startswith(f"poolflow download fake: a.bin cannot be downloaded ({host}: ")
    assert "[Errno 111] Connection refused" in line or "[Errno 61]" in line
    assert line.endswith(
        f"); put it in root/data/a.bin (MD5 {MD5}), or set data_root to the folder that has data/a.bin"
    )
    assert "object at" not in line
    assert below(tmp_path / "root") == {}


def test_a_killed_process_is_resumed(start, server, tmp_path):
    server.answers = [{"until": HALF, "stall": 60}, {}]
    process = start(server.url)
    partial = tmp_path / "root/data/a.bin.part"
    deadline = time.monotonic() + 30
    while not (partial.exists() and partial.stat().st_size == HALF):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "root/data/a.bin").exists()
    process = start(server.url)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    assert server.ranges == [None, f"bytes={HALF}-"]
    assert below(tmp_path / "root") == {"data/a.bin": BODY}


def test_processes_that_fetch_the_same_file_take_turns(start, server, tmp_path):
    server.answers = [{"pace": 0.1}]
    processes = [start(server.url, out=f"{i}.json") for i in range(3)]
    for process in processes:
        _, error = process.communicate(timeout=60)
        assert process.returncode == 0, error
    assert server.ranges == [None]
    assert below(tmp_path / "root") == {"data/a.bin": BODY}
    assert len({json.dumps(json.loads((tmp_path / f"{i}.json").read_text())["files"]) for i in range(3)}) == 1


def test_a_full_disk_is_one_line(start, server, tmp_path):
    limit = ["bash", "-c", 'ulimit -f 300; exec "$@"', "limited"]
    line = failure(start(server.url, before=limit))
    assert "cannot write root/data/a.bin: [Errno 27] File too large" in line
    assert len(server.ranges) == 1
