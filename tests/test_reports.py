"""The contract of tables and figures, on every file in their folders, and which of them a study has."""

import json
import re
from importlib import import_module
from types import SimpleNamespace

import matplotlib.pyplot as plt
import pytest
from helpers import report

from poolflow.data import store
from poolflow.job import StageError
from poolflow.results import Results
from poolflow.study import plugins, reports
from poolflow.study.config import check, load_schema

KINDS = ("tables", "figures")
EVERY = [(kind, name) for kind in KINDS for name in plugins.names(kind)]
# The toy study has one data set and one plain learner; what is of more, of pseudo-labels, or of novel classes, has
# tests of its own.
OF_TOY = [
    (kind, name)
    for kind, name in EVERY
    for least in [plugins.literals(kind, name).get("AT_LEAST", {})]
    if least.get("datasets", 1) == least.get("learners", 1) == 1
    and "guessing" not in least
    and plugins.literals(kind, name).get("DATASETS") != "discovery"
]
READS = [(kind, name, need) for kind, name in OF_TOY for need in plugins.literals(kind, name)["NEEDS"]]
DIGITS = {"study": "small", "datasets": ["digits"], "initial_pools": ["random", "kmeans"], "strategies": ["entropy"]}
# What a table or a figure may ask for: the method, its arguments, and the need that it stands for.
METHODS = {
    "curves.csv": ("table", "curves"),
    "pools": ("pool", "toy", 0),
    "initial_pools": ("initial_pool", "toy", "a", 0, [None] * 60),
    "labeled": ("labeled", "toy", "net", "a", "s", 0, [None] * 60),
    "metrics": ("metrics", "toy", "net", "a", "s", 0, 1),
    "probs": ("probs", "toy", "net", "a", "s", 0, 0, [None] * 60),
    "clusters": ("clusters", "toy", "task", 0, 60),
    "embeddings": ("embedding", "toy", "inputs", 0, 60),
    "passive": ("passive", "toy", "net", 0),
}
CSV = {f"{name}.csv" for name in plugins.names("tables")}


@pytest.fixture(autouse=True)
def closed():
    """Close what a test draws."""
    yield
    plt.close("all")


def study(**changes):
    return check(DIGITS | changes)


def paths(study, kind, name=None):
    """Return the paths of a study's tables or figures, or of those of one plugin."""
    return [path for path, (plugin, _) in reports.wanted(study, kind).items() if name in (plugin, None)]


def settings(study, kind, path):
    return json.loads(reports.settings(study, kind, path))


def first(study, kind, name):
    """Return the settings of a plugin's first table or figure."""
    return settings(study, kind, paths(study, kind, name)[0])


def made(toy, kind, name):
    """Make the first table or figure of a plugin in the toy study."""
    path = paths(toy.study(), kind, name)[0]
    return toy.table(path) if kind == "tables" else toy.figure(path)


# The contract


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_literals_are_those_that_the_workflow_knows(kind, name):
    facts = reports.literals(kind, name)
    assert plugins.docstring(kind, name).partition("\n")[0]
    assert kind == "figures" or not {"FILE", "VIEWS", "PIXELS"} & set(facts)
    assert isinstance(facts["NEEDS"], tuple)
    assert len(set(facts["NEEDS"])) == len(facts["NEEDS"])
    assert all(isinstance(least, int) and least > 0 for least in facts.get("AT_LEAST", {}).values())
    assert facts.get("PIXELS", True) is True
    keys = [load_schema()["properties"][key]["properties"] for key in ("figures", "statistics")]
    assert set(plugins.parameters(kind, name)) <= {*keys[0], *keys[1]}
    assert not set(keys[0]) & set(keys[1])
    if kind == "figures":
        assert ("VIEWS" in facts) == ("{view}" in facts["FILE"])
        assert re.fullmatch(r"[a-z0-9_/{}]+", facts["FILE"])
        # What is only in the figure's path would never be read.
        of = {reports.WILDCARDS[key] for key in re.findall(r"{(\w+)}", facts["FILE"]) if key != "view"}
        read = {axis for need in facts["NEEDS"] for axis in reports.AXES.get(need, ())}
        assert of <= read or CSV.issuperset(facts["NEEDS"])


