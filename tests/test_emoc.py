"""Expected model output change, against explicit Jacobians and against real steps; the choice of sets."""

import copy
from functools import cached_property
from importlib import import_module
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import NETWORK
from helpers import imported
from torch import nn

from poolflow.job import Job, StageError
from poolflow.kernels.emoc import last_layer_change, output_change
from poolflow.selection import Pool
from poolflow.strategies import emoc, emoc_sets, max_sets, min_sets, one_vs_two_sets, random_sets
from poolflow.study import plugins
from poolflow.training import networks, of_pool

CLASSES = 3


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tiny(seed=0):
    """Return a network with a convolution, batch normalisation and dropout, in float64 and eval mode."""
    torch.manual_seed(seed)
    network = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1),
        nn.BatchNorm2d(2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(8, CLASSES),
    )
    network(torch.randn(20, 1, 4, 4))  # batch statistics other than 0 and 1
    return network.double().eval()


def flat(output, network):
    """Return the gradient of a number with respect to all parameters, as one vector."""
    gradients = torch.autograd.grad(output, tuple(network.parameters()), retain_graph=True)
    return torch.cat([gradient.flatten() for gradient in gradients])


class View:
    """What the strategies see of a pool, with a network in float64."""

    def __init__(self, size=30, labeled=(2, 7), seed=0):
        rng = np.random.default_rng(seed)
        self.size, self.classes = size, CLASSES
        self.labeled = np.array(labeled)
        self.unlabeled = np.setdiff1d(np.arange(size), self.labeled)
        self.images = rng.integers(0, 256, (size, 4, 4, 1), dtype=np.uint8)
        self._network = tiny()
        self.inputs = self.normalise(torch.from_numpy(self.images))
        with torch.no_grad():
            logits = self._network(self.inputs)
            self._network[-1].bias -= logits.mean(dim=0)  # so that every class is predicted for some images
            self.probs = self._network(self.inputs).softmax(dim=1).numpy()

    @staticmethod
    def normalise(images):
        return images.permute(0, 3, 1, 2).double() / 64 - 2

    def brute(self, row, label, references):
        """Return mean_x || J(x) grad L ||_1 from the whole Jacobian of every reference."""
        loss = F.cross_entropy(self._network(self.inputs[row : row + 1]), torch.tensor([label]))
        return (self.jacobians[list(references)] @ flat(loss, self._network)).abs().sum(dim=1).mean().item()

    @cached_property
    def jacobians(self):
        """The Jacobian of every image's logits, (N, C, P), one backward pass for each."""
        logits = [self._network(image)[0] for image in self.inputs.split(1)]
        return torch.stack([torch.stack([flat(logit, self._network) for logit in row]) for row in logits])


@pytest.fixture(autouse=True)
def network_of_view(monkeypatch):
    """The strategies get the network of a view, which has no model.pt."""
    for module in (emoc, emoc_sets):
        monkeypatch.setattr(module, "network_of", lambda view: (view._network, view.normalise))


@pytest.fixture(scope="module")
def view():
    return View()


@pytest.mark.parametrize("batch", [250, 4, 1])
def test_the_output_change_is_that_of_explicit_jacobians(view, monkeypatch, batch):
    monkeypatch.setattr("poolflow.kernels.emoc.BATCH", batch)
    found = output_change(view._network, view.inputs[10:19], view.inputs[:1], range(CLASSES))
    expected = [view.brute(0, label, range(10, 19)) for label in range(CLASSES)]
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_the_output_change_is_that_of_a_small_step_of_training(view):
    inputs = view.inputs
    (first_order,) = output_change(view._network, inputs, inputs[4:5], [2])
    errors = []
    for rate in (1e-3, 1e-4, 1e-5):
        network = copy.deepcopy(view._network)
        F.cross_entropy(network(inputs[4:5]), torch.tensor([2])).backward()
        torch.optim.SGD(network.parameters(), lr=rate).step()
        with torch.no_grad():
            change = (network(inputs) - view._network(inputs)).abs().sum(dim=1).mean().item() / rate
        errors.append(abs(change - first_order) / first_order)
    assert errors[0] < 0.01
    assert errors[1] < errors[0] / 5
    assert errors[2] < errors[1] / 5  # the error is of the order of the step


def test_emoc_asks_for_the_largest_change(view):
    rows, scores = emoc.select(view, 5, np.random.default_rng(0), references=30)
    labels = view.probs.argmax(axis=1)
    expected = {row: view.brute(row, labels[row], range(30)) for row in view.unlabeled}
    assert rows.tolist() == sorted(expected, key=lambda row: -expected[row])[:5]
    np.testing.assert_allclose(scores, [expected[row] for row in rows], rtol=1e-9)


