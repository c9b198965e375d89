"""What an edit reruns: each edit on a copy of a finished study, against the dry run's list of outputs."""

import os

import pytest
import yaml
from conftest import TINY

FIGURES = {"figures/digits/small_cnn/by_strategy.png", "figures/digits/small_cnn/by_pool.png"}
POOLS = ("random", "kmeans")
OF_LEARNER = "figures/digits/small_cnn"


def followed(pool):
    """Return the figures of what the strategies did from an initial pool."""
    return {f"{OF_LEARNER}/acquired/{pool}.png", f"{OF_LEARNER}/class_accuracy/{pool}.png"} | acquired_map(pool)


def acquired_map(pool):
    return {f"{OF_LEARNER}/acquired/{pool}_simclr.png"}


ANALYSIS = FIGURES | {"curves.csv", "summary.csv", "hard_classes.csv", "scores.csv", "class_accuracy.csv"}
ANALYSIS |= {"strategy_tests.csv", "pool_tests.csv", "differences.csv", "label_savings.csv"}
ANALYSIS |= {"acquired.csv", "acquired_classes.csv", "overlap_cycles.csv", "overlap_strategies.csv"}
ANALYSIS |= {
    f"{OF_LEARNER}/{name}.png"
    for name in ("areas", "difference_to_random", "label_savings", "overlap_cycles", "overlap_strategies")
}
ANALYSIS = ANALYSIS.union(*map(followed, POOLS))
PENALTY = {"penalty.csv", "figures/penalty.png"}  # from two seeds on
NEEDS = {"random": [], "entropy": ["probs"], "coreset": ["features"], "sharpened": ["probs"], "margin": ["probs"]}
NEEDS |= {"dbal": ["mc_probs"], "variation_ratio": ["ensemble_probs"], "learning_loss": ["predicted_loss"]}
NEEDS |= {"badge": ["probs", "features"], "emoc": [], "svm_distance": ["features"]}


def pretext(task, *names, seed=0):
    return {f"digits/pretext/{task}/seed{seed}/{name}" for name in names}


# What a study reports of its initial pools, of all of them and of each.
POOL_TABLES = {"pools.csv", "pool_classes.csv", "overlap.csv"}
POOL_TABLES |= {"figures/digits/pools/histograms.png", "figures/digits/pools/overlap.png"}
MAP = pretext("simclr", "tsne.h5") | {"figures/digits/pools/tsne_simclr.png"}
SHEETS = {f"figures/digits/pools/first_{pool}.png" for pool in POOLS}
CLUSTERS = {"clusters.csv", "clusters_summary.csv"}
REPORTS = POOL_TABLES | MAP | SHEETS | CLUSTERS
SIMCLR = ("model.pt", "losses.csv", "features.h5")


def cycle0(pool, seed=0, needs=("probs", "features")):
    folder = f"digits/small_cnn/{pool}/seed{seed}/cycle0"
    return {f"{folder}/{name}" for name in ("model.pt", "metrics.json", *(f"{need}.h5" for need in needs))}


def labeled0(pool, seed=0):
    return {f"digits/small_cnn/{pool}/seed{seed}/cycle0/labeled.h5"}


def chain(pool, strategy, seed=0, cycles=(1, 2), last=2, acquire=True, predict=True):
    """Return the outputs of a strategy's cycles, and the figure of the probabilities that it uses."""
    paths = set()
    for cycle in cycles:
        folder = f"digits/small_cnn/{pool}/{strategy}/seed{seed}/cycle{cycle}"
        needs = [f"{need}.h5" for need in NEEDS[strategy]] if predict and cycle < last else []
        paths |= {f"{folder}/{name}" for name in ["model.pt", "metrics.json", *needs]}
        paths |= {f"{folder}/labeled.h5"} if acquire else set()
    return paths | ({f"{OF_LEARNER}/uncertainty/{pool}.png"} if "probs" in NEEDS[strategy] and not seed else set())


def chains(strategies, **options):
    return set().union(*(chain(pool, strategy, **options) for pool in POOLS for strategy in strategies))


STRATEGIES = tuple(TINY["strategies"])
OTHER_KINDS = ("dbal", "variation_ratio", "learning_loss")
WHOLE = {"report.html", "digits/dataset.h5", "digits/pool/seed0.h5"} | ANALYSIS | REPORTS
WHOLE |= pretext("simclr", *SIMCLR) | pretext("kmeans", "clusters.h5")
WHOLE |= chains(STRATEGIES).union(*(cycle0(pool) | labeled0(pool) for pool in POOLS))


def strategy(name):
    return f"workflow/poolflow/strategies/{name}.py"


