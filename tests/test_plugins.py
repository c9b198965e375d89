"""The contract of each kind of plugin, on every file in its folder."""

import ast
from importlib import import_module
from types import ModuleType

import h5py
import numpy as np
import pytest
import torch
from conftest import NETWORK, ROOT

from poolflow.job import StageError
from poolflow.selection import Pool, select
from poolflow.study import plugins
from poolflow.training import networks

PACKAGE = ROOT / "workflow" / "poolflow"
SIZE, CLASSES = 60, 3


def files(kind):
    return [(kind, name) for name in plugins.names(kind)]


EVERY = [entry for kind in plugins.KINDS for entry in files(kind)]
# The fewest images that a rule can choose, where that is not 1.
FEWEST = {"bins": 5}
SELECTING = files("initial_pools") + files("strategies") + [("strategies", "_template")]


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_a_plugin_says_what_it_is_and_its_constants_are_literal(kind, name):
    module = import_module(f"poolflow.{kind}.{name}")
    first = module.__doc__.splitlines()[0]
    assert first.endswith(".")
    assert 20 < len(first) <= 120
    upper = {
        key: value for key, value in vars(module).items() if key.isupper() and not isinstance(value, (type, ModuleType))
    }
    assert plugins.literals(kind, name) == upper
    plugins.parameters(kind, name)


def test_packages_hold_only_docstrings_and_re_exports():
    for path in PACKAGE.rglob("__init__.py"):
        for node in ast.parse(path.read_text()).body[1:]:
            exports = isinstance(node, ast.Assign) and node.targets[0].id == "__all__"
            assert isinstance(node, ast.ImportFrom) or exports, path


@pytest.fixture
def pool(tmp_path):
    """Return a function that makes a pool for a plugin: SIZE rows of 8 x 8 images in a larger data set."""
    rng = np.random.default_rng(0)
    indices = np.sort(rng.choice(80, SIZE, replace=False))
    probs = rng.dirichlet(np.ones(CLASSES), SIZE).astype(np.float32)
    with h5py.File(tmp_path / "dataset.h5", "w") as file:
        file["train/images"] = rng.integers(0, 256, (80, 8, 8, 1), dtype=np.uint8)
        file["train/labels"] = np.arange(80) % CLASSES
        file["test/images"] = rng.integers(0, 256, (9, 8, 8, 1), dtype=np.uint8)
        file["test/labels"] = np.arange(9) % CLASSES
        file.attrs.update(mean=np.array([0.5]), std=np.array([0.25]))
    torch.manual_seed(0)
    network = networks.build(NETWORK, (8, 8, 1), CLASSES)
    torch.save({"states": [network.state_dict()]}, tmp_path / "model.pt")
    with h5py.File(tmp_path / "pool.h5", "w") as file:
        file["indices"] = indices
        file["flip"], file["given"] = np.zeros(SIZE, bool), np.ones(SIZE, bool)
        file["validation"] = np.empty(0, np.int64)
        file.attrs.update(classes=CLASSES, class_ids=np.arange(CLASSES), noise=0.0, noise_seed=0)
    outputs = {"probs": probs, "features": rng.normal(size=(SIZE, 5)).astype(np.float32)}
    for need in ("mc_probs", "ensemble_probs"):
        outputs[need] = rng.dirichlet(np.ones(CLASSES), (SIZE, 4)).astype(np.float32)
    outputs["predicted_loss"] = rng.normal(size=SIZE).astype(np.float32)
    outputs |= {"scores": rng.random(SIZE), "clusters": rng.integers(0, 4, SIZE)}
    for need, values in outputs.items():
        with h5py.File(tmp_path / f"{need}.h5", "w") as file:
            file[need] = values

    def make(plugin, labeled, rng=None):
        needs = {need: str(tmp_path / f"{need}.h5") for need in plugin.NEEDS} | {"model": str(tmp_path / "model.pt")}
        return Pool(plugin, tmp_path / "pool.h5", labeled, needs, tmp_path / "dataset.h5", NETWORK, rng)

    return make


@pytest.mark.parametrize(("kind", "name"), SELECTING)
@pytest.mark.parametrize("count", [1, 7, "all"])
def test_a_selection_is_exact_and_comes_from_its_generator(pool, kind, name, count):
    plugin = import_module(f"poolflow.{kind}.{name}")
    labeled = [3, 1, 59] if kind == "strategies" else []
    count = SIZE - len(labeled) if count == "all" else max(count, FEWEST.get(name, 1))
    # `select` checks the number, that rows are different and unlabelled, and that scores are finite.
    rows, scores = select(plugin, pool(plugin, labeled), count, np.random.default_rng(1), {})
    again, scores_again = select(plugin, pool(plugin, labeled), count, np.random.default_rng(1), {})
    np.testing.assert_array_equal(rows, again)
    np.testing.assert_array_equal(scores, scores_again)


def plain_entropy(shares):
    return -sum(x * np.log(x) for x in shares if x > 0)


def lead(shares):
    return sorted(shares)[-1] - sorted(shares)[-2]


def share_of_votes(samples):
    return [np.mean(samples.argmax(axis=1) == c) for c in range(CLASSES)]


