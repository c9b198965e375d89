"""Jobs forked from a warm process: a small package in place of poolflow, and a study, each beside the ordinary way."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import ROOT, TINY, Project

from poolflow.running import cost, warm

pytestmark = pytest.mark.skipif(not warm.possible(), reason="no warm processes here, or POOLFLOW_WARM=0")
RUNNING = ROOT / "workflow/poolflow/running"
# The stages of the small package. A library of its own counts how often it is imported.
MAIN = """
import atexit, os, signal, sys, time
import counted
from poolflow.value import VALUE

def main(stage, *arguments):
    if stage == "facts":
        umask = os.umask(0)
        variables = {k: v for k, v in os.environ.items() if k not in ("_", "SHLVL")}
        print(sys.argv, os.getcwd(), oct(umask), sorted(variables.items()), sys.path, sys.flags, sys.stdin.read())
        print(__name__, __file__, sys.dont_write_bytecode, signal.getsignal(signal.SIGINT), os.nice(0), sys.executable)
        print("to the log", file=sys.stderr)
        atexit.register(print, "at the end")
    if stage == "value":
        print(VALUE)
    if stage == "status":
        sys.exit(int(arguments[0]))
    if stage == "text":
        sys.exit("poolflow text: a mistake")
    if stage == "bug":
        {}["missing"]
    if stage == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if stage == "slow":
        with open(arguments[0], "a") as file:
            print(os.getpid(), file=file)
        time.sleep(float(arguments[1]))
        with open(arguments[0], "a") as file:
            print("done", file=file)
    if stage == "parent":
        print(os.getppid())

