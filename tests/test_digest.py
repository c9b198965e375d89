"""Which edits change the digest of a job's code."""

import pytest
from conftest import ROOT

from poolflow.__main__ import stages
from poolflow.study import digest as module
from poolflow.study import plugins

FILES = {
    "pkg/__init__.py": '"""Package."""\n',
    "pkg/stage.py": '"""Stage."""\nimport os\nfrom pkg.kernels import fast\nfrom pkg import helpers\n\n\nx = fast()\n'
    "y = helpers.help_me(os)\n",
    "pkg/late.py": "def f():\n    from .helpers import help_me\n    return help_me\n",
    "pkg/whole.py": "import pkg.kernels\n",
    "pkg/helpers.py": "def help_me(os):\n    return 1\n",
    "pkg/kernels/__init__.py": "from pkg.kernels.a import fast\nfrom pkg.kernels.b import slow as slower\n",
    "pkg/kernels/a.py": "def fast():\n    '''Doc.'''\n    return 1  # comment\n",
    "pkg/kernels/b.py": "def slow():\n    return 1\n",
    "pkg/even.py": "from pkg import odd\n\n\ndef even(n):\n    return n == 0 or odd.odd(n - 1)\n",
    "pkg/odd.py": "from pkg.even import even\n\n\ndef odd(n):\n    return n != 0 and even(n - 1)\n",
    "pkg/asks.py": "from pkg.even import even\n\nprint(even(4))\n",
}


def clear():
    for function in (module.digest, module.closure, module.imports, module._digest, module._tree):
        function.cache_clear()


@pytest.fixture
def digest_of(tmp_path, monkeypatch):
    """Return a function: write the files with some replaced (None: without it), return the digest of a module."""

    def run(name, changes=None):
        for path, text in (FILES | (changes or {})).items():
            (tmp_path / path).unlink(missing_ok=True)
            (tmp_path / path).parent.mkdir(exist_ok=True, parents=True)
            if text is not None:
                (tmp_path / path).write_text(text)
        monkeypatch.setattr(module, "ROOT", tmp_path)
        clear()
        return module.digest(name)

    yield run
    clear()


SAME = {
    "comment": {"pkg/kernels/a.py": "def fast():\n    '''Doc.'''\n    return 1  # another comment\n"},
    "docstring": {"pkg/kernels/a.py": "def fast():\n    return 1\n"},
    "formatting": {"pkg/kernels/a.py": "def fast( ):\n\n\n    return (1)\n"},
    "a kernel that is not imported": {"pkg/kernels/b.py": "def slow():\n    return 2\n"},
    "a re-export beside": {"pkg/kernels/__init__.py": FILES["pkg/kernels/__init__.py"] + "from pkg.helpers import x\n"},
    "bounds": {"pkg/kernels/a.py": 'BOUNDS = {"n": ">= 1"}\n' + FILES["pkg/kernels/a.py"]},
    "the order of imports": {
        "pkg/stage.py": FILES["pkg/stage.py"].replace(
            "from pkg.kernels import fast\nfrom pkg import helpers\n",
            "from pkg import helpers\nfrom pkg.kernels import fast\n",
        )
    },
    "a module moved": {
        "pkg/kernels/a.py": None,
        "pkg/fast/quick.py": FILES["pkg/kernels/a.py"],
        "pkg/kernels/__init__.py": "from pkg.fast.quick import fast\n",
    },
    "a module moved and called otherwise": {
        "pkg/helpers.py": None,
        "pkg/more/aid.py": FILES["pkg/helpers.py"],
        "pkg/stage.py": FILES["pkg/stage.py"]
        .replace("from pkg import helpers", "from pkg.more import aid")
        .replace("helpers.help_me", "aid.help_me"),
    },
    "an alias for a module": {
        "pkg/stage.py": FILES["pkg/stage.py"]
        .replace("from pkg import helpers", "import pkg.helpers as h")
        .replace("helpers.help_me", "h.help_me")
    },
}


@pytest.mark.parametrize("edit", SAME)
def test_edits_that_do_not_count(digest_of, edit):
    assert digest_of("pkg.stage") == digest_of("pkg.stage", SAME[edit])