def test_the_expectation_is_over_all_classes(view):
    rows, scores = emoc.select(view, 5, np.random.default_rng(0), references=30, expected=True)
    expected = {
        row: sum(view.probs[row, label] * view.brute(row, label, range(30)) for label in range(CLASSES))
        for row in view.unlabeled
    }
    assert rows.tolist() == sorted(expected, key=lambda row: -expected[row])[:5]
    np.testing.assert_allclose(scores, [expected[row] for row in rows], rtol=1e-9)


def test_references_and_candidates_are_drawn_by_the_generator(view):
    def draw(**options):
        return emoc.select(view, 4, np.random.default_rng(3), **options)

    rows, scores = draw(references=5, candidates=6)
    rng = np.random.default_rng(3)
    references, candidates = rng.choice(30, 5, replace=False), rng.choice(view.unlabeled, 6, replace=False)
    expected = {row: view.brute(row, view.probs[row].argmax(), references) for row in candidates}
    assert rows.tolist() == sorted(expected, key=lambda row: -expected[row])[:4]
    np.testing.assert_allclose(scores, [expected[row] for row in rows], rtol=1e-9)
    for candidates in (0, 28, 1000):
        np.testing.assert_array_equal(draw(candidates=candidates), draw())


def of_last_layer(view, row, label, references):
    """Return what `brute` does, of the parameters of the last layer alone."""
    weights = tuple(view._network[-1].parameters())
    loss = F.cross_entropy(view._network(view.inputs[row : row + 1]), torch.tensor([label]))
    step = torch.cat([gradient.flatten() for gradient in torch.autograd.grad(loss, weights)])
    total = 0.0
    for other in references:
        logits = view._network(view.inputs[other : other + 1])[0]
        for logit in logits:
            gradients = torch.autograd.grad(logit, weights, retain_graph=True)
            total += abs(float(torch.cat([gradient.flatten() for gradient in gradients]) @ step))
    return total / len(references)


def parts_of(view):
    """Return the network of a view as the workflow's networks have it: features and a head."""
    return SimpleNamespace(features=view._network[:-1], head=view._network[-1])


@pytest.mark.parametrize("batch", [250, 4])
def test_the_change_of_the_last_layer_is_that_of_explicit_gradients(view, monkeypatch, batch):
    monkeypatch.setattr("poolflow.kernels.emoc.BATCH", batch)
    with torch.no_grad():
        features = view._network[:-1](view.inputs).numpy()
    found = last_layer_change(view.probs, features, features[10:19])
    expected = [[of_last_layer(view, row, label, range(10, 19)) for label in range(CLASSES)] for row in range(6)]
    np.testing.assert_allclose(found[:6], expected, rtol=1e-10)


@pytest.mark.parametrize("expected", [False, True])
def test_emoc_of_the_last_layer_asks_for_its_largest_change(view, monkeypatch, expected):
    monkeypatch.setattr(emoc, "network_of", lambda view: (parts_of(view), view.normalise))
    options = {"references": 30, "layers": "last", "expected": expected}
    rows, scores = emoc.select(view, 5, np.random.default_rng(0), **options)
    classes = range(CLASSES)
    changes = np.array([[of_last_layer(view, row, label, range(30)) for label in classes] for row in range(view.size)])
    best = (view.probs * changes).sum(axis=1) if expected else changes[np.arange(30), view.probs.argmax(axis=1)]
    best[view.labeled] = -1
    assert rows.tolist() == np.argsort(-best)[:5].tolist()
    np.testing.assert_allclose(scores, best[rows], rtol=1e-5)


def test_sets_of_the_last_layer_have_its_mean_change(view, monkeypatch):
    monkeypatch.setattr(emoc_sets, "network_of", lambda view: (parts_of(view), view.normalise))
    options = {"sets": 20, "size": 4, "references": 30, "layers": "last"}
    rows, scores = emoc_sets.select(view, 8, np.random.default_rng(2), **options)
    for members in parts(view, rows, scores, 4):
        label = view.probs[members].mean(axis=0).argmax()
        expected = np.mean([of_last_layer(view, row, label, range(30)) for row in members])
        np.testing.assert_allclose(scores[rows == members[0]], expected, rtol=1e-5)


@pytest.mark.parametrize("name", plugins.names("networks"))
def test_the_last_layer_of_every_network_is_a_linear_one(name):
    """Of which the closed form is."""
    side = plugins.literals("networks", name).get("MIN_SIDE", 1)
    network = networks.build(NETWORK | {"network": name}, (side, side, 1), CLASSES).eval()
    *others, last = network.head if isinstance(network.head, nn.Sequential) else [network.head]
    assert isinstance(last, nn.Linear)
    assert last.bias is not None
    assert all(isinstance(layer, nn.Dropout) for layer in others)


