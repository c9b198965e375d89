"""What `python` stands for in a rule: has a stage's process forked by a warm one, see `poolflow.running.warm`.

    python -I -S client.py TOKEN SECONDS -m poolflow STAGE ...

It starts the server where there is none, and hands over the arguments, the environment, the folder, the umask and the
descriptors 0 to 2; it ends as the stage does. When it ends before, the server ends the stage. Whatever goes wrong, the
ordinary Python takes over, and Snakemake is told why. A stage is never run by two processes:

- The forked process waits for this one's word to begin. If that does not come, it leaves.
- It holds this connection too. When the connection ends and no status came, server and stage are both gone.

Every job pays for this file, so it imports what is built into Python, and nothing else.
"""

import _signal
import _socket
import marshal
import posix
import sys
import time

SERVER = __file__.removesuffix("client.py") + "server.py"
THREADS = (b"OMP_NUM_THREADS", b"OPENBLAS_NUM_THREADS", b"MKL_NUM_THREADS", b"NUMEXPR_NUM_THREADS")


class Unable(Exception):
    """The warm process cannot run this job; the text says why."""


class Hangs(Unable):
    """It does not say whether it can."""


def names(token):
    """Return the addresses of Snakemake and of the server of this Python, by the folder that its program lies in."""
    folder = posix.stat(sys.executable.rpartition("/")[0] or "/")
    snakemake = f"\0poolflow-{token}"
    return snakemake.encode(), f"{snakemake}-{folder.st_dev:x}-{folder.st_ino:x}".encode()


def unix_socket():
    return _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)


def connected(address, start, deadline):
    """Return a connection with the server, which is started where there is none."""
    while True:
        connection = unix_socket()
        try:
            connection.connect(address)
            return connection
        except ConnectionRefusedError:
            connection.close()
        if time.monotonic() > deadline:
            raise Unable("it cannot be reached")
        if not start():
            time.sleep(0.01)  # another job is starting it


def start(address, token):
    """Start the server unless another job just does; return whether it was this one. Its address is its lock."""
    listening = unix_socket()
    try:
        listening.bind(address)
    except OSError:
        listening.close()
        return False
    listening.listen(1024)
    if not posix.fork():
        try:
            posix.setsid()
            null = posix.open("/dev/null", posix.O_RDWR)
            for descriptor in range(3):
                posix.dup2(null, descriptor)
            kept = listening.fileno()
            posix.closerange(3, kept)
            posix.closerange(kept + 1, 65536)
            posix.set_inheritable(kept, True)
            environment = posix.environ | dict.fromkeys(THREADS, b"1")
            posix.execve(sys.executable, [sys.executable, SERVER, token, str(kept)], environment)
        finally:
            posix._exit(127)
    listening.close()
    return True


def send(connection, request):
    """Send a request, the descriptors with its first bytes."""
    data = marshal.dumps(request)
    data = len(data).to_bytes(8, "little") + data
    descriptors = b"".join(number.to_bytes(4, sys.byteorder) for number in range(3))
    data = data[connection.sendmsg([data], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, descriptors)]) :]
    connection.sendall(data)


def warm(token, seconds, arguments):
    """Have the stage run; return its status as that of `os.waitpid`."""
    _, address = names(token)
    deadline = time.monotonic() + seconds
    try:
        connection = connected(address, lambda: start(address, token), deadline)
        peer = connection.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)
        if int.from_bytes(peer[4:8], sys.byteorder) != posix.getuid():
            raise Unable("it is another user's")
        umask = posix.umask(0)
        posix.umask(umask)
        connection.settimeout(max(0.1, deadline - time.monotonic()))
        send(connection, (arguments, posix.environ, posix.getcwdb(), umask))
        if connection.recv(1) != b"A":
            raise Unable("it could not fork a job")
        connection.settimeout(None)
        connection.sendall(b"G")
        status = connection.recv(4)
    except TimeoutError:
        raise Hangs(f"it gave no answer for {seconds:g} s") from None
    except OSError as error:
        raise Unable(str(error)) from None
    if len(status) < 4:
        raise Unable("it was ended")
    return int.from_bytes(status, "little")


def tell(token, error):
    """Tell Snakemake why the ordinary Python takes over, and which server hangs, if there still is a Snakemake."""
    snakemake, address = names(token)
    try:
        connection = unix_socket()
        connection.settimeout(5)
        connection.connect(snakemake)
        connection.sendall(b"H" + address if isinstance(error, Hangs) else b"F")
        connection.sendall(b"\n" + str(error).encode())
        connection.shutdown(_socket.SHUT_WR)
        connection.recv(1)  # until it has read
    except OSError:
        return


def main():
    token, seconds, *arguments = sys.argv[1:]
    if arguments[:2] == ["-m", "poolflow"]:
        if _signal.getsignal(_signal.SIGINT) != _signal.SIG_IGN:
            _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
        try:
            status = warm(token, float(seconds), arguments[2:])
        except Unable as error:
            tell(token, error)
        else:
            if posix.WIFSIGNALED(status):
                number = posix.WTERMSIG(status)
                if number != _signal.SIGKILL:
                    _signal.signal(number, _signal.SIG_DFL)
                posix.kill(posix.getpid(), number)
            posix._exit(posix.WEXITSTATUS(status))
    posix.execv(sys.executable, [sys.executable, *arguments])


main()
