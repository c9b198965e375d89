"""Warm processes: a job is forked from a process that has the libraries imported, and does not import them anew.

Starting Python and importing libraries is four fifths of a study of short jobs. So in the commands of the rules
`python` stands for `client.py`, which has `server.py` fork a process for the stage. There is one server for each
Python, that is for each conda environment; the first job that needs one starts it, on the machine and in the cgroup
where it runs. Addresses are abstract sockets of Linux: nothing in a file system, free when their process ends.

Snakemake's part is here: it listens. A server connects to it, and ends when the connection does, however Snakemake
ended. A client that had to do without says why. Then Snakemake says so, once, and all further jobs start the ordinary
way, as they do with POOLFLOW_WARM=0, where the system is not Linux, and in containers.
"""

import contextlib
import os
import secrets
import selectors
import signal
import socket
import struct
import sys
import threading
from pathlib import Path
from shlex import join, quote

SWITCH = "POOLFLOW_WARM"
PATIENCE = 60  # seconds that a job waits for its process: a slow disk may take half of them to import torch


def possible():
    """Return whether jobs may be forked here."""
    return sys.platform == "linux" and os.environ.get(SWITCH, "1") != "0"


def use(shell, prefix, say):
    """Have the commands of a Snakemake `shell`, which begin with `prefix`, ask for warm processes.

    `say` is called with the reason, once, when they start the ordinary way from then on.
    """

    def failed(reason):
        shell.prefix(prefix)
        say(f"Warm processes: {reason}. Jobs start the ordinary way from here on, with the same results.")

    client = join(["python", *listen(failed)])
    shell.prefix(f"{prefix}shopt -s expand_aliases; alias python={quote(client)}\n")  # holds from the next line on


def listen(failed):
    """Be the process that servers live with, from a thread, and return the arguments of Python that make it a client.

    `failed` is called with the reason, once, when a client had to do without; there is no server from then on.
    """
    token = secrets.token_hex(8)
    threading.Thread(target=Watch(token, failed).run, name="warm processes", daemon=True).start()
    return ["-I", "-S", str(Path(__file__).with_name("client.py")), token, str(PATIENCE)]


class Watch:
    """Snakemake's end of the connections: the servers live while they are open; a client says what went wrong."""

    def __init__(self, token, failed):
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(f"\0poolflow-{token}")
        self.listening.listen(1024)
        self.failed = failed
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listening, selectors.EVENT_READ)
        self.said = {}  # {connection: bytes}

    def run(self):
        """Listen until something goes wrong; let the servers end then, and make those that hang."""
        while True:
            for key, _ in self.selector.select():
                connection = key.fileobj
                if connection is self.listening:
                    connection, _ = connection.accept()
                    self.said[connection] = b""
                    self.selector.register(connection, selectors.EVENT_READ)
                    continue
                try:
                    data = connection.recv(4096) if peer(connection)[1] == os.getuid() else b""
                except ConnectionResetError:
                    data = b""
                self.said[connection] += data
                if data:
                    continue
                word, _, reason = self.said.pop(connection).partition(b"\n")
                if word[:1] in (b"F", b"H"):
                    self.close(word[1:])
                    return self.failed(reason.decode())
                self.selector.unregister(connection)
                connection.close()

    def close(self, hanging):
        """End all connections: a server then ends with its last job. One that hangs is killed, and so are its jobs."""
        for connection, said in self.said.items():
            if hanging and said == b"S" + hanging + b"\n":
                with contextlib.suppress(ProcessLookupError):
                    os.kill(peer(connection)[0], signal.SIGKILL)
            connection.close()
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
        self.selector.close()


def peer(connection):
    """Return the process and the user at the other end of a connection."""
    return struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[:2]