@pytest.mark.parametrize("name", plugins.names("networks"))
def test_every_network_has_an_output_change(name):
    side = plugins.literals("networks", name).get("MIN_SIDE", 1)
    torch.manual_seed(0)
    network = networks.build(NETWORK | {"network": name}, (side, side, 1), CLASSES).eval()
    inputs = torch.randn(2, 1, side, side).to(memory_format=torch.channels_last)
    before = torch.get_deterministic_debug_mode()
    torch.set_deterministic_debug_mode("error")
    try:
        (change,) = output_change(network, inputs, inputs[:1], [0])
    finally:
        torch.set_deterministic_debug_mode(before)
    network, rate, inputs = network.double(), 1e-6, inputs.double()
    before = network(inputs)
    F.cross_entropy(before[:1], torch.tensor([0])).backward()
    torch.optim.SGD(network.parameters(), lr=rate).step()
    real = (network(inputs) - before).abs().sum(dim=1).mean().item() / rate
    assert change == pytest.approx(real, rel=0.01)


# Sets


def parts(view, rows, scores, size):
    """Return the sets that rows and scores are made of."""
    starts = np.flatnonzero(np.r_[True, np.diff(scores) != 0])
    sets = np.split(rows, starts[1:])
    assert max(map(len, sets)) <= size
    assert len(set(rows)) == len(rows)
    for members in sets:
        assert len(set(view.probs[members].argmax(axis=1))) == 1
    return sets


ORDERED = {
    min_sets: lambda p: 1 - p.max(axis=1),
    one_vs_two_sets: lambda p: 1 + np.sort(p)[:, -2] - np.sort(p)[:, -1],
    max_sets: lambda p: p.max(axis=1) - 1,
}


@pytest.mark.parametrize("strategy", ORDERED, ids=lambda strategy: strategy.__name__)
def test_sets_are_disjoint_of_one_predicted_class_and_the_best_of_those_drawn(strategy):
    view = View(size=400)
    rows, scores = strategy.select(view, 15, np.random.default_rng(0), sets=50, size=5)
    chosen = parts(view, rows, scores, 5)
    assert [len(members) for members in chosen] == [5, 5, 5]
    member = ORDERED[strategy](view.probs)
    np.testing.assert_allclose(scores, np.repeat([member[members].mean() for members in chosen], 5))
    # The same draws, by hand: the best, then the best of those without a row of it, and so on.
    rng, classes = np.random.default_rng(0), view.probs[view.unlabeled].argmax(axis=1)
    groups = [view.unlabeled[classes == label] for label in np.unique(classes)]
    labels = rng.integers(len(groups), size=50)
    drawn = [rng.choice(groups[label], min(5, len(groups[label])), replace=False).tolist() for label in labels]
    expected = []
    for members in sorted(drawn, key=lambda members: -member[members].mean()):
        if not set(members) & {row for other in expected for row in other}:
            expected.append(members)
    assert [members.tolist() for members in chosen] == expected[:3]


def test_the_last_set_is_cut_and_sets_are_drawn_again_until_the_budget_is_reached():
    view = View(size=60)
    for budget in (1, 7, 58):
        rows, scores = min_sets.select(view, budget, np.random.default_rng(1), sets=3, size=5)
        assert len(rows) == len(scores) == budget
        parts(view, rows, scores, 5)
        assert not set(rows) & set(view.labeled)


def test_random_sets_are_the_first_drawn_and_every_class_is_drawn_alike():
    view = View(size=200)
    classes, counts = view.probs.argmax(axis=1), np.zeros(CLASSES)
    for seed in range(300):
        rows, scores = random_sets.select(view, 4, np.random.default_rng(seed), sets=10, size=4)
        assert (scores == 0).all()
        counts[classes[rows[0]]] += 1
        assert len(set(classes[rows])) == 1
    present = counts[np.unique(classes[view.unlabeled])]
    assert ((present - present.mean()) ** 2 / present.mean()).sum() < 14  # two degrees of freedom, p < 1e-3


def test_emoc_of_a_set_has_the_set_s_common_label(view):
    rows, scores = emoc_sets.select(view, 8, np.random.default_rng(2), sets=20, size=4, references=30)
    chosen = parts(view, rows, scores, 4)
    assert [len(members) for members in chosen] == [4, 4]
    for members in chosen:
        label = view.probs[members].mean(axis=0).argmax()
        expected = np.mean([view.brute(row, label, range(30)) for row in members])
        np.testing.assert_allclose(scores[rows == members[0]], expected, rtol=1e-9)
    assert scores[0] >= scores[-1]

    # A predicted class whose images lean, together, to another one.
    class Leaning(View):
        def __init__(self):
            super().__init__()
            self.probs = np.tile([0.5, 0.49, 0.01], (30, 1))
            self.probs[::3] = [0.0, 1.0, 0.0]
            self.probs[1::3] = [0.4, 0.3, 0.3]
            self.probs[2::3] = [0.4, 0.0, 0.6]

    leaning = Leaning()
    rows, scores = emoc_sets.select(leaning, 5, np.random.default_rng(0), sets=1, size=5, references=30)
    label = leaning.probs[rows].mean(axis=0).argmax()
    np.testing.assert_allclose(scores, np.mean([leaning.brute(row, label, range(30)) for row in rows]), rtol=1e-9)