@pytest.mark.parametrize("kind", KINDS)
def test_everything_that_a_study_has_is_made_of_something_and_of_some_of_it_the_plugin_says_what(toy, kind):
    for found in (toy.study(), toy.study(cycles=0), study(), study(cycles=0), study(initial_pools=["random"])):
        tables = {f"<results>/{path}.csv" for path in paths(found, "tables")}
        for path in paths(found, kind):
            inputs = reports.inputs(found, kind, path)
            assert inputs
            assert len(set(inputs)) == len(inputs)
            assert all(file in tables for file in inputs if file.endswith(".csv"))
            assert settings(found, kind, path)["plugin"] in plugins.names(kind)
            assert re.fullmatch(r"\w{8,}", reports.plugin_code(found, kind, path))


@pytest.mark.parametrize("kind", KINDS)
def test_the_toy_study_has_them_all_and_its_files_are_all_that_is_read(toy, kind):
    found = toy.study()
    assert {(kind, plugin) for plugin, _ in reports.wanted(found, kind).values()} == {
        of for of in OF_TOY if of[0] == kind
    }
    files = {f"<results>/{path.relative_to(toy.root)}" for path in toy.root.rglob("*.*")}
    for path in paths(found, kind):
        assert files.issuperset(file for file in reports.inputs(found, kind, path) if not file.endswith(".csv"))


@pytest.mark.parametrize(("kind", "name"), OF_TOY)
def test_inputs_are_exactly_what_is_read(toy, kind, name, monkeypatch):
    """A file that is not an input may not be there yet; one that is not read would make for reruns."""
    path = paths(toy.study(), kind, name)[0]
    inputs = {file.removeprefix("<results>/") for file in reports.inputs(toy.study(), kind, path)}
    toy.tables_of(toy.study(), kind, path)
    read = set()

    def noted(function):
        return lambda file, *rest: read.add(str(file).removeprefix(f"{toy.root}/")) or function(file, *rest)

    monkeypatch.setattr(store, "read", noted(store.read))
    monkeypatch.setattr(store, "read_json", noted(store.read_json))
    table = Results.table
    monkeypatch.setattr(Results, "table", lambda self, name: noted(lambda _: table(self, name))(f"{name}.csv"))
    report(toy.study(), toy.root, kind, path, "csv" if kind == "tables" else "png")
    if name == "hard_classes":  # the metrics of the last cycle alone, which come last
        inputs -= {file for file in inputs if file.endswith("cycle0/metrics.json")}
    assert read == inputs


@pytest.mark.parametrize(("kind", "name", "need"), READS)
def test_a_plugin_that_reads_what_its_needs_do_not_name_is_told_so(toy, kind, name, need):
    made(toy, kind, name)  # the tables that it reads are there
    module = import_module(f"poolflow.{kind}.{name}")
    config = first(toy.study(), kind, name)
    needs = tuple(other for other in module.NEEDS if other != need)
    results = Results(SimpleNamespace(__name__="mine", NEEDS=needs), f"{toy.root}/", config)
    message = rf"^mine reads {need}, which is not in its NEEDS {re.escape(repr(needs))}$"
    with pytest.raises(StageError, match=message):
        getattr(module, {"tables": "table", "figures": "draw"}[kind])(results, **config["settings"])


@pytest.mark.parametrize("need", METHODS)
def test_each_need_is_of_one_method(toy, need):
    toy.table("curves")
    method, *arguments = METHODS[need]
    axes = reports.axes(toy.study())
    config = {"names": {}, "axes": axes, "first_learner": "net", "variants": {"s": "", "t": ""}}
    for needs in ((), (need,), tuple(other for other in METHODS if other != need)):
        results = Results(SimpleNamespace(__name__="mine", NEEDS=needs), f"{toy.root}/", config)
        if need in needs:
            getattr(results, method)(*arguments)
            continue
        bare = Results(SimpleNamespace(__name__="mine", NEEDS=needs), "", {"names": {}, "axes": {}})
        for asked in (results, bare):
            with pytest.raises(StageError, match=rf"^mine reads {need}, which is not in its NEEDS .*\)$"):
                getattr(asked, method)(*arguments)


