"""Which edits change the digest of a stage's code."""

import pytest

from poolflow import digest as module

FILES = {
    "pkg/__init__.py": '"""Package."""\n',
    "pkg/stage.py": '"""Stage."""\nfrom pkg.kernels import fast\nfrom importlib import import_module\n\n\nx = fast()\n',
    "pkg/late.py": "def f():\n    from .helpers import help_me\n    return help_me\n",
    "pkg/whole.py": "import pkg.kernels\n",
    "pkg/helpers.py": "def help_me():\n    return 1\n",
    "pkg/kernels/__init__.py": "from pkg.kernels.a import fast\nfrom pkg.kernels.b import slow as slower\n",
    "pkg/kernels/a.py": "def fast():\n    '''Doc.'''\n    return 1  # comment\n",
    "pkg/kernels/b.py": "def slow():\n    return 1\n",
}


@pytest.fixture
def digest_of(tmp_path, monkeypatch):
    """Return a function: write the files with some replaced, return the digest of a module."""

    def run(name, **changes):
        for path, text in (FILES | {key.replace("__", "/") + ".py": value for key, value in changes.items()}).items():
            (tmp_path / path).parent.mkdir(exist_ok=True, parents=True)
            (tmp_path / path).write_text(text)
        monkeypatch.setattr(module, "ROOT", tmp_path)
        for function in (module.digest, module._tree, module._source, module._imports):
            function.cache_clear()
        return module.digest(name)

    yield run
    for function in (module.digest, module._tree, module._source, module._imports):
        function.cache_clear()


SAME = {
    "comment": {"pkg__kernels__a": "def fast():\n    '''Doc.'''\n    return 1  # another comment\n"},
    "docstring": {"pkg__kernels__a": "def fast():\n    return 1\n"},
    "formatting": {"pkg__kernels__a": "def fast( ):\n\n\n    return (1)\n"},
    "a kernel that is not imported": {"pkg__kernels__b": "def slow():\n    return 2\n"},
    "a re-export beside": {"pkg__kernels____init__": FILES["pkg/kernels/__init__.py"] + "from pkg.helpers import x\n"},
}


@pytest.mark.parametrize("edit", SAME)
def test_edits_that_do_not_count(digest_of, edit):
    assert digest_of("pkg.stage") == digest_of("pkg.stage", **SAME[edit])


OTHER = {
    "code": {"pkg__stage": FILES["pkg/stage.py"].replace("fast()", "fast() + 1")},
    "a literal": {"pkg__stage": FILES["pkg/stage.py"] + "NEEDS = ('probs',)\n"},
    "a string that is no docstring": {"pkg__stage": FILES["pkg/stage.py"] + "y = 'text'\n"},
    "code of what it imports": {"pkg__kernels__a": "def fast():\n    return 2\n"},
}


@pytest.mark.parametrize("edit", OTHER)
def test_edits_that_count(digest_of, edit):
    assert digest_of("pkg.stage") != digest_of("pkg.stage", **OTHER[edit])


def test_relative_imports_inside_functions_are_followed(digest_of):
    changed = "def help_me():\n    return 2\n"
    assert digest_of("pkg.late") != digest_of("pkg.late", pkg__helpers=changed)


def test_importing_a_package_whole_depends_on_all_of_it(digest_of):
    changed = "def slow():\n    return 2\n"
    assert digest_of("pkg.whole") != digest_of("pkg.whole", pkg__kernels__b=changed)


def test_stages_do_not_depend_on_each_other_s_plugins():
    module._imports.cache_clear()
    for stage in ("download", "dataset", "pool", "initial_pool", "acquire", "train", "embed", "curves", "figures"):
        closure = set()
        module._follow(f"poolflow.{stage}", closure)
        parts = {name.split(".")[1] for name in closure}
        assert not parts & {"datasets", "models", "initial_pools", "strategies", "kernels", "config", "plugins"}