def touch_everything(project):
    for folder, _, files in os.walk(project.folder):
        for name in files:
            os.utime(os.path.join(folder, name))


def add_seed(project):
    project.configure(seeds=[0, 1])


SEED1 = {"digits/pool/seed1.h5"} | chains(STRATEGIES, seed=1).union(
    *(cycle0(pool, 1) | labeled0(pool, 1) for pool in POOLS)
)
SEED1 |= pretext("simclr", *SIMCLR, seed=1) | pretext("kmeans", "clusters.h5", seed=1) | POOL_TABLES | CLUSTERS
# What follows from other images in the pool of k-means.
OTHER_KMEANS = (
    cycle0("kmeans") | labeled0("kmeans") | ANALYSIS | POOL_TABLES | MAP | {"figures/digits/pools/first_kmeans.png"}
)
OTHER_KMEANS |= set().union(*(chain("kmeans", s) for s in STRATEGIES))
# Random needs no network: after a change of the training it acquires the same images and does not acquire again.
RETRAINED = chains(STRATEGIES[1:]) | chains(["random"], acquire=False) | ANALYSIS
RETRAINED |= set().union(*(cycle0(pool) for pool in POOLS))

# What follows from other features of the networks.
OTHER_FEATURES = chains(["coreset"]) | ANALYSIS
OTHER_FEATURES |= {f"digits/small_cnn/{pool}/seed0/cycle0/features.h5" for pool in POOLS}


def move_modules(project):
    """Move a module of the library into another folder under another name, and one beside it."""
    package = project.folder / "workflow/poolflow"
    (package / "data/candidates.py").rename(package / "training/to_choose_from.py")
    (package / "data/rows.py").rename(package / "data/blocks.py")
    for path in package.rglob("*.py"):
        text = path.read_text()
        for old, new in (("data.candidates", "training.to_choose_from"), ("data.rows", "data.blocks")):
            text = text.replace(f"from poolflow.{old} import", f"from poolflow.{new} import")
        path.write_text(text)


def change_the_machine(project):
    """Change code of every file in running/."""
    for path in (project.folder / "workflow/poolflow/running").glob("*.py"):
        path.write_text(path.read_text() + "\n\nADDED = 1\n")