def test_every_need_of_the_workflow_has_a_method():
    assert set(METHODS) == {*reports.FILES, "curves.csv"}
    assert reports.FILES.keys() == reports.AXES.keys()
    assert not set(reports.FILES) & CSV


@pytest.mark.parametrize("axis", [*reports.WILDCARDS.values(), "cycles", "colour"])
def test_an_axis_that_no_need_has_is_named(toy, axis):
    results = Results(SimpleNamespace(__name__="mine", NEEDS=("x",)), "", {"names": {}, "axes": {}})
    with pytest.raises(StageError, match=rf"^mine: nothing in its NEEDS \('x',\) has {axis}$"):
        getattr(results, axis)
    with pytest.raises(StageError, match=r"^mine: nothing in its NEEDS .* has datasets$"):
        list(results.chains())


@pytest.mark.parametrize("ending", ["png", "svg"])
@pytest.mark.parametrize("name", [name for kind, name in OF_TOY if kind == "figures"])
def test_a_figure_has_the_same_bytes_each_time(toy, name, ending):
    path = paths(toy.study(), "figures", name)[0]
    contents = []
    for _ in range(2):
        file = toy.figure(path, ending)
        contents.append(file.read_bytes())
        file.unlink()
    assert contents[0] == contents[1]
    if ending == "svg":
        assert contents[0].startswith(b"<?xml")
        assert b"<dc:date>" not in contents[0]
    else:
        assert plt.imread(toy.figure(path))[..., :3].std() > 0.02


@pytest.mark.parametrize("name", [name for kind, name in OF_TOY if kind == "tables"])
def test_a_table_has_the_same_bytes_each_time_and_begins_with_its_data_set(toy, name):
    contents = []
    toy.tables_of(toy.study(), "tables", name)
    for _ in range(2):
        contents.append(report(toy.study(), toy.root, "tables", name).read_bytes())
    assert contents[0] == contents[1]
    assert contents[0].startswith(b"dataset,")
    assert b"\ntoy," in contents[0]


def test_a_plugin_that_breaks_the_contract_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(plugins, "PACKAGE", tmp_path)
    (tmp_path / "figures").mkdir()
    wrong = {
        "NEEDS": ('NEEDS = ("curve.csv",)', "NEEDS: found curve.csv, expected some of pools, initial_pools, "),
        "none": ('FILE = "x"', "NEEDS: found None"),
        "words": ('NEEDS = ("pools")', "NEEDS: found p, expected"),
        "FILE": ('NEEDS = ("pools",)\nFILE = "{datset}/x"', "FILE: found datset, expected some of dataset, learner, "),
        "views": ('NEEDS = ("pools",)\nFILE = "{view}"', "FILE: found view"),
        "AT_LEAST": ('NEEDS = ("pools",)\nAT_LEAST = {"pool": 2}', "AT_LEAST: found pool, expected some of datasets, "),
        "DATASETS": ('NEEDS = ("pools",)\nDATASETS = "mine"', "DATASETS: found mine, expected some of all, images, na"),
        "SEEDS": ('NEEDS = ("pools",)\nSEEDS = "last"', "SEEDS: found last, expected some of first"),
    }
    for name, (text, message) in wrong.items():
        (tmp_path / f"figures/broken_{name}.py").write_text(text)
        with pytest.raises(plugins.PluginError, match=re.escape(f"{tmp_path}/figures/broken_{name}.py: {message}")):
            reports.literals("figures", f"broken_{name}")


def test_two_figures_of_one_file_are_named(monkeypatch):
    facts = {"NEEDS": ("pools",), "FILE": "{dataset}/mine"}
    found = study()
    monkeypatch.setattr(reports, "literals", lambda *_: facts)
    monkeypatch.setattr(plugins, "names", lambda kind: ["one", "two"] if kind == "figures" else [])
    with pytest.raises(plugins.PluginError, match="figures: one and two both make digits/mine; FILE must tell them"):
        reports.wanted(found, "figures")


# Which of them a study has