OTHER = {
    "code": {"pkg/stage.py": FILES["pkg/stage.py"].replace("fast()", "fast() + 1")},
    "a literal": {"pkg/stage.py": FILES["pkg/stage.py"] + "NEEDS = ('probs',)\n"},
    "a string that is no docstring": {"pkg/stage.py": FILES["pkg/stage.py"] + "z = 'text'\n"},
    "code of what it imports": {"pkg/kernels/a.py": "def fast():\n    return 2\n"},
    "another function of the same module": {
        "pkg/stage.py": FILES["pkg/stage.py"].replace("helpers.help_me", "helpers.help_you"),
    },
    "the same name of another module": {
        "pkg/kernels/__init__.py": "from pkg.kernels.b import fast\n",
        "pkg/kernels/b.py": "def fast():\n    return 2\n",
    },
    "a module in place of a variable of its name": {
        "pkg/stage.py": FILES["pkg/stage.py"].replace("from pkg import helpers\n", "helpers = os\n"),
    },
}


@pytest.mark.parametrize("edit", OTHER)
def test_edits_that_count(digest_of, edit):
    assert digest_of("pkg.stage") != digest_of("pkg.stage", OTHER[edit])


def test_a_parameter_of_a_module_s_name_is_not_the_module(digest_of):
    shadowed = "from pkg import helpers\n\n\ndef f(helpers):\n    return helpers.help_me\n"
    assert digest_of("pkg.f", {"pkg/f.py": shadowed}) != digest_of(
        "pkg.f", {"pkg/f.py": shadowed.replace("f(helpers)", "f(others)")}
    )


def test_relative_imports_inside_functions_are_followed(digest_of):
    changed = {"pkg/helpers.py": "def help_me():\n    return 2\n"}
    assert digest_of("pkg.late") != digest_of("pkg.late", changed)


def test_importing_a_package_whole_depends_on_all_of_it(digest_of):
    changed = {"pkg/kernels/b.py": "def slow():\n    return 2\n"}
    assert digest_of("pkg.whole") != digest_of("pkg.whole", changed)


def test_modules_that_import_one_another_count_wherever_they_lie(digest_of):
    moved = {
        "pkg/even.py": None,
        "pkg/odd.py": None,
        "pkg/whole/numbers/even.py": FILES["pkg/even.py"].replace("from pkg", "from pkg.whole.numbers"),
        "pkg/whole/numbers/strange.py": FILES["pkg/odd.py"].replace("pkg.even", "pkg.whole.numbers.even"),
        "pkg/asks.py": FILES["pkg/asks.py"].replace("pkg.even", "pkg.whole.numbers.even"),
    }
    moved["pkg/whole/numbers/even.py"] = (
        moved["pkg/whole/numbers/even.py"].replace("import odd", "import strange").replace("odd.odd", "strange.odd")
    )
    before = digest_of("pkg.asks")
    assert digest_of("pkg.asks", moved | {"pkg/whole.py": None}) == before
    edited = {"pkg/odd.py": FILES["pkg/odd.py"].replace("n != 0", "n > 0")}
    assert digest_of("pkg.asks", edited) != before
    assert digest_of("pkg.odd") != digest_of("pkg.even")


FOLDERS = {path.parent.name for path in (ROOT / "workflow/poolflow").glob("*/*.py")}


@pytest.mark.parametrize("stage", stages())
def test_a_stage_depends_on_no_machine_and_no_plugin_that_it_was_not_asked_for(stage):
    clear()
    parts = {name.split(".")[1] for name in module.closure(f"poolflow.stages.{stage}")}
    assert parts <= {
        "stages",
        "job",
        "selection",
        "task",
        "results",
        "data",
        "training",
        "kernels",
        "study",
        "lettering",
        *({"reporting", "tables", "repetitions"} if stage == "study_report" else ()),
    }
    others = {name for name in module.closure(f"poolflow.stages.{stage}") if name.startswith("poolflow.stages.")}
    assert others == {f"poolflow.stages.{stage}"}
    if stage != "pool":  # which counts as the config check does
        assert "study" not in parts


@pytest.mark.parametrize("kind", plugins.KINDS)
def test_no_plugin_depends_on_the_machine_or_on_another_kind_s_private_file(kind):
    clear()
    assert kind in FOLDERS
    for name in plugins.names(kind):
        for imported in module.closure(f"poolflow.{kind}.{name}"):
            _, *folder, file = imported.split(".")
            assert folder[:1] not in (["running"], ["stages"])
        for imported in module.imports(f"poolflow.{kind}.{name}"):
            _, *folder, file = imported.split(".")
            assert not file.startswith("_") or folder == [kind], f"{kind}/{name}.py imports {imported}"
