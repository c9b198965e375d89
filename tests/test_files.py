"""The files of a config, and the door that looks at them before Snakemake does: each mistake one line, no traceback."""

import pytest
import yaml
from conftest import ROOT, TINY, Project

from poolflow.study import files
from poolflow.study.config import ConfigError

WRONG = {
    "syntax": ("study: a\nseeds: [0\n", "line 3, column 1: "),
    "a tab": ("study: a\n\tb: 1\n", r"line 2, column 1: .* at \"b: 1\", expected YAML; YAML wants spaces, not tabs"),
    "two documents": ("study: a\n---\nstudy: b\n", "line 2, column 1: "),
    "no UTF-8": (b"study: a\ntitle: \xfc\n", "found the byte 0xfc in line 2, expected UTF-8"),
    "a null byte": (b"study: a\x00\n", "expected YAML"),
    "a list": ("- a\n", r'found \["a"\], expected keys and values, such as study: mine'),
    "a word": ("study\n", 'found "study", expected keys and values'),
    "nothing": ("# nothing\n", "found nothing in it, expected keys and values"),
    "a key twice": ("study: a\nseed: 1\nstudy: b\n", "study: found twice, in lines 1 and 3, expected each key once"),
    "a key twice, deep": (
        "strategies:\n  a:\n    power: 1\n    power: 2\n",
        "strategies.a.power: found twice, in lines 3 and 4",
    ),
    "a key twice, in a list": ("a:\n- {b: 1, b: 2}\n", "a.0.b: found twice, in lines 2 and 2"),
    "an alias in itself": ("a: &a [*a]\n", "a.0: found an alias within what it stands for"),
    "an alias in itself, deep": ("a: &a {b: {c: [*a]}}\n", "a.b.c.0: found an alias within what it stands for"),
    "an object": (
        "a: !!python/object/apply:os.system ['true']\n",
        "line 1, column 4: could not determine a constructor",
    ),
    "code": (
        "__use_yte__: true\n",
        "__use_yte__: found True, which has Snakemake run parts of the config as Python code",
    ),
    "deep": ("a: " + "[" * 3000 + "]" * 3000, "found more than 50 values within each other, expected fewer"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_file_that_is_no_config_is_one_line(tmp_path, kind):
    content, expected = WRONG[kind]
    path = tmp_path / "x.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError, match=rf"^{path}: .*{expected}") as error:
        files.check(path)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    "content",
    [
        "study: a\n",
        "a: &a {b: 1}\nc: *a\nd: *a\n",
        "base: &base {a: 1}\nb: {<<: *base, a: 2}\n",
        "a: {1: 2, '1': 3}\n",
        "__use_yte__: false\n",
    ],
)
def test_what_yaml_has_a_meaning_for_is_none_of_its_business(tmp_path, content):
    (tmp_path / "x.yaml").write_text(content)
    files.check(tmp_path / "x.yaml")


def test_code_may_be_allowed(tmp_path, monkeypatch):
    (tmp_path / "x.yaml").write_text("__use_yte__: true\n")
    monkeypatch.setenv(files.ALLOWED, "1")
    files.check(tmp_path / "x.yaml")


def test_a_file_that_is_not_there_and_a_folder(tmp_path):
    (tmp_path / "study.yaml").write_text("study: a\n")
    found = rf"study.yml: found nothing there, expected the config of a study; did you mean {tmp_path}/study.yaml\?$"
    with pytest.raises(ConfigError, match=found):
        files.check(tmp_path / "study.yml")
    with pytest.raises(ConfigError, match=rf"^{tmp_path}: cannot be read: Is a directory$"):
        files.check(tmp_path)


def test_every_study_and_recipe_is_in_order():
    for path in [ROOT / "config.yaml", *(ROOT / "studies").glob("*.yaml"), *(ROOT / "workflow").rglob("*.yaml")]:
        files.check(path)


# The door


@pytest.fixture(scope="module")
def door(tmp_path_factory):
    """Return a function that asks the door of a project for a dry run; it returns (status, what it said)."""
    project = Project.new(tmp_path_factory.mktemp("door") / "p")
    (project.folder / "study.yaml").write_text(yaml.safe_dump(TINY))
    (project.folder / "twice.yaml").write_text("study: a\nstudy: b\n")

    def run(*arguments, command="run", **environment):
        done = project.poolflow(command, "--dry-run", *arguments, **environment)
        lines = [line for line in done.stdout.splitlines() if not line.startswith("Using workflow specific profile")]
        assert "Traceback" not in done.stdout
        return done.returncode, lines

    return run


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--configfile", "none.yaml"], "none.yaml: found nothing there, expected the config of a study"),
        (["--configfile", "twice.yaml"], "twice.yaml: study: found twice, in lines 1 and 2"),
        (["--configfile", "study.yaml", "curves"], "--configfile: found curves as another file; write targets first"),
        (["--config", "budget"], "(Unparsable value: 'budget')"),
        (["curvse"], "curvse: found no such target, expected one of all, data, curves, to_label, or a file of the "),
        (["results/tiny/curvs.csv"], "did you mean results/tiny/curves.csv?"),
        (
            ["results/tiny/figures/digits/small_cnn/by_pol.png"],
            "did you mean results/tiny/figures/digits/small_cnn/by_p",
        ),
        (["--directory", "/proc/none"], "/proc/none: found No such file or directory, expected a folder for results/"),
    ],
)
@pytest.mark.parametrize("command", ["run", "plan"])
def test_what_snakemake_answers_with_a_traceback_is_one_line(door, command, arguments, expected):
    status, lines = door(*arguments, command=command)
    assert status == 1
    assert len(lines) == 1
    assert expected in lines[0]


def test_a_home_that_cannot_be_written(door):
    status, lines = door(HOME="/proc/none", XDG_CACHE_HOME="")
    assert (status, lines) == (1, ["/proc/none/.cache: found No such file or directory, expected a folder for caches"])


def test_what_is_right_runs(door):
    for arguments in (
        ["--configfile", "study.yaml"],
        ["curves", "--configfile", "study.yaml"],
        ["--cores", "1", "all"],
    ):
        status, lines = door(*arguments)
        assert status == 0
        assert any("dry-run" in line for line in lines)
    assert door("--config", "seeds=[0,1]", "cycles=1", LC_ALL="C", PYTHONUTF8="0")[0] == 0


def test_options_that_are_none_end_as_snakemake_has_it(door):
    assert door("--cores", "x")[0] != 0
    assert door("--nosuch")[0] == 2


def test_every_text_file_is_read_and_written_as_utf_8():
    """With LC_ALL=C another encoding is the default."""
    for path in (ROOT / "workflow").rglob("*.py"):
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            text = ".read_text()" in line or ".write_text(" in line or ("open(" in line and ' "w"' in line)
            assert not text or "utf-8" in line, f"{path}:{number}"