COMPARED = {"strategy_tests.csv", "pool_tests.csv", "label_savings.csv", f"{OF_LEARNER}/label_savings.png"}
EDITS = {
    "nothing": (lambda p: None, set()),
    "a comment in a strategy": (lambda p: p.edit(strategy("entropy"), "def select", "# why\ndef select"), set()),
    "a docstring in a strategy": (lambda p: p.edit(strategy("entropy"), '"""Entropy', '"""The entropy'), set()),
    "formatting of a strategy": (lambda p: p.edit(strategy("entropy"), '("probs",)', "(  'probs',  )"), set()),
    "a comment in the rules": (lambda p: p.edit("workflow/rules/cycle.smk", "rule train:", "# x\nrule train:"), set()),
    "a docstring in a shared module": (
        lambda p: p.edit("workflow/poolflow/data/store.py", '"""HDF5 and', '"""All HDF5 and'),
        set(),
    ),
    "all files touched": (touch_everything, set()),
    "the place of the data": (lambda p: p.configure(data_root="/elsewhere"), set()),
    "the order of the config": (lambda p: p.configure(dict(reversed(TINY.items()))), set()),
    "code of a strategy": (
        lambda p: p.edit(strategy("entropy"), "entropy(pool.probs)", "1 * entropy(pool.probs)"),
        chains(["entropy"]) | ANALYSIS,
    ),
    "a helper of one strategy": (
        lambda p: p.edit(strategy("_sharpen"), "return powers", "return 1 * powers"),
        chains(["sharpened"]) | ANALYSIS,
    ),
    "a kernel of one strategy": (
        lambda p: p.edit("workflow/poolflow/kernels/kcenter.py", "CROWDED = 16", "CROWDED = 15"),
        chains(["coreset"]) | ANALYSIS,
    ),
    "a parameter of one strategy": (
        lambda p: p.configure(strategies=TINY["strategies"] | {"sharpened": {"power": 3.0}}),
        chains(["sharpened"]) | ANALYSIS,
    ),
    "a strategy added": (
        lambda p: p.configure(strategies=TINY["strategies"] | {"margin": None}),
        chains(["margin"]) | ANALYSIS,
    ),
    "a strategy added that needs two outputs of the network": (
        lambda p: p.configure(strategies=TINY["strategies"] | {"badge": None}),
        chains(["badge"]) | ANALYSIS,
    ),
    "strategies added that need other kinds of networks": (
        lambda p: p.configure(strategies=TINY["strategies"] | dict.fromkeys(OTHER_KINDS)),
        chains(OTHER_KINDS)
        | ANALYSIS
        | set().union(
            *(cycle0(f"{pool}+dropout", needs=["mc_probs"]) for pool in POOLS),
            *(cycle0(f"{pool}+ensemble", needs=["ensemble_probs"]) for pool in POOLS),
            *(cycle0(f"{pool}+loss_prediction", needs=["predicted_loss"]) for pool in POOLS),
        ),
    ),
    "strategies added that need the network and the labels": (
        lambda p: p.configure(strategies=TINY["strategies"] | {"emoc": None, "svm_distance": None}),
        chains(["emoc", "svm_distance"]) | ANALYSIS,
    ),
    "settings that no strategy of the study needs": (
        lambda p: p.configure(training=TINY["training"] | {"passes": 50, "members": 5}),
        set(),
    ),
    "the values of the training by another name": (
        lambda p: p.write("workflow/recipes/mine.yaml", "epochs: 2\n") or p.configure(training={"recipe": "mine"}),
        set(),
    ),
    "a setting of the pool": (
        lambda p: p.configure(pool=TINY["pool"] | {"subset": 1000}),
        WHOLE - {"digits/dataset.h5"},
    ),
    "a strategy removed": (
        lambda p: p.configure(strategies={k: v for k, v in TINY["strategies"].items() if k != "entropy"}),
        ANALYSIS | {f"{OF_LEARNER}/uncertainty/{pool}.png" for pool in POOLS},
    ),
    "an initial pool added": (
        lambda p: p.configure(initial_pools={"random": None, "kmeans": None, "five": {"initial_pool": "random"}}),
        (cycle0("five") | labeled0("five") | ANALYSIS).union(
            *(chain("five", s) for s in STRATEGIES),
            POOL_TABLES | MAP | {"figures/digits/pools/first_five.png"} | followed("five"),
        ),
    ),
    "code of an initial pool": (
        lambda p: p.edit("workflow/poolflow/initial_pools/kmeans.py", "rng, quota)", "rng, 1 * quota)"),
        OTHER_KMEANS,
    ),
    "a parameter of an output of a pretext task": (
        lambda p: p.configure(pretext=TINY["pretext"] | {"kmeans": {"starts": 2}}),
        OTHER_KMEANS | pretext("kmeans", "clusters.h5") | CLUSTERS,
    ),
    "a parameter of the training of a pretext task": (
        lambda p: p.configure(pretext={"simclr": {"epochs": 2}}),
        OTHER_KMEANS | pretext("kmeans", "clusters.h5") | pretext("simclr", *SIMCLR) | CLUSTERS,
    ),
    "a pretext task that nothing uses": (
        lambda p: p.configure(pretext=TINY["pretext"] | {"vae": {"epochs": 2}}),
        set(),
    ),
    "the features of a pretext task for a strategy": (
        lambda p: p.configure(strategies=TINY["strategies"] | {"coreset": {"pretext": "simclr"}}),
        chains(["coreset"], predict=False) | ANALYSIS,
    ),
    "the whole pool as a reference": (
        lambda p: p.configure(passive=True),
        cycle0("passive", needs=())
        | labeled0("passive")
        | {"passive.csv", "report.html"}
        | {f"{OF_LEARNER}/{view}.png" for view in ("by_pool", "by_strategy")},
    ),
    "a seed more": (add_seed, (SEED1 | ANALYSIS | PENALTY).difference(*map(acquired_map, POOLS))),
    "a cycle more": (
        lambda p: p.configure(cycles=3),
        chains(STRATEGIES, cycles=[3])
        | ANALYSIS
        # the second cycle was the last: what the third needs of it was not made
        | {path for path in chains(STRATEGIES, cycles=[2], last=3) if path.endswith(("probs.h5", "features.h5"))},
    ),
    "a training setting": (lambda p: p.configure(training={"epochs": 3}), RETRAINED),
    "code of the network": (
        lambda p: p.edit("workflow/poolflow/networks/small_cnn.py", "nn.MaxPool2d(2)", "nn.AvgPool2d(2)"),
        RETRAINED | OTHER_KMEANS | pretext("kmeans", "clusters.h5") | pretext("simclr", *SIMCLR) | CLUSTERS,
    ),
    "the title of the figures": (lambda p: p.configure(figures={"title": "Digits"}), FIGURES),
    "code of a figure": (
        lambda p: p.edit("workflow/poolflow/figures/learning_curves.py", "STEEP = 0.6", "STEEP = 0.5"),
        FIGURES,
    ),
    "the resolution of the figures": (
        lambda p: p.configure(figures={"dpi": 50}),
        {path for path in WHOLE if path.startswith("figures/")} - SHEETS,
    ),
    "code of a table that a figure shows": (
        lambda p: p.edit("workflow/poolflow/tables/overlap.py", "common / len", "1 * common / len"),
        {"overlap.csv", "figures/digits/pools/overlap.png"},
    ),
    "the report": (
        lambda p: p.edit("workflow/poolflow/reporting/content.py", "SIDE = 40", "SIDE = 41"),
        {"report.html"},
    ),
    "the page of the report": (
        lambda p: p.edit("workflow/poolflow/reporting/page.css", "max-width: 72rem", "max-width: 70rem"),
        {"report.html"},
    ),
    "what is compared": (lambda p: p.configure(statistics={"alpha": 0.1}), COMPARED),
    "modules moved and called otherwise": (move_modules, set()),
    "the machine": (change_the_machine, set()),
    "a learner": (
        lambda p: p.edit("workflow/poolflow/learners/supervised.py", "steps, self.", "1 * steps, self."),
        RETRAINED,
    ),
    "the loop": (lambda p: p.edit("workflow/poolflow/training/loop.py", "step += 1", "step += 2 - 1"), RETRAINED),
    "an output of the network": (
        lambda p: p.edit("workflow/poolflow/outputs/features.py", "members[0]", "members[0 * 1]"),
        OTHER_FEATURES,
    ),
    "a variant that no strategy of the study needs": (
        lambda p: p.edit("workflow/poolflow/variants/loss_prediction.py", "STOP = 0.6", "STOP = 0.5"),
        set(),
    ),
    "what a parameter accepts": (
        lambda p: p.edit("workflow/poolflow/networks/small_cnn.py", '"width": ">= 1"', '"width": ">= 2"'),
        set(),
    ),
    "the seed of the study": (lambda p: p.configure(seed=1), WHOLE - {"digits/dataset.h5"}),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_reruns_what_depends_on_it(finished, tmp_path, edit):
    # The copy is the edit "the whole folder copied elsewhere" as well.
    project = finished.copy(tmp_path / "copy elsewhere")
    change, expected = EDITS[edit]
    before = asked(project)
    change(project)
    # The report shows the config, the tables and the figures.
    shown = asked(project) != before or any(path.endswith((".png", "s.csv", "y.csv")) for path in expected)
    assert project.planned() == expected | ({"report.html"} if shown else set())


def asked(project):
    """Return the study's config, but for where its data lie."""
    config = yaml.safe_load((project.folder / "config.yaml").read_text())
    return {key: value for key, value in config.items() if key != "data_root"}


def test_a_strategy_that_uses_the_network_follows_its_code_and_settings(finished, tmp_path):
    project = finished.copy(tmp_path / "copy")
    emoc = {"emoc": {"references": 5, "candidates": 6}}
    project.configure(initial_pools=["random"], strategies=TINY["strategies"] | emoc)
    project.snakemake("--cores", "2")
    assert project.planned() == set()
    one = ("overlap_cycles", "pool_tests", "kmeans", "_simclr")  # there is one initial pool, by no pretext task
    analysis = {path for path in ANALYSIS | {"report.html"} if not any(word in path for word in one)}
    with_emoc = {path for path in RETRAINED - ANALYSIS if "kmeans" not in path} | chain("random", "emoc") | analysis
    for path, old, new in (
        ("networks/small_cnn.py", "nn.MaxPool2d(2)", "nn.AvgPool2d(2)"),
        ("training/device.py", "torch.set_num_threads(config", "torch.set_num_threads(1 * config"),
    ):
        edited = project.copy(tmp_path / path.replace("/", " "))
        edited.edit(f"workflow/poolflow/{path}", old, new)
        assert edited.planned() == with_emoc
    for path in ("kernels/emoc.py", "strategies/emoc.py"):
        edited = project.copy(tmp_path / path.replace("/", " "))
        edited.write(
            f"workflow/poolflow/{path}", (edited.folder / f"workflow/poolflow/{path}").read_text() + "\nX = 1\n"
        )
        assert edited.planned() == chain("random", "emoc") | analysis


def test_an_edit_and_a_run_change_what_the_edit_says(finished, tmp_path):
    project = finished.copy(tmp_path / "copy")
    before = project.files("digits/**/labeled.h5")
    project.configure(strategies=TINY["strategies"] | {"sharpened": {"power": 0.1}})
    project.snakemake("--cores", "2")
    after = project.files("digits/**/labeled.h5")
    changed = {path for path in before if before[path] != after[path]}
    assert changed == {path for path in chains(["sharpened"]) if path.endswith("labeled.h5")}
    assert project.planned() == set()