ORACLES = [name for name in plugins.names("strategies") if name.endswith("_sets_oracle")]


@pytest.mark.parametrize("name", ORACLES)
def test_an_oracle_draws_its_sets_from_one_true_class(name, view):
    strategy, plain = (import_module(f"poolflow.strategies.{n}") for n in (name, name.removesuffix("_oracle")))
    settings = {"sets": 20, "size": 4} | ({"references": 30} if "emoc" in name else {})
    view.oracle = view.probs.argmax(axis=1)
    found, expected = (module.select(view, 8, np.random.default_rng(2), **settings) for module in (strategy, plain))
    np.testing.assert_array_equal(found, expected)
    view.oracle = np.arange(view.size) % 4 - 1
    rows, _ = strategy.select(view, 8, np.random.default_rng(2), **settings)
    assert {len(set(view.oracle[members])) for members in (rows[:4], rows[4:])} == {1}
    assert (view.oracle[rows] >= 0).all()
    known = int((view.oracle[view.unlabeled] >= 0).sum())
    with pytest.raises(StageError, match=f"budget: found {known + 1}, expected at most the {known} images with a"):
        strategy.select(view, known + 1, np.random.default_rng(2), **settings)


# The stage


@pytest.fixture
def files(cycle0):
    return cycle0 | {"needs": cycle0["labeled"].with_name("model.pt")}


ACQUIRE = {"strategy": "emoc", "budget": 5, "seed": 0, "threads": 1, "learner": NETWORK}


def test_the_stage_gives_the_last_cycle_s_network_and_the_same_bytes_again(stage, files, tmp_path):
    config = ACQUIRE | {"parameters": {"references": 7, "candidates": 9}}
    done = [stage("acquire", config, python=["-X", "importtime"], **files, out=tmp_path / f"{i}.h5") for i in range(2)]
    assert done[0].returncode == 0, done[0].stderr[-2000:]
    assert "torch" in imported(done[0])
    assert imported(done[0]).isdisjoint({"torch._dynamo", "torchvision", "pandas", "sklearn"})
    assert (tmp_path / "0.h5").read_bytes() == (tmp_path / "1.h5").read_bytes()

    with h5py.File(tmp_path / "0.h5") as file:
        rows, scores = file["indices"][10:], file["score"][10:]
    rng = Job("acquire", "digits/small_cnn/random/entropy/seed0/cycle1", config, "").rng("acquire")
    pool = Pool(emoc, files["pool"], [], {"model": files["needs"]}, files["dataset"], NETWORK, rng)
    rows = np.argsort(pool.order)[rows]
    references = rng.choice(pool.size, 7, replace=False)
    before = torch.get_deterministic_debug_mode()
    network, normalise = of_pool.network_of(pool)
    torch.set_deterministic_debug_mode(before)
    network, inputs = network.double(), normalise(torch.from_numpy(pool.images)).double()

    def logits(weights, image):
        return torch.func.functional_call(network, weights, (image[None],))[0]

    jacobian = torch.func.vmap(torch.func.jacrev(logits), (None, 0))
    weights = {name: weight.detach() for name, weight in network.named_parameters()}
    outputs = {name: values.flatten(2) for name, values in jacobian(weights, inputs[references]).items()}
    for row, score in zip(rows, scores, strict=True):
        image = inputs[row : row + 1]
        loss = F.cross_entropy(network(image), network(image).argmax(dim=1))
        step = dict(zip(weights, torch.autograd.grad(loss, tuple(network.parameters())), strict=True))
        change = sum(outputs[name] @ step[name].flatten() for name in weights)
        assert score == pytest.approx(change.abs().sum(dim=1).mean().item(), rel=1e-4)


def test_the_stage_names_a_mistake_in_one_line(stage, files, tmp_path):
    broken = tmp_path / "model.pt"
    broken.write_bytes(files["needs"].read_bytes()[:500])
    cases = [
        (broken, f"{broken} is damaged or no model"),
        (files["pool"], "poolflow.strategies.emoc needs model.pt, which --needs does not name"),
    ]
    for needs, message in cases:
        done = stage("acquire", ACQUIRE | {"parameters": {}}, **files | {"needs": needs}, out=tmp_path / "o.h5")
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert message in done.stderr.splitlines()[-1]
        assert not (tmp_path / "o.h5").exists()