FOLLOWED = {"acquired", "acquired_classes", "class_accuracy", "hard_classes"}
PAIRED = {"overlap", "overlap_cycles", "pool_tests"}
TABLES = {"curves", "summary", "pool_classes", "pools", "scores"} | FOLLOWED | PAIRED
COMPARED = {"differences", "label_savings", "overlap_strategies", "strategy_tests"}  # from two strategies on
CLUSTERED = {"clusters", "clusters_summary"}


def figures(study):
    """Return {plugin: how many figures of it}."""
    found = {}
    for plugin, _ in reports.wanted(study, "figures").values():
        found[plugin] = found.get(plugin, 0) + 1
    return found


def test_what_a_study_of_digits_has():
    assert set(paths(study(), "tables")) == TABLES | CLUSTERED
    assert paths(study(), "figures") == [
        *("digits/small_cnn/acquired/random", "digits/small_cnn/acquired/kmeans"),
        *(
            "digits/small_cnn/acquired/random_simclr",
            "digits/small_cnn/acquired/kmeans_simclr",
            "digits/small_cnn/areas",
        ),
        *("digits/small_cnn/class_accuracy/random", "digits/small_cnn/class_accuracy/kmeans"),
        *("digits/pools/first_random", "digits/pools/first_kmeans"),
        *("digits/small_cnn/by_strategy", "digits/small_cnn/by_pool", "digits/small_cnn/overlap_cycles"),
        *("digits/pools/histograms", "digits/pools/tsne_simclr", "digits/pools/overlap"),
        *("digits/small_cnn/uncertainty/random", "digits/small_cnn/uncertainty/kmeans"),
    ]


def test_one_initial_pool_shares_nothing_with_another():
    found = study(initial_pools=["random"])
    assert set(paths(found, "tables")) == TABLES - PAIRED  # and there are no clusters
    followed = {"acquired_classes": 1, "areas": 1, "class_accuracy": 1, "uncertainty": 1}
    assert figures(found) == {"contact_sheet": 1, "learning_curves": 2, "pool_classes": 1} | followed


def test_strategies_are_compared_from_two_on_and_with_random_where_it_is():
    found = study(strategies=["entropy", "margin"])
    assert set(paths(found, "tables")) - TABLES - CLUSTERED == {"overlap_strategies", "penalty", "strategy_tests"}
    mine = {"entropy": None, "mine": {"strategy": "random"}}
    found = study(strategies=mine)
    assert set(paths(found, "tables")) - TABLES - CLUSTERED == COMPARED | {"penalty"}
    assert settings(found, "tables", "strategy_tests")["settings"]["reference"] == "mine"
    assert settings(found, "tables", "pool_tests")["settings"]["reference_pool"] == "random"
    assert "penalty" not in paths(study(strategies=mine, seeds=[0]), "tables")
    other = study(strategies=mine, statistics={"reference": "entropy"})
    assert settings(other, "tables", "strategy_tests")["settings"]["reference"] == "entropy"


def test_without_cycles_nothing_is_followed_over_them():
    found = study(cycles=0)
    assert set(paths(found, "tables")) == (TABLES | CLUSTERED) - (FOLLOWED - {"class_accuracy"}) - {"overlap_cycles"}
    gone = {"overlap_cycles", "acquired_classes", "acquired_map", "areas", "class_accuracy", "uncertainty"}
    assert set(figures(study())) - set(figures(found)) == gone


def test_without_a_task_that_gives_clusters_there_is_nothing_of_them():
    found = study(initial_pools={"random": None, "typiclust": {"pretext": "simclr"}})
    assert set(paths(found, "tables")) == TABLES
    assert paths(found, "figures", "pool_map") == ["digits/pools/tsne_simclr"]


def test_a_map_is_by_the_features_that_the_clusters_are_of():
    pools = {"random": None, "kmeans": {"pretext": "mine"}, "deepcluster": None}
    found = study(initial_pools=pools, pretext={"mine": {"task": "kmeans", "of": "vae"}})
    assert reports.axes(found)["clusterings"] == ["mine", "deepcluster"]
    assert paths(found, "figures", "pool_map") == [f"digits/pools/tsne_{task}" for task in ("vae", "deepcluster")]


