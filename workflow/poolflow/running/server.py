"""The warm process: has the libraries imported, and is forked for each job, see `poolflow.running.warm`.

    python server.py TOKEN DESCRIPTOR

DESCRIPTOR is a listening socket, from `client.py`. It imports what the stages that it is asked for import of libraries,
and nothing of this package: an edit counts from the next job on, as ever. It never runs what a library would start
threads or a GPU for. It has one thread, so that a fork is a whole copy of it. It ends with Snakemake, after the jobs
that run then.
"""

import ast
import atexit
import ctypes
import gc
import importlib
import json
import marshal
import os
import runpy
import select
import signal
import socket
import struct
import sys
import threading
import time
import traceback
import types
import weakref
from functools import lru_cache
from importlib.machinery import SourceFileLoader
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
# Not imported here: of use to few jobs, and its size costs every fork 0.05 s of CPU time.
LEFT_OUT = {"torchvision"}
PATIENCE = 5  # seconds that a job has to end after SIGTERM, and a client to send its request
PR_SET_PDEATHSIG, PR_SET_NAME = 1, 15
LIBC = ctypes.CDLL(None)
CODE = {}  # of the files of this package that were looked at: {path: (time, size, code)}


# -- what a job will import --


@lru_cache
def modules(path):
    """Return the modules that a file of this package imports at its top, and keep its code."""
    status, text = os.stat(path), path.read_bytes()
    CODE[str(path)] = status.st_mtime_ns, status.st_size, compile(text, str(path), "exec", dont_inherit=True)
    found = []
    for node in ast.parse(text).body:
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return found