# The score of one row, from its probabilities (C,) or from those of its passes or members (T, C).
FORMULAS = {
    "least_confidence": ("probs", lambda p: 1 - max(p)),
    "most_certain": ("probs", lambda p: max(p) - sum(p)),
    "margin": ("probs", lambda p: 1 - lead(p)),
    "entropy": ("probs", plain_entropy),
    "dbal": ("mc_probs", lambda s: plain_entropy(s.mean(axis=0))),
    "mc_least_confidence": ("mc_probs", lambda s: 1 - max(s.mean(axis=0))),
    "mc_margin": ("mc_probs", lambda s: 1 - lead(s.mean(axis=0))),
    "bald": ("mc_probs", lambda s: plain_entropy(s.mean(axis=0)) - np.mean([plain_entropy(p) for p in s])),
    "ensemble_least_confidence": ("ensemble_probs", lambda s: 1 - max(s.mean(axis=0))),
    "ensemble_margin": ("ensemble_probs", lambda s: 1 - lead(s.mean(axis=0))),
    "ensemble_entropy": ("ensemble_probs", lambda s: plain_entropy(s.mean(axis=0))),
    "variation_ratio": ("ensemble_probs", lambda s: 1 - max(share_of_votes(s))),
    "vote_entropy": ("ensemble_probs", lambda s: plain_entropy(share_of_votes(s))),
    "vote_margin": ("ensemble_probs", lambda s: 1 - lead(share_of_votes(s))),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_strategies_that_score_each_image_take_the_highest(pool, name):
    plugin = import_module(f"poolflow.strategies.{name}")
    need, formula = FORMULAS[name]
    view = pool(plugin, [3, 1, 59])
    assert list(plugin.NEEDS) == [need]
    expected = {row: formula(getattr(view, need)[row].astype(float)) for row in view.unlabeled}
    rows, scores = select(plugin, view, 10, np.random.default_rng(0), {})
    best = sorted(expected, key=lambda row: (-round(expected[row], 9), row))[:10]
    assert rows.tolist() == best
    np.testing.assert_allclose(scores, [expected[row] for row in rows], rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("name", ["variation_ratio", "vote_entropy", "vote_margin"])
def test_images_with_the_same_votes_are_drawn_alike(pool, name):
    plugin = import_module(f"poolflow.strategies.{name}")
    votes = np.zeros((SIZE, 3), int)
    votes[::2, 2] = 1
    disputed = [row for row in range(0, SIZE, 2) if row not in (3, 1, 59)]
    counts = np.zeros(SIZE)
    for seed in range(200):
        rng = np.random.default_rng(seed)
        view = pool(plugin, [3, 1, 59], rng)
        view.ensemble_probs = np.eye(CLASSES, dtype=np.float32)[votes][view.order]
        rows, _ = select(plugin, view, 10, rng, {})
        counts[rows] += 1
    assert set(np.flatnonzero(counts)) == set(disputed)
    expected = 200 * 10 / len(disputed)
    assert ((counts[disputed] - expected) ** 2 / expected).sum() < 60  # 29 degrees of freedom, p = 6e-4


def test_random_strategies_draw_every_image_alike(pool):
    plugin = import_module("poolflow.strategies.random")
    counts = np.zeros(SIZE)
    for seed in range(300):
        rows, _ = select(plugin, pool(plugin, [3, 1, 59]), 19, np.random.default_rng(seed), {})
        counts[rows] += 1
    assert counts[[3, 1, 59]].sum() == 0
    expected = 300 * 19 / 57
    chi2 = ((counts - expected) ** 2 / expected)[np.setdiff1d(np.arange(SIZE), [3, 1, 59])].sum()
    assert chi2 < 100  # 56 degrees of freedom, p = 3e-4; less here, since the draws are without replacement


def test_a_plugin_that_breaks_the_contract_is_named(pool):
    class Plugin:
        __name__ = "mine"
        NEEDS = ("probs",)

        def __init__(self, rows, scores=None):
            self.rows, self.scores = rows, scores

        def select(self, view, budget, rng):
            return self.rows, np.zeros(len(self.rows)) if self.scores is None else self.scores

    cases = [
        (Plugin([0, 0]), "repeated, labelled or outside"),
        (Plugin([0, 3]), "repeated, labelled or outside"),
        (Plugin([0, 60]), "repeated, labelled or outside"),
        (Plugin([0]), r"expected integers \(2,\)"),
        (Plugin([0.0, 1.0]), "mine returned rows float64"),
        (Plugin([0, 2], [0, np.nan]), "not finite, for row 2"),
    ]
    for plugin, message in cases:
        with pytest.raises(StageError, match=message):
            select(plugin, pool(plugin, [3]), 2, None, {})
    with pytest.raises(StageError, match="only 59 of 60 are unlabelled"):
        select(Plugin([0]), pool(Plugin([0]), [3]), 60, None, {})
    view = pool(Plugin([0]), [3])
    with pytest.raises(StageError, match=r"mine uses pool\.features, which is not in its NEEDS"):
        _ = view.features


def test_a_parameter_that_a_kernel_refuses_is_one_line(pool):
    plugin = import_module("poolflow.strategies.prob_cover")
    with pytest.raises(StageError, match=r"^prob_cover: delta: found -1, expected a number above 0$"):
        select(plugin, pool(plugin, [3]), 2, np.random.default_rng(0), {"delta": -1})