def test_features_have_no_sheets(tmp_path):
    found = study(
        datasets={"digits": None, "rows": {"dataset": "features", "path": "rows.npz"}},
        learners={"linear": None},
        initial_pools=["random"],
    )
    assert paths(found, "figures", "contact_sheet") == ["digits/pools/first_random"]
    assert paths(found, "figures", "pool_classes") == ["digits/pools/histograms", "rows/pools/histograms"]
    assert reports.to_label(found) == []


def test_a_data_set_without_images_at_all_has_no_sheet():
    rows = {"rows": {"dataset": "features", "path": "rows.npz"}}
    found = study(datasets=rows, learners={"linear": None}, initial_pools=["random"])
    followed = {"acquired_classes": 1, "areas": 1, "class_accuracy": 1, "uncertainty": 1}
    assert figures(found) == {"learning_curves": 2, "pool_classes": 1} | followed


CELLS = {"cells": {"dataset": "image_folder", "path": "cells"}, "digits": None}


@pytest.mark.parametrize("cycles", [0, 2])
def test_what_to_label_is_of_data_sets_whose_files_have_names(cycles):
    found = study(datasets=CELLS, cycles=cycles)
    assert "to_label" in paths(found, "tables")
    sheets = [f"cells/pools/first_{pool}" for pool in ("random", "kmeans")]
    if cycles:
        sheets = [f"cells/small_cnn/to_label/{pool}/entropy" for pool in ("random", "kmeans")]
    assert paths(found, "figures", "to_label") == (sheets if cycles else [])
    assert reports.to_label(found) == ["<results>/to_label.csv", *(f"<results>/figures/{path}.png" for path in sheets)]
    assert all("digits" not in file for file in reports.inputs(found, "tables", "to_label"))
    assert settings(found, "tables", "to_label")["axes"]["datasets"] == ["cells"]


def test_several_learners_share_what_is_of_the_initial_pools():
    one, two = study(), study(learners=["small_cnn", "mlp"])
    assert {plugin: number - figures(one)[plugin] for plugin, number in figures(two).items()} == {
        **{"acquired_classes": 2, "acquired_map": 2, "areas": 1, "class_accuracy": 2},
        **{"contact_sheet": 0, "learning_curves": 2, "overlap_cycles": 1},
        **{"pool_classes": 0, "pool_map": 0, "pool_overlap": 0, "uncertainty": 2},
    }
    for table in ("pools", "pool_classes", "overlap", "clusters"):
        assert reports.inputs(two, "tables", table) == reports.inputs(one, "tables", table)
    assert len(reports.inputs(two, "tables", "curves")) == 2 * len(reports.inputs(one, "tables", "curves"))


def test_without_cycles_what_to_label_is_the_same_for_every_learner_and_strategy():
    found = study(datasets=CELLS, learners=["mlp", "small_cnn"], strategies=["entropy", "dbal"], cycles=0, seeds=[3])
    assert reports.inputs(found, "tables", "to_label") == [
        "<results>/cells/dataset.h5",
        "<results>/cells/pool/seed3.h5",
        *(f"<results>/cells/mlp/{pool}/seed3/cycle0/labeled.h5" for pool in ("random", "kmeans")),
    ]


def test_uncertainty_is_of_strategies_whose_probabilities_are_kept():
    chain = "<results>/digits/small_cnn/random"
    found = study(strategies=["random", "entropy", "coreset", "dbal"], cycles=2, seeds=[4, 5])
    path = "digits/small_cnn/uncertainty/random"
    assert [file for file in reports.inputs(found, "figures", path) if "cycle" in file] == [
        f"{chain}/entropy/seed4/cycle2/labeled.h5",
        f"{chain}/seed4/cycle0/probs.h5",
        f"{chain}/entropy/seed4/cycle1/probs.h5",
    ]
    for changes in ({"strategies": ["random", "coreset", "dbal"]}, {"strategies": ["entropy"], "keep": False}):
        assert "uncertainty" not in figures(study(**changes))