@lru_cache
def file(module):
    """Return the file of a module of this package, None if it is none."""
    base = PACKAGE.parent.joinpath(*module.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


@lru_cache
def plugins(word):
    """Return the modules of this package in any folder that a word of a command may name."""
    return [f"{PACKAGE.name}.{path.parent.name}.{word}" for path in PACKAGE.glob(f"*/{word}.py")]


def words(value):
    """Yield the words of an argument, or of a config in JSON."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from words(part)
    elif isinstance(value, str) and value.isidentifier():
        yield value
    elif isinstance(value, str) and value.startswith("{"):
        yield from words(json.loads(value))


def libraries(arguments):
    """Return the libraries that a stage imports, as far as its files and those of its plugins say."""
    todo = [f"{PACKAGE.name}.__main__", f"{PACKAGE.name}.running.run"]
    todo += [module for word in words(arguments) for module in plugins(word)]
    found = dict.fromkeys(todo)
    for module in todo:  # grows
        if path := file(module):
            new = [name for name in modules(path) if name not in found]
            found |= dict.fromkeys(new)
            todo += new
    tops = sys.stdlib_module_names | LEFT_OUT | {PACKAGE.name}
    return [name for name in found if name.partition(".")[0] not in tops]


@lru_cache
def load(name):
    """Import a library, where it is one and there is one, once."""
    try:
        importlib.import_module(name)
    except Exception:  # whatever a library raises: the job imports it again, and says so in its own log
        return


def prepare(arguments):
    """Import what a job will import."""
    before = len(sys.modules)
    try:
        for name in libraries(arguments):
            load(name)
    except (OSError, SyntaxError, ValueError):
        return  # a mistake in a file or an argument: the job will say so
    if len(sys.modules) == before:
        return
    if "threadpoolctl" in sys.modules:
        sys.modules["threadpoolctl"].threadpool_info()  # it remembers where the libraries lie, which are hundreds
    gc.collect()
    gc.freeze()


def kept_code(loader, fullname, read=SourceFileLoader.get_code):
    """Return the code of a module, that of the server's memory if the file is the same."""
    path = loader.get_filename(fullname)
    if path in CODE:
        status = os.stat(path)
        if CODE[path][:2] == (status.st_mtime_ns, status.st_size):
            return CODE[path][2]
    return read(loader, fullname)


# -- a job --


def run(arguments):
    """Run `python -m poolflow` in this process, which was forked for it; return its exit status."""
    sys.modules["__main__"] = types.ModuleType("__main__")
    sys.argv = ["-m", *arguments]
    status = 0
    try:
        try:
            runpy._run_module_as_main(PACKAGE.name)
        finally:
            threading._shutdown()
    except SystemExit as end:
        status = end.code
        if status is not None and not isinstance(status, int):
            print(status, file=sys.stderr)
            status = 1
    except BaseException as error:
        traceback.print_exception(error.with_traceback(error.__traceback__.tb_next))
        status = 130 if isinstance(error, KeyboardInterrupt) else 1
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
    except OSError:
        status = status or 120  # as Python does
    sys.stderr.flush()
    return (status or 0) & 0xFF


def become(request, descriptors, connection, server):
    """Make this process what a new Python would be, and run the job once the client says so."""
    arguments, environment, folder, umask = request
    os.setpgid(0, 0)
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != server:
        return 1
    LIBC.prctl(PR_SET_NAME, f"poolflow {arguments[0]}".encode())
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(folder)
    os.umask(umask)
    os.environ.clear()
    os.environb.update(environment)
    sys.path[:] = sys.path if os.environ.get("PYTHONSAFEPATH") else [os.getcwd(), *sys.path]
    atexit._clear()  # of the server's: one would delete a folder that is everybody's
    weakref.finalize._registry.clear()
    weakref.finalize._registered_with_atexit = False
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
    SourceFileLoader.get_code = kept_code
    gc.enable()
    connection.sendall(b"A")
    return run(arguments) if connection.recv(1) == b"G" else 1


# -- the server --


def received(connection):
    """Return the request of a client, of this user only, and its descriptors."""
    connection.settimeout(PATIENCE)
    _, user, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    data, descriptors, *_ = socket.recv_fds(connection, 1 << 16, 3)
    try:
        if user != os.getuid() or len(descriptors) < 3:
            raise OSError("another user's, or no request")
        while len(data) < 8 or len(data) < 8 + int.from_bytes(data[:8], "little"):
            more = connection.recv(1 << 20)
            if not more:
                raise OSError("the client is gone")
            data += more
        connection.settimeout(None)
        return marshal.loads(data[8:]), descriptors
    except OSError:
        for descriptor in descriptors:
            os.close(descriptor)
        raise


class Server:
    """Forks a process for each connection, tells the client how it ended, and ends it when the client is gone."""

    def __init__(self, token, descriptor):
        self.snakemake = socket.socket(socket.AF_UNIX)
        self.snakemake.connect(f"\0poolflow-{token}")
        self.listening = socket.socket(fileno=descriptor)
        self.snakemake.sendall(b"S" + self.listening.getsockname() + b"\n")
        self.listening.listen(1024)  # from here on its peers see this process
        self.ended, wake = socket.socketpair()
        for end in (self.ended, wake):
            end.setblocking(False)
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.wake = wake
        self.jobs = {}  # {process: connection}
        self.ending = {}  # {process: when it is killed}

    def serve(self):
        """Serve until Snakemake is gone and the last job ended."""
        while self.snakemake or self.jobs:
            polled = select.poll()
            polled.register(self.ended, select.POLLIN)
            for process, connection in self.jobs.items():
                if process not in self.ending:
                    polled.register(connection, select.POLLRDHUP)
            if self.snakemake:
                polled.register(self.snakemake, select.POLLIN)
                polled.register(self.listening, select.POLLIN)
            ready = {descriptor for descriptor, _ in polled.poll(200 if self.ending else None)}
            if self.ended.fileno() in ready:
                self.ended.recv(4096)
            self.reap()
            for process, connection in self.jobs.items():
                if connection.fileno() in ready and process not in self.ending:
                    self.end(process, signal.SIGTERM)
                    self.ending[process] = time.monotonic() + PATIENCE
            for process, when in self.ending.items():
                if time.monotonic() > when:
                    self.end(process, signal.SIGKILL)
            if self.snakemake and self.snakemake.fileno() in ready:
                self.snakemake.close()
                self.listening.close()
                self.snakemake = None
            elif self.snakemake and self.listening.fileno() in ready:
                self.accept()

    def end(self, process, number):
        """Send a signal to a job and to what it started."""
        try:
            os.killpg(process, number)
        except ProcessLookupError:  # not yet in its group, or gone
            os.kill(process, number)

    def reap(self):
        """Tell the clients of the jobs that ended."""
        while self.jobs:
            process, status = os.waitpid(-1, os.WNOHANG)
            if not process:
                return
            if process not in self.jobs:
                continue  # a library's, from its import
            self.ending.pop(process, None)
            with self.jobs.pop(process) as connection:
                try:
                    connection.sendall(status.to_bytes(4, "little"))
                except OSError:
                    continue  # the client is gone

    def accept(self):
        connection, _ = self.listening.accept()
        try:
            request, descriptors = received(connection)
        except OSError:
            connection.close()
            return
        prepare(request[0])
        server = os.getpid()
        try:
            process = os.fork()
        except OSError:  # no memory for it: the client sees the connection end
            connection.close()
            for descriptor in descriptors:
                os.close(descriptor)
            return
        if not process:
            status = 1
            try:
                for other in (*self.jobs.values(), self.listening, self.snakemake, self.ended, self.wake):
                    other.close()
                status = become(request, descriptors, connection, server)
            finally:
                os._exit(status)
        for descriptor in descriptors:
            os.close(descriptor)
        self.jobs[process] = connection


def main():
    token, descriptor = sys.argv[1:]
    if not sys.flags.safe_path:
        del sys.path[0]  # the folder of this file
    gc.disable()
    Server(token, int(descriptor)).serve()


if __name__ == "__main__":
    main()