main(*sys.argv[1:])
"""


class Place:
    """A folder with the small package, and the clients that run its stages."""

    def __init__(self, folder, seconds=20):
        self.folder, self.said = folder, []
        for name, text in {"__init__": "", "__main__": MAIN, "value": "VALUE = 1\n"}.items():
            self.write(f"poolflow/{name}.py", text)
        for name in ("client", "server", "warm"):
            self.write(f"poolflow/running/{name}.py", (RUNNING / f"{name}.py").read_text())
        counter = folder / "count"
        self.write("counted.py", f"open({str(counter)!r}, 'a').write('x')\n")
        self.environment = os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
        self.seconds = seconds

    def write(self, path, text):
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_text(text)

    def listen(self):
        """Be Snakemake."""
        self.token = os.urandom(8).hex()
        self.watch = warm.Watch(self.token, self.said.append)
        threading.Thread(target=self.watch.run, daemon=True).start()

    def command(self, *arguments, ordinary=False):
        client = ["-I", "-S", str(self.folder / "poolflow/running/client.py"), self.token, str(self.seconds)]
        return [sys.executable, *([] if ordinary else client), "-m", "poolflow", *map(str, arguments)]

    def start(self, *arguments, **options):
        return subprocess.Popen(self.command(*arguments), env=self.environment, cwd=self.folder, **options)

    def run(self, *arguments, ordinary=False, **options):
        command = self.command(*arguments, ordinary=ordinary)
        options = {"env": self.environment, "cwd": self.folder, "input": "stdin"} | options
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **options)
        return done.returncode, done.stdout, done.stderr

    def server(self):
        return int(self.run("parent")[1])

    def slow(self, seconds=60):
        """Start a slow job and wait until it runs; return its client and its process."""
        path = self.folder / "slow"
        path.unlink(missing_ok=True)
        client = self.start("slow", path, seconds)
        until(lambda: path.exists() and path.read_text())
        return client, int(path.read_text())

    def imports(self):
        return len((self.folder / "count").read_text())


def until(true, seconds=20):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def gone(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.fixture(autouse=True)
def signals_count():
    """What runs in the background may ignore signals, and so would all that it starts."""
    counting = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in counting.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def place(tmp_path):
    place = Place(tmp_path)
    place.listen()
    yield place
    if not place.said:
        place.watch.close(b"")


# A job is what it is the ordinary way


@pytest.mark.parametrize(
    "arguments", [("facts", "a b", "--x"), ("status", 0), ("status", 7), ("text",), ("bug",), ("killed",)], ids=str
)
def test_a_job_prints_and_ends_as_an_ordinary_one(place, arguments):
    options = {"umask": 0o027, "env": place.environment | {"SOME": "\udcff", "OMP_NUM_THREADS": "3"}}
    expected = place.run(*arguments, ordinary=True, **options)
    assert place.imports() == 1
    for _ in range(2):
        assert place.run(*arguments, **options) == expected
    assert place.imports() == 2
    assert place.said == []


def test_libraries_are_imported_once_and_an_edit_of_the_package_counts_at_once(place):
    assert place.run("value") == (0, "1\n", "")
    for value in (2, 333):
        place.write("poolflow/value.py", f"VALUE = {value}\n")
        assert place.run("value") == (0, f"{value}\n", "")
    assert place.imports() == 1
    place.write("poolflow/value.py", "VALUE = \n")
    status, _, error = place.run("value")
    assert (status, error.splitlines()[-1]) == (1, "SyntaxError: invalid syntax")
    assert place.said == []


def test_nothing_is_compiled_twice_where_python_keeps_no_bytecode(place):
    place.write("poolflow/value.py", "import inspect\nVALUE = inspect.stack()[1].filename\n")
    expected = place.run("value")
    assert expected == place.run("value", ordinary=True)
    assert not list(place.folder.rglob("*.pyc"))


def test_where_the_home_is_read_only_paths_are_long_and_there_is_no_temporary_folder(place):
    folder = place.folder / "/".join(["a" * 200] * 5)
    folder.mkdir(parents=True)
    nowhere = dict.fromkeys(("HOME", "TMPDIR", "TMP", "TEMP", "XDG_CACHE_HOME"), "/dev/null/nowhere")
    options = {"cwd": folder, "env": place.environment | nowhere}
    assert place.run("facts", **options) == place.run("facts", ordinary=True, **options)
    assert place.said == []
    assert not list(folder.iterdir())


def test_two_snakemakes_have_a_server_each(place, tmp_path):
    other = Place(place.folder)
    other.listen()
    assert len({place.server(), other.server(), place.server()}) == 2
    other.watch.close(b"")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_gets_nothing_of_it(place):
    server = place.server()
    client, *arguments = place.command("slow", place.folder / "slow", 0)[3:]
    code = "import os, sys, _socket; sys.argv = sys.argv[1:]; text = open(sys.argv[0]).read(); os.setuid(65534)\n"
    code += "exec(text, {'__file__': sys.argv[0]})"
    command = [sys.executable, "-c", code, client, *arguments]
    done = subprocess.run(command, cwd=place.folder, capture_output=True, text=True, timeout=60)
    assert done.stderr.splitlines()[-1].startswith("PermissionError")  # of what would be the ordinary way
    assert not (place.folder / "slow").exists()
    assert place.server() == server
    assert place.said == []


# Ends


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_a_job_ends_with_its_client(place, number):
    client, process = place.slow()
    client.send_signal(number)
    assert client.wait(10) == -number
    until(lambda: gone(process))
    assert place.run("value")[0] == 0
    assert place.said == []


def test_a_command_of_a_rule_is_forked_until_something_goes_wrong(place, monkeypatch):
    monkeypatch.setattr(warm, "__file__", str(place.folder / "poolflow/running/warm.py"))
    prefixes, said = [], []
    shell = SimpleNamespace(prefix=prefixes.append)
    plain = f"set -euo pipefail; export PATH={Path(sys.executable).parent}:$PATH; "
    warm.use(shell, plain, said.append)

    def start(*arguments):
        command = f"{prefixes[-1]} python -m poolflow {' '.join(map(str, arguments))} 2> log; echo and then"
        return subprocess.Popen(
            ["bash", "-c", command],
            env=place.environment,
            cwd=place.folder,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    server, *more = start("parent").communicate()[0].splitlines()
    assert more == ["and then"]
    # A job ends with the shell's process group, as at Ctrl-C, and the server goes on.
    path = place.folder / "slow"
    job = start("slow", path, 60)
    until(lambda: path.exists() and path.read_text())
    os.killpg(job.pid, signal.SIGINT)
    assert job.wait(10) == -signal.SIGINT
    until(lambda: gone(int(path.read_text())))
    assert start("parent").communicate()[0].splitlines()[0] == server
    assert not said
    os.kill(int(server), signal.SIGKILL)
    with (place.folder / "poolflow/running/server.py").open("w") as file:
        file.write("raise SystemExit(1)")
    assert start("value").communicate()[0] == "1\nand then\n"
    until(lambda: said)
    assert prefixes[1:] == [plain]
    assert start("value").communicate()[0] == "1\nand then\n"
    (line,) = said
    assert line.startswith("Warm processes: ")
    assert line.endswith(". Jobs start the ordinary way from here on, with the same results.")


def test_when_the_server_is_killed_its_jobs_run_again_the_ordinary_way(place):
    server = place.server()
    client, process = place.slow(1)
    os.kill(server, signal.SIGKILL)
    assert client.wait(20) == 0
    first, second, done = (place.folder / "slow").read_text().split()
    assert (int(first), int(second), done) == (process, client.pid, "done")
    assert gone(process)
    until(lambda: place.said)
    assert place.run("value") == (0, "1\n", "")
    assert place.said == ["it was ended"]


def test_a_server_that_hangs_is_waited_for_once_and_ended(place):
    server = place.server()
    os.kill(server, signal.SIGSTOP)
    place.seconds = 1
    assert place.run("value") == (0, "1\n", "")
    until(lambda: place.said)
    assert place.said == ["it gave no answer for 1 s"]
    until(lambda: gone(server))


def test_a_server_that_cannot_start_costs_no_job(place):
    place.write("poolflow/running/server.py", "raise SystemExit(1)\n")
    assert place.run("status", 5) == (5, "", "")
    until(lambda: place.said)
    place.write("poolflow/running/server.py", (RUNNING / "server.py").read_text())
    assert place.run("status", 5) == (5, "", "")  # Snakemake does not listen any more
    assert len(place.said) == 1


SNAKEMAKE = "import sys, time; from poolflow.running import warm; w = warm.Watch(sys.argv[1], print); w.run()"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_server_ends_with_snakemake_after_its_last_job(tmp_path, number):
    place = Place(tmp_path)
    place.token = os.urandom(8).hex()
    snakemake = subprocess.Popen([sys.executable, "-c", SNAKEMAKE, place.token], env=place.environment)
    until(lambda: f"@poolflow-{place.token}" in Path("/proc/net/unix").read_text())
    server = place.server()
    client, process = place.slow(1)
    snakemake.send_signal(number)
    snakemake.wait()
    assert client.wait(10) == 0
    assert (tmp_path / "slow").read_text().split() == [str(process), "done"]
    until(lambda: gone(server))


def test_one_switch_turns_it_off_and_other_systems_have_none(monkeypatch):
    assert warm.possible()
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not warm.possible()
    monkeypatch.undo()
    monkeypatch.setenv("POOLFLOW_WARM", "0")
    assert not warm.possible()


# What a job cost


def test_a_process_measures_its_time_and_memory(tmp_path):
    code = "import sys, time; from poolflow.running import cost\nx = bytearray(300 << 20); time.sleep(0.5)\n"
    code += "while time.process_time() < 1: pass\ncost.write(sys.argv[1])"
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow")}
    start = time.monotonic()
    # A shell in between: what starts with exec keeps the peak of the process that it was, here that of the tests.
    shell = ["bash", "-c", '"$@"; exit $?', "bash"]
    subprocess.run([*shell, sys.executable, "-c", code, tmp_path / "a/cost.tsv"], env=environment, check=True)
    whole = time.monotonic() - start
    header, row = (line.split("\t") for line in (tmp_path / "a/cost.tsv").read_text().splitlines())
    found = dict(zip(header, row, strict=True))
    assert tuple(header) == cost.COLUMNS
    assert 1 <= float(found["cpu_time"]) < 1.5
    assert 1 < float(found["s"]) <= whole + 0.02  # half a second asleep, and a second of CPU time, partly of threads
    assert 300 < float(found["max_rss"]) < 600


def test_its_columns_are_those_of_snakemake():
    from snakemake.benchmark import BenchmarkRecord

    assert list(cost.MEASURED) == BenchmarkRecord.get_header()


# A study


def test_a_study_is_the_same_bytes_warm_and_cold(finished, tmp_path, monkeypatch):
    chain = "digits/small_cnn/random/entropy/seed0/cycle1"
    targets = ("--", f"results/tiny/{chain}/metrics.json")
    project = Project.new(tmp_path / "project", TINY)
    monkeypatch.setenv("POOLFLOW_WARM", "0")
    project.snakemake("--cores", "2", *targets)
    monkeypatch.undo()
    pattern = "digits/**/*.[hp][5t]"
    files = project.files(pattern)
    assert f"{chain}/model.pt" in files
    assert "digits/small_cnn/random/seed0/cycle0/probs.h5" in files
    assert files.items() <= finished.files(pattern).items()
    assert project.metrics().items() <= finished.metrics().items()
    assert "Nothing to be done" in project.snakemake("-n", *targets)
    shutil.rmtree(project.folder / "results/tiny" / chain)
    assert "Warm processes" not in project.snakemake("--cores", "2", *targets)
    assert project.files(pattern) == files