def test_a_figure_is_there_where_its_tables_are(monkeypatch):
    facts = {"NEEDS": ("overlap.csv", "pools"), "FILE": "mine"}
    monkeypatch.setattr(
        plugins, "names", lambda kind, names=plugins.names: ["mine"] * (kind == "figures") or names(kind)
    )
    literals = reports.literals
    monkeypatch.setattr(reports, "literals", lambda kind, name: facts if name == "mine" else literals(kind, name))
    assert paths(study(), "figures") == ["mine"]
    assert paths(study(initial_pools=["random"]), "figures") == []


# What they are made of


def test_the_inputs_of_a_table_and_of_a_figure():
    found = study(seeds=[4], cycles=1, strategies=["entropy", "dbal"])
    chain = "<results>/digits/small_cnn"
    assert reports.inputs(found, "tables", "curves") == [
        f"{chain}/{path}/metrics.json"
        for pool in ("random", "kmeans")
        for path in (
            *(f"{pool}/seed4/cycle0", f"{pool}/entropy/seed4/cycle1"),
            *(f"{pool}+dropout/seed4/cycle0", f"{pool}/dbal/seed4/cycle1"),
        )
    ]
    assert reports.inputs(study(seeds=[4, 5]), "figures", "digits/pools/tsne_simclr") == [
        "<results>/digits/dataset.h5",
        "<results>/digits/pool/seed4.h5",
        f"{chain}/random/seed4/cycle0/labeled.h5",
        f"{chain}/kmeans/seed4/cycle0/labeled.h5",
        "<results>/digits/pretext/simclr/seed4/tsne.h5",
    ]
    assert reports.inputs(found, "figures", "digits/small_cnn/by_pool") == ["<results>/curves.csv"]


@pytest.mark.parametrize("kind", KINDS)
def test_no_two_share_a_file_or_read_another_s_data_set(kind):
    found = study(datasets=CELLS, learners=["small_cnn", "mlp"], strategies=["entropy", "random"])
    wanted = reports.wanted(found, kind)
    of = [(plugin, *sorted(names.items())) for plugin, names in wanted.values()]
    assert len(set(of)) == len(of)
    for path, (_, names) in wanted.items():
        if "dataset" in names:
            other = ({"cells", "digits"} - {names["dataset"]}).pop()
            assert not any(file.startswith(f"<results>/{other}/") for file in reports.inputs(found, kind, path))
            assert names["dataset"] == path.split("/")[0]
            assert settings(found, kind, path)["axes"].get("datasets", [names["dataset"]]) == [names["dataset"]]


def test_a_job_is_given_what_it_reads_and_nothing_else():
    one, more = study(), study(strategies=["entropy", "random"])
    for table in ("curves", "summary", "hard_classes", "overlap_cycles"):
        assert settings(one, "tables", table) != settings(more, "tables", table)
    for table in ("pools", "pool_classes", "overlap", "clusters", "clusters_summary"):
        assert settings(one, "tables", table) == settings(more, "tables", table)
    followed = ["learning_curves", "overlap_cycles", "acquired_classes", "acquired_map", "areas", "class_accuracy"]
    of_strategies = [path for name in followed for path in paths(one, "figures", name)]
    for path in paths(one, "figures"):
        same = settings(one, "figures", path) == settings(more, "figures", path)
        assert same == (path not in of_strategies)
    seeds = study(seeds=[0, 1, 2, 3])
    for path in ("digits/pools/first_random", "digits/pools/tsne_simclr"):  # of the first seed
        assert settings(study(seeds=[0]), "figures", path) == settings(seeds, "figures", path)
    assert settings(study(seeds=[0]), "tables", "pools") != settings(seeds, "tables", "pools")
    dpi = study(figures={"dpi": 77})
    changed = [
        path for path in paths(one, "figures") if settings(one, "figures", path) != settings(dpi, "figures", path)
    ]
    assert {reports.wanted(one, "figures")[path][0] for path in changed} == set(figures(one)) - {"contact_sheet"}
    title = study(figures={"title": "Mine"})
    changed = [
        path for path in paths(one, "figures") if settings(one, "figures", path) != settings(title, "figures", path)
    ]
    assert changed == paths(one, "figures", "learning_curves")
    assert all(settings(one, "tables", path) == settings(title, "tables", path) for path in paths(one, "tables"))


def test_the_exact_settings_of_a_table_and_of_a_figure():
    found = study(strategies=["entropy", "dbal"], seeds=[0, 1], cycles=3)
    assert settings(found, "tables", "curves") == {
        "plugin": "curves",
        "names": {},
        "axes": {
            "datasets": ["digits"],
            "learners": ["small_cnn"],
            "initial_pools": ["random", "kmeans"],
            "strategies": ["entropy", "dbal"],
            "seeds": [0, 1],
            "cycles": 3,
        },
        "settings": {},
        "variants": {"entropy": "", "dbal": "dropout"},
    }
    assert settings(found, "figures", "digits/pools/first_kmeans") == {
        "plugin": "contact_sheet",
        "names": {"dataset": "digits", "initial_pool": "kmeans"},
        "axes": {"datasets": ["digits"], "initial_pools": ["kmeans"], "seeds": [0]},
        "settings": {},
        "first_learner": "small_cnn",
    }


# A plugin of one's own


def own(toy, monkeypatch, kind, facts, **changes):
    """Return the results that a plugin of one's own sees, each with the paths of its files, in the toy study."""
    found = toy.study(**changes)
    monkeypatch.setattr(plugins, "names", lambda kind_, names=plugins.names: ["mine"] * (kind_ == kind) or names(kind_))
    literals = plugins.literals
    monkeypatch.setattr(plugins, "literals", lambda *of: facts if of == (kind, "mine") else literals(*of))
    parameters = plugins.parameters
    monkeypatch.setattr(plugins, "parameters", lambda *of: {} if of[1] == "mine" else parameters(*of))
    for path in paths(found, kind):
        results = Results(SimpleNamespace(__name__="mine", **facts), f"{toy.root}/", settings(found, kind, path))
        yield results, reports.inputs(found, kind, path)


def test_labelled_sets_and_metrics_without_cycles(toy, monkeypatch):
    """Even where every strategy needs a variant of the network, whose cycle 0 has no labelled set of its own."""
    facts = {"NEEDS": ("labeled", "metrics")}
    strategies = {"s": {"strategy": "dbal"}}
    [(results, inputs)] = own(toy, monkeypatch, "tables", facts, cycles=0, strategies=strategies)
    chains = list(results.chains())
    assert chains == [("toy", "net", pool, "", seed) for pool in "abc" for seed in (0, 1)]
    assert all((toy.root / file.removeprefix("<results>/")).exists() for file in inputs)
    for *chain, seed in chains:
        assert len(results.labeled(*chain, seed, range(60))[0]) == 12
        assert results.metrics(*chain, seed, 0)["labeled"] == 12


def test_a_figure_for_each_strategy_without_cycles_sees_the_initial_pools(toy, monkeypatch):
    facts = {"NEEDS": ("labeled",), "FILE": "{dataset}/{learner}/{strategy}"}
    strategies = {"s": {"strategy": "dbal"}, "t": {"strategy": "random"}}
    found = list(own(toy, monkeypatch, "figures", facts, cycles=0, strategies=strategies))
    assert [results.names["strategy"] for results, _ in found] == ["s", "t"]
    for results, inputs in found:
        expected = [f"<results>/toy/net/{pool}/seed{seed}/cycle0/labeled.h5" for pool in "abc" for seed in (0, 1)]
        assert inputs == expected
        for *chain, seed in results.chains():
            assert len(results.labeled(*chain, seed, range(60))[0]) == 12


def test_a_figure_of_a_pretext_task_and_a_seed_finds_its_rows(toy, monkeypatch):
    toy.table("clusters")
    facts = {"NEEDS": ("clusters.csv",), "FILE": "{dataset}/{clustering}/{seed}"}
    found = list(own(toy, monkeypatch, "figures", facts))
    assert [inputs for _, inputs in found] == [["<results>/clusters.csv"]] * 2
    for results, _ in found:
        rows = results.of_names("clusters")
        assert rows[["dataset", "pretext", "seed"]].values.tolist() == [["toy", "task", results.names["seed"]]]
        results.names["clustering"] = "absent"
        with pytest.raises(StageError, match=r"clusters\.csv: found no row of .*absent.*, expected some$"):
            results.of_names("clusters")
