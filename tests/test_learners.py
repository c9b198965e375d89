"""Every learner, variant and output keeps its contract; and what a learner of the user's own may do."""

import json
import math
import sys
from importlib import import_module
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import NETWORK, PREDICT, TRAIN, TRAINING
from helpers import write_h5, write_pool
from learning import NORMALISE, clusters
from torch import nn

from poolflow.job import Damaged, Job
from poolflow.learners import supervised
from poolflow.stages import predict, train
from poolflow.study import plugins, settings
from poolflow.study.config import check
from poolflow.training import loop, networks, weights

LEARNERS, VARIANTS, OUTPUTS = (plugins.names(kind) for kind in ("learners", "variants", "outputs"))
CLASSES = 4
ROWS, FIRST, ASKED = 40, 9, 14  # of the pool, those labelled in cycle 0, and in cycle 1
UNKNOWN = 3  # pool rows without a true label, none of them asked for
SETTINGS = TRAINING | {"epochs": 3, "batch_size": 5, "members": 2, "passes": 3}


def facts(kind, name):
    return plugins.literals(kind, name)


def members(variant):
    return SETTINGS[facts("variants", variant)["MEMBERS"]] if variant and "MEMBERS" in facts("variants", variant) else 1


def network(variant=None, **parameters):
    """Return the settings of a network, or of a variant of it."""
    if not variant:
        return NETWORK | {"parameters": parameters}
    parameters |= facts("variants", variant).get("NETWORK", {})
    return NETWORK | {"parameters": parameters, "variant": variant}


class Place:
    """A data set, a pool in an order of its own with some images mirrored, and the labelled set of cycle 1."""

    def __init__(self, folder):
        self.folder = folder
        self.dataset, self.pool, self.labeled = (folder / f"{name}.h5" for name in ("dataset", "pool", "labeled"))
        rng = np.random.default_rng(0)
        images, labels = (values.numpy() for values in clusters(ROWS + 8, CLASSES))
        self.indices = rng.permutation(ROWS + 8)[:ROWS]
        validation = np.setdiff1d(np.arange(ROWS + 8), self.indices)
        self.flip = rng.random(ROWS) < 0.5
        attributes = {"classes": list("abcd"), "mean": [0.5], "std": [0.25]}
        self.labels = labels.copy()
        self.labels[self.indices[-UNKNOWN:]] = -1
        arrays = {"train__images": images, "train__labels": self.labels, "test__images": images}
        write_h5(self.dataset, attributes, **arrays, test__labels=labels)
        write_pool(self.pool, self.indices, self.flip, range(CLASSES))
        with h5py.File(self.pool, "r+") as file:
            del file["validation"]
            file["validation"] = validation
        self.rows = rng.permutation(ROWS - UNKNOWN)[:ASKED]
        cycles = np.arange(ASKED) >= FIRST
        write_h5(self.labeled, {"tied": 0}, indices=self.rows, cycle=cycles.astype(int), score=np.zeros(ASKED))
        self.images = np.where(self.flip[:, None, None, None], images[self.indices, :, ::-1], images[self.indices])
        self.truth = self.labels[self.indices]

    def train(self, learner="supervised", variant=None, parameters=None, out="out", start=(), pretrained=(), **changes):
        """Run the stage; return metrics.json and the weights of the members."""
        config = TRAIN | network(variant) | {"learner": {"learner": learner, "parameters": parameters or {}}}
        config |= {"members": members(variant), "training": SETTINGS | changes}
        job = Job("train", "d/l/p/s/seed0/cycle1", config, "")
        model, metrics = (self.folder / out / name for name in ("model.pt", "metrics.json"))
        paths = (str(path) for path in (self.dataset, self.pool, self.labeled, model, metrics))
        train.main(job, "d/l/seed0", *paths, start=start, pretrained=pretrained)
        return json.loads(metrics.read_text()), torch.load(model)["states"]

    def predict(self, need, variant=None, out="out"):
        """Run the stage on what `train` made; return the values."""
        taken = {key: SETTINGS[key] for key in plugins.parameters("outputs", need)}
        job = Job("predict", "d/l/p/s/seed0/cycle1", PREDICT | network(variant) | {"settings": {need: taken}}, "")
        model, path = (str(self.folder / out / name) for name in ("model.pt", f"{need}.h5"))
        predict.main(job, self.dataset, self.pool, model, [need], [path])
        with h5py.File(path) as file:
            return file[need][:]

    def predict_together(self, needs, variant=None):
        """Run the stage once for several outputs; return {need: values}, and how many rows passed the network."""
        job = Job("predict", "d/l/p/s/seed0/cycle1", PREDICT | network(variant), "")
        paths = [str(self.folder / f"{need}.h5") for need in needs]
        passed = []
        hook = nn.modules.module.register_module_forward_hook(
            lambda module, images, _: passed.append(len(images[0])) if isinstance(module, nn.Conv2d) else None
        )
        predict.main(job, self.dataset, self.pool, str(self.folder / "out/model.pt"), needs, paths)
        hook.remove()
        values = {}
        for need, path in zip(needs, paths, strict=True):
            with h5py.File(path) as file:
                assert list(file) == [need]
                values[need] = file[need][:]
        return values, sum(passed)


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def examples_of(place, monkeypatch):
    """Return the `Examples` that the stage hands a learner."""
    seen = []

    class Learner(supervised.Learner):
        def __init__(self, examples, training):
            seen.append(examples)
            super().__init__(examples, training)

    own(monkeypatch, Learner)
    place.train("own", epochs=1)
    return seen[0]


def own(monkeypatch, learner, **literals):
    """Make a class the learner `own`."""
    monkeypatch.setitem(sys.modules, "poolflow.learners.own", SimpleNamespace(Learner=learner, **literals))


def equal(states, others):
    return [state.keys() for state in states] == [other.keys() for other in others] and all(
        torch.equal(state[key], other[key]) for state, other in zip(states, others, strict=True) for key in state
    )


@pytest.mark.parametrize("learner", LEARNERS)
def test_a_learner_learns_from_a_whole_pool(place, learner):
    """Where nothing is unlabelled: the reference of passive learning."""
    rows = np.arange(ROWS - UNKNOWN)
    for path, values in ((place.pool, {"indices": place.indices[rows], "flip": place.flip[rows], "given": rows < 0}),):
        with h5py.File(path, "r+") as file:
            for name, kept in values.items():
                del file[name]
                file[name] = kept
    place.labeled.unlink()
    write_h5(place.labeled, {"tied": 0}, indices=rows, cycle=np.zeros(len(rows), int), score=np.zeros(len(rows)))
    metrics, _ = place.train(learner, parameters={"neighbours": 5} if learner == "label_propagation" else {})
    assert metrics["labeled"] == len(rows)
    assert metrics.get("pseudo_labels", 0) == 0


# The supervised learner is plain training


def plain(loss, batches, seed=3):
    """Train in a loop as a tutorial has it, `loss` of logits and rows; return the network."""
    torch.manual_seed(seed)
    built = networks.build(network(), (8, 8, 1), CLASSES)
    options = {"lr": 0.05, "momentum": TRAINING["momentum"], "weight_decay": 0.001, "fused": True}
    optimizer = torch.optim.SGD(built.parameters(), **options)
    images, _ = clusters(ASKED, CLASSES)
    built.train()
    for _ in range(4):
        for rows in batches():
            optimizer.zero_grad()
            loss(built(NORMALISE(images[rows])), rows).backward()
            optimizer.step()
    return built


def fitted(learner, seed=3, new=None, **changes):
    torch.manual_seed(seed)
    built = networks.build(network(), (8, 8, 1), CLASSES)
    images, labels = clusters(ASKED, CLASSES)
    examples = SimpleNamespace(images=images, labels=labels, new=new, normalise=NORMALISE, classes=CLASSES)
    training = SETTINGS | {"epochs": 4, "schedule": "constant"} | changes
    loop.fit(built, learner(examples, training), training)
    return built


def in_order():
    return torch.randperm(ASKED).tensor_split(3)


def old_and_new():
    """Three batches of five, two of them older images: replay of two fifths."""
    for _ in range(3):
        older = torch.randint(FIRST, (2,))
        yield torch.cat([older, FIRST + torch.randint(ASKED - FIRST, (3,))])


@pytest.mark.parametrize("smoothing", [0.0, 0.15])
@pytest.mark.parametrize(("replay", "batches"), [(0, in_order), (0.4, lambda: list(old_and_new()))])
def test_supervised_is_the_plain_loop_to_the_last_bit(smoothing, replay, batches):
    labels = clusters(ASKED, CLASSES)[1]
    expected = plain(lambda out, rows: F.cross_entropy(out, labels[rows], label_smoothing=smoothing), batches)
    new = torch.arange(ASKED) >= FIRST
    found = fitted(supervised.Learner, new=new, replay=replay, label_smoothing=smoothing)
    assert equal([found.state_dict()], [expected.state_dict()])


@pytest.mark.parametrize("smoothing", [0.0, 0.15])
def test_the_gradient_of_the_mean_of_its_losses_is_that_of_cross_entropy(smoothing):
    images, labels = clusters(ASKED, CLASSES)
    examples = SimpleNamespace(images=images, labels=labels, new=None, normalise=NORMALISE)
    learner = supervised.Learner(examples, SETTINGS | {"label_smoothing": smoothing})
    rows, logits = torch.tensor([3, 0, 7, 7]), torch.randn(4, CLASSES, requires_grad=True)
    seen = []
    losses = learner.losses(lambda inputs: seen.append(inputs) or logits, rows)
    assert losses.shape == (4,)
    assert torch.equal(seen[0], NORMALISE(images[rows]))
    (found,) = torch.autograd.grad(losses.mean(), logits)
    (expected,) = torch.autograd.grad(F.cross_entropy(logits, labels[rows], label_smoothing=smoothing), logits)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8)


# Every learner


@pytest.mark.parametrize("name", LEARNERS)
def test_a_learner_gives_the_loop_what_it_needs(place, monkeypatch, name):
    plugin, examples = import_module(f"poolflow.learners.{name}"), examples_of(place, monkeypatch)
    before = examples.images.clone(), examples.labels.clone()
    torch.manual_seed(0)
    built = networks.build(network(), (8, 8, 1), CLASSES)
    learner = plugin.Learner(examples, SETTINGS)
    learner.prepare(built)
    assert all(torch.isfinite(value).all() for value in built.state_dict().values())
    steps = math.ceil(len(learner.images) / SETTINGS["batch_size"])
    batches = learner.batches(steps)
    assert len(batches) == steps
    for rows in batches:
        assert (rows.ndim, rows.dtype) == (1, torch.int64)
        assert 0 <= rows.min() <= rows.max() < len(learner.images)
        calls = []
        losses = learner.losses(lambda inputs: built(calls.append(inputs) or inputs), rows)  # noqa: B023
        assert (len(calls), losses.shape, losses.requires_grad) == (1, rows.shape, True)
        assert torch.isfinite(losses).all()
    assert learner.normalise(learner.images[:2]).shape == (2, 1, 8, 8)
    json.dumps(learner.metrics())
    assert isinstance(getattr(plugin, "PSEUDO_LABELS", False), bool)
    assert set(getattr(plugin, "NOT_WITH", ())) <= set(VARIANTS)
    # The next member of an ensemble learns from the same.
    assert torch.equal(examples.images, before[0])
    assert torch.equal(examples.labels, before[1])


def combinations():
    """Return the pairs of a learner and a variant that go together."""
    pairs = [(learner, variant) for learner in LEARNERS for variant in [None, *VARIANTS]]
    return [
        (learner, variant)
        for learner, variant in pairs
        if variant not in facts("learners", learner).get("NOT_WITH", ())
    ]


@pytest.mark.parametrize(("name", "variant"), combinations())
def test_a_learner_trains_every_variant_to_the_same_bits_again_and_gives_its_outputs(place, name, variant):
    metrics, states = place.train(name, variant)
    assert len(states) == len(metrics["epochs"]) == members(variant)
    assert metrics["labeled"] == ASKED
    assert equal(states, place.train(name, variant, out="again")[1])
    for need in [need for need in OUTPUTS if facts("outputs", need).get("VARIANT") in (None, variant)]:
        values = place.predict(need, variant)
        assert values.dtype == np.float32
        assert len(values) == ROWS
        assert np.isfinite(values).all()


# Learners that learn from unlabelled images too


def unlabeled(place):
    return np.setdiff1d(np.arange(ROWS), place.rows)


def kept(place, out="out"):
    """Return the pseudo-labels in the file, {name: values}."""
    with h5py.File(place.folder / out / "pseudo_labels.h5") as file:
        return {name: file[name][:] for name in file}


def test_ceal_learns_with_what_the_last_network_is_certain_of(place):
    _, states = place.train(out="last")
    start = [str(place.folder / "last/model.pt")]
    last = networks.build(network(), (8, 8, 1), CLASSES).eval()
    last.load_state_dict(states[0])
    rows = unlabeled(place)
    with torch.no_grad():
        probs = last(NORMALISE(torch.from_numpy(place.images[rows]))).softmax(dim=1).numpy()
    entropies = -(probs * np.log(probs)).sum(axis=1) / np.log(CLASSES)
    threshold = float(np.median(entropies)) + 0.01  # less `decay` times the cycle, 1
    parameters = {"threshold": threshold, "decay": 0.01}
    metrics, trained = place.train("ceal", parameters=parameters, start=start)
    found, certain = kept(place), entropies < threshold - 0.01
    assert 0 < certain.sum() < len(rows)
    assert found["row"].tolist() == rows[certain].tolist()
    assert found["label"].tolist() == probs[certain].argmax(axis=1).tolist()
    assert metrics["pseudo_labels"] == certain.sum()
    assert metrics["pseudo_coverage"] == pytest.approx(certain.mean())
    assert metrics["labeled"] == ASKED
    # None is certain enough: plain training, from scratch and not from the last network.
    none = place.train("ceal", parameters={"threshold": 0.0}, start=start, out="none")
    assert equal(none[1], place.train(out="plain")[1])
    assert (none[0]["pseudo_labels"], none[0]["pseudo_accuracy"]) == (0, None)
    assert not equal(trained, none[1])
    # Cycle 0, which has no last network, is plain as well.
    assert equal(place.train("ceal", out="first")[1], none[1])


def test_a_member_of_an_ensemble_learns_from_its_own_last_network(place):
    _, states = place.train("supervised", "ensemble", out="last")
    asked = []

    class Learner(supervised.Learner):
        def __init__(self, examples, training):
            asked.append({key: value.clone() for key, value in examples.last.state_dict().items()})
            super().__init__(examples, training)

    with pytest.MonkeyPatch.context() as patch:
        own(patch, Learner, LAST=True)
        _, trained = place.train("own", "ensemble", start=[str(place.folder / "last/model.pt")])
    assert equal(asked, states)
    assert equal(trained, place.train("supervised", "ensemble", out="plain")[1])  # and draws nothing for it


def fixmatch_of(place, monkeypatch, **parameters):
    plugin = import_module("poolflow.learners.fixmatch")
    return plugin.Learner(examples_of(place, monkeypatch), SETTINGS, **parameters)


def test_the_loss_of_fixmatch_by_hand(place, monkeypatch):
    learner = fixmatch_of(place, monkeypatch, ratio=3, weight=0.5, threshold=0.6)
    rows, generator = torch.tensor([0, 4]), torch.Generator().manual_seed(1)
    logits, seen = 3 * torch.randn(2 + 6 + 6, CLASSES, generator=generator), []
    found = learner.losses(lambda inputs: seen.append(inputs) or logits, rows)
    probs = logits[2:8].softmax(dim=1)
    expected = 0.0
    for weak, strong in zip(probs, logits[8:], strict=True):
        if weak.max() >= 0.6:
            expected -= strong.log_softmax(dim=0)[weak.argmax()] / 6
    assert 0 < (probs.max(dim=1).values >= 0.6).sum() < 6
    plainly = F.cross_entropy(logits[:2], learner.labels[rows], reduction="none")
    torch.testing.assert_close(found, plainly + 0.5 * expected)
    assert learner.metrics()["pseudo_used"] == pytest.approx((probs.max(dim=1).values >= 0.6).double().mean().item())
    # Without augmentation the weak views are the images; the strong ones differ from them.
    assert torch.equal(seen[0][:2], NORMALISE(learner.images[rows]))
    known = NORMALISE(learner.others)
    assert all((known == view).flatten(1).all(dim=1).any() for view in seen[0][2:8])
    assert not torch.equal(seen[0][2:8], seen[0][8:])
    # Nothing is sure enough: the loss of the labelled images alone.
    learner = fixmatch_of(place, monkeypatch, ratio=3, threshold=1.0)
    assert torch.equal(learner.losses(lambda inputs: logits, rows), plainly)


def test_fixmatch_draws_all_images_or_the_unlabelled_alone_and_keeps_what_it_is_sure_of(place, monkeypatch):
    assert len(fixmatch_of(place, monkeypatch).others) == ROWS
    assert len(fixmatch_of(place, monkeypatch, with_labeled=False).others) == ROWS - ASKED
    metrics, states = place.train("fixmatch", parameters={"threshold": 0.5})
    trained = networks.build(network(), (8, 8, 1), CLASSES).eval()
    trained.load_state_dict(states[0])
    rows, found = unlabeled(place), kept(place)
    with torch.no_grad():
        sure, classes = trained(NORMALISE(torch.from_numpy(place.images[rows]))).softmax(dim=1).max(dim=1)
    assert found["row"].tolist() == rows[sure >= 0.5].tolist()
    assert found["label"].tolist() == classes[sure >= 0.5].tolist()
    assert 0 <= metrics["pseudo_used"] <= 1


def test_label_propagation_learns_from_the_pool_what_few_labels_do_not_say(place):
    metrics, _ = place.train("label_propagation", parameters={"neighbours": 5, "supervised_epochs": 3}, epochs=6)
    found = kept(place)
    assert set(found["row"]) <= set(unlabeled(place))
    assert ((found["weight"] > 0) & (found["weight"] <= 1)).all()
    assert metrics["pseudo_accuracy"] > 0.8  # the images are easily told apart
    # With so high a threshold none is left, and the network learns from the labelled images alone.
    metrics, _ = place.train("label_propagation", parameters={"threshold": 1.0}, out="none")
    assert metrics["pseudo_labels"] <= 1  # the surest one has weight 1
    assert metrics["labeled"] == ASKED


def test_the_losses_of_label_propagation_are_weighed_by_hand(place, monkeypatch):
    plugin = import_module("poolflow.learners.label_propagation")
    learner = plugin.Learner(examples_of(place, monkeypatch), SETTINGS, neighbours=4, supervised_epochs=0)
    learner.prepare(networks.build(network(), (8, 8, 1), CLASSES))
    batches = learner.batches(4)
    (guessed, weights), known = learner.guessed, len(learner.examples.labels)
    every = torch.cat([learner.examples.labels, guessed])
    used = torch.cat([torch.ones(known), weights]) > 0
    counts = torch.bincount(every[used], minlength=CLASSES)
    rows = torch.arange(ROWS)
    factors = used.sum() / CLASSES / counts[every]
    logits = torch.randn(ROWS, CLASSES, generator=torch.Generator().manual_seed(0))
    expected = factors * torch.cat([torch.ones(known), weights]) * F.cross_entropy(logits, every, reduction="none")
    torch.testing.assert_close(learner.losses(lambda inputs: logits, rows)[used], expected[used])
    for batch in batches:  # ten images each, half of them labelled
        assert len(batch) == 10
        assert (batch < known).sum() == 5
    others = torch.cat(batches)
    others = others[others >= known]
    assert len(others.unique()) == len(others)
    assert (weights[others - known] > 0).all()


# From weights learned before


@pytest.mark.parametrize(("shrink", "perturb"), [(1.0, 0.0), (0.4, 0.1), (0.0, 1.0)])
def test_shrink_and_perturb_by_hand(shrink, perturb):
    torch.manual_seed(0)
    old, new = (nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)) for _ in range(2))
    old[1].running_mean.fill_(3)
    before = {name: value.clone() for name, value in new.named_parameters()}
    weights.give_mixed(new, old.state_dict(), "model.pt", shrink, perturb)
    for name, value in new.named_parameters():
        torch.testing.assert_close(value, shrink * old.get_parameter(name) + perturb * before[name])
    # The statistics are the fresh network's, but for a plain warm start.
    assert new[1].running_mean.tolist() == ([3, 3] if perturb == 0 else [0, 0])


def test_a_warm_start_continues_from_what_is_shrunk_and_perturbed(place):
    place.train(out="last")
    start = {"start": [str(place.folder / "last/model.pt")], "warm_start": True}
    none = {"learning_rate": 1e-30, "weight_decay": 0.0}
    scratch = place.train(out="scratch", shrink=0.0, perturb=1.0, **start, **none)[1]
    assert all(
        torch.equal(scratch[0][name], value)
        for name, value in place.train(out="new", **none)[1][0].items()
        if "running" not in name and "num_batches" not in name
    )
    half = place.train(out="half", shrink=0.5, **start, **none)[1][0]
    last = torch.load(place.folder / "last/model.pt")["states"][0]
    torch.testing.assert_close(half["head.1.weight"], last["head.1.weight"] / 2)


def body_of(place, name="simclr.pt", **parameters):
    """Write the model of a pretext task whose network has weights of its own; return its path."""
    torch.manual_seed(7)
    model = nn.Module()
    model.network = networks.build(network(**parameters), (8, 8, 1), CLASSES)
    model.projection = nn.Linear(3, 2)
    weights.save({"states": [model.state_dict()]}, str(place.folder / name))
    return [str(place.folder / name)], model.network.state_dict()


@pytest.mark.parametrize("variant", [None, *VARIANTS])
def test_a_learner_starts_from_what_a_pretext_task_learned_and_its_last_layer_is_new(place, variant):
    pretrained, learned = body_of(place)
    none = {"learning_rate": 1e-30, "weight_decay": 0.0, "pretrained": pretrained}
    states, fresh = place.train("supervised", variant, **none)[1], place.train("supervised", variant, out="new")[1]
    for state in states:
        for name, value in learned.items():
            if "running" not in name and "num_batches" not in name:
                assert torch.equal(state[name], value) == (not name.startswith("head."))
    assert len(states) == len(fresh) == members(variant)
    assert len({state["head.1.weight"].sum().item() for state in states}) == members(variant)


@pytest.mark.parametrize("learner", LEARNERS)
def test_a_frozen_body_stays_as_it_is_and_the_last_layer_learns(place, learner):
    pretrained, learned = body_of(place)
    state = place.train(learner, pretrained=pretrained, freeze=True)[1][0]
    for name, value in learned.items():
        assert torch.equal(state[name], value) == (not name.startswith("head.")), name


def test_a_frozen_body_keeps_its_statistics_whatever_a_learner_does_with_the_network_between_epochs():
    class Normalised(nn.Module):
        def __init__(self):
            super().__init__()
            self.features = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten())
            self.head = nn.Sequential(nn.Linear(64, CLASSES))
            self.below_head = ["features.0.weight", "features.0.bias"]

    class Asking(supervised.Learner):
        def batches(self, steps):
            built.train()
            return super().batches(steps)

    built = Normalised()
    before = {name: value.clone() for name, value in built.state_dict().items()}
    images, labels = clusters(ASKED, CLASSES)
    examples = SimpleNamespace(images=images, labels=labels, new=None, normalise=NORMALISE)
    training = SETTINGS | {"freeze": True}
    loop.fit(built, Asking(examples, training), training)
    for name, value in built.state_dict().items():
        assert torch.equal(value, before[name]) == (not name.startswith("head.")), name


def test_the_body_has_a_learning_rate_of_its_own(place):
    pretrained, learned = body_of(place)
    state = place.train(pretrained=pretrained, body_rate=1e-30, weight_decay=0.0)[1][0]
    name = next(name for name in learned if name.endswith("weight"))
    assert torch.equal(state[name], learned[name])
    assert not torch.equal(state["head.1.weight"], learned["head.1.weight"])
    assert equal(place.train(body_rate=1.0, out="one")[1], place.train(out="plain")[1])


def test_weights_that_do_not_fit_are_named(place):
    pretrained, _ = body_of(place, "wide.pt", width=5)
    with pytest.raises(Damaged, match=r"wide\.pt holds the weights of another network, with .*weight"):
        place.train(pretrained=pretrained)
    weights.save({"states": [{"encoder.weight": torch.ones(2)}]}, str(place.folder / "vae.pt"))
    with pytest.raises(Damaged, match=r"vae\.pt holds the weights of another network, without weights of network\.\*"):
        place.train(pretrained=[str(place.folder / "vae.pt")])


# Outputs


@pytest.mark.parametrize("name", OUTPUTS)
def test_an_output_has_a_row_for_each_image(name):
    variant = facts("outputs", name).get("VARIANT")
    torch.manual_seed(0)
    count = max(2, members(variant))
    built = [networks.build(network(variant), (8, 8, 1), CLASSES).eval() for _ in range(count)]
    images = NORMALISE(clusters(7, CLASSES)[0])
    output = import_module(f"poolflow.outputs.{name}").output
    taken = {key: SETTINGS[key] for key in plugins.parameters("outputs", name)}
    with torch.inference_mode():
        values = output(built, images, "float32", **taken)
        half = output(built, images, "bfloat16", **taken)
    assert len(values) == len(half) == 7
    assert values.shape[1:] == half.shape[1:]
    assert values.dtype == torch.float32
    assert torch.isfinite(values).all()
    assert len(values.reshape(7, -1).unique(dim=0)) == 7
    between = {"mc_probs": (SETTINGS["passes"],), "ensemble_probs": (count,)}.get(name, ())
    if name.endswith("probs"):
        assert values.shape == (7, *between, CLASSES)
        torch.testing.assert_close(values.sum(dim=-1), torch.ones(7, *between))
        assert (values >= 0).all()
    plainly = torch.stack([member(images).softmax(dim=1) for member in built], dim=1)
    expected = {"ensemble_probs": plainly, "probs": plainly.mean(dim=1), "features": built[0].features(images)}
    if name in expected:
        torch.testing.assert_close(values, expected[name])


# Variants


def test_outputs_ask_for_variants_that_there_are_and_each_variant_is_asked_for():
    assert {facts("outputs", name).get("VARIANT") for name in OUTPUTS} == {None, *VARIANTS}


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_is_what_it_says(name):
    variant, said = import_module(f"poolflow.variants.{name}"), facts("variants", name)
    assert said.keys() >= {key for key in ("NETWORK", "MEMBERS", "PAIRS") if hasattr(variant, key)}
    assert any(hasattr(variant, key) for key in ("NETWORK", "MEMBERS", "attach", "loss"))
    study = check({"strategies": ["random"]})
    (learner,) = study["learners"]
    asked, without = (json.loads(settings.training(study, learner, kind)) for kind in (name, ""))
    for taken in map(lambda network: plugins.parameters("networks", network), plugins.names("networks")):
        assert set(said.get("NETWORK", {})) <= set(taken)
    assert asked.pop("variant") == name
    assert asked.pop("members") == (study["training"][said["MEMBERS"]] if "MEMBERS" in said else 1)
    assert without.pop("members") == 1
    assert asked["parameters"] == without.pop("parameters") | said.get("NETWORK", {})
    assert asked == without | {"parameters": asked["parameters"]}

    plainly, built = (networks.build(NETWORK | more, (8, 8, 1), CLASSES) for more in ({}, {"variant": name}))
    added = built.state_dict().keys() - plainly.state_dict().keys()
    assert bool(added) == hasattr(variant, "attach")
    assert built.training
    # What is attached does not change what the network draws for itself.
    assert list(built.state_dict())[: len(plainly.state_dict())] == list(plainly.state_dict())


def test_what_a_learner_sets_is_stronger_than_what_a_variant_asks_for():
    study = check({"learners": {"small_cnn": {"dropout": 0.2}}, "strategies": ["random"]})
    assert json.loads(settings.training(study, "small_cnn", "dropout"))["parameters"] == {"dropout": 0.2}
    study = check({"learners": {"small_cnn": {"dropout": 0.0}}, "strategies": ["random"]})
    assert json.loads(settings.training(study, "small_cnn", "dropout"))["parameters"] == {"dropout": 0.5}


# What a learner sees


def content(value, seen):
    """Return all arrays, numbers and texts that lead from a value, whatever their names."""
    if id(value) in seen:
        return []
    seen[id(value)] = value
    if isinstance(value, torch.Tensor | np.ndarray):
        return [np.asarray(value)]
    if isinstance(value, dict):
        return [found for item in value.values() for found in content(item, seen)]
    if isinstance(value, list | tuple):
        return [found for item in value for found in content(item, seen)]
    if hasattr(value, "__dict__"):
        return content(vars(value), seen)
    return [value]


def test_the_examples_are_the_labelled_images_and_the_others_without_their_labels(place, monkeypatch):
    examples = examples_of(place, monkeypatch)
    np.testing.assert_array_equal(examples.images, place.images[place.rows])
    assert examples.labels.tolist() == place.truth[place.rows].tolist()
    assert examples.new.tolist() == [False] * FIRST + [True] * (ASKED - FIRST)
    assert examples.classes == CLASSES
    assert examples.unlabeled.tolist() == sorted(set(range(ROWS)) - set(place.rows.tolist()))
    for rows in (examples.unlabeled, [5, 0, 5], torch.tensor([2])):
        found = examples.read(rows)
        assert found.dtype == torch.uint8
        np.testing.assert_array_equal(found, place.images[np.asarray(rows)])
    assert torch.equal(examples.normalise(examples.images), NORMALISE(examples.images))


def test_no_label_of_another_row_is_reached_from_the_examples(place, monkeypatch):
    """Whatever the other labels are, the examples hold the same: they are read from the file by none of its methods."""
    held = content(examples_of(place, monkeypatch), {})
    states = place.train()[1]
    with h5py.File(place.dataset, "r+") as file:
        others = np.setdiff1d(np.arange(len(place.labels)), place.indices[place.rows])
        file["train/labels"][others] = (file["train/labels"][others] + 1) % CLASSES
    other = content(examples_of(place, monkeypatch), {})
    assert len(held) == len(other) > 10
    for one, two in zip(held, other, strict=True):
        np.testing.assert_array_equal(one, two)
    assert equal(states, place.train()[1])


def test_an_image_that_was_asked_for_in_vain_is_an_unlabelled_one(place, monkeypatch):
    with h5py.File(place.dataset, "r+") as file:
        file["train/labels"][place.indices[place.rows[0]]] = -1
    examples = examples_of(place, monkeypatch)
    assert len(examples.images) == len(examples.labels) == len(examples.new) == ASKED - 1
    assert place.rows[0] in examples.unlabeled


# Learners of the user's own


class Weighted(supervised.Learner):
    """Rare classes weigh as much as frequent ones."""

    def __init__(self, examples, training, power: float = 1.0):
        super().__init__(examples, training)
        counts = torch.bincount(self.labels, minlength=examples.classes).clamp(min=1)
        self.weights = (len(self.labels) / counts) ** power

    def losses(self, forward, rows):
        return self.weights[self.labels[rows]] * super().losses(forward, rows)

    def metrics(self):
        return {"heaviest": float(self.weights.max())}


class Nearest(supervised.Learner):
    """Unlabelled images get the class of the nearest mean brightness, the farther the less weight."""

    def __init__(self, examples, training, share: float = 1.0):
        super().__init__(examples, training)
        self.examples, self.share = examples, share

    def prepare(self, network):
        rows = self.examples.unlabeled[: round(self.share * len(self.examples.unlabeled))]
        images = self.examples.read(rows).to(self.examples.device)
        brightness = [values.double().mean(dim=(1, 2, 3)) for values in (images, self.images)]
        means = torch.stack([brightness[1][self.labels == label].mean() for label in range(self.examples.classes)])
        distances, classes = (brightness[0][:, None] - means).abs().min(dim=1)
        self.guessed = rows, classes, 1 / (1 + distances)
        self.weights = torch.cat([torch.ones(len(self.labels)), self.guessed[2].float()])
        self.images, self.labels = torch.cat([self.images, images]), torch.cat([self.labels, classes])
        self.new = None

    def losses(self, forward, rows):
        return self.weights[rows] * super().losses(forward, rows)

    def pseudo_labels(self):
        return self.guessed


def test_a_learner_may_weigh_its_losses(place, monkeypatch):
    labels = clusters(ASKED, CLASSES)[1]
    weights = ASKED / torch.bincount(labels)
    cross_entropy = torch.nn.CrossEntropyLoss(reduction="none")
    expected = plain(
        lambda logits, rows: (weights[labels[rows]] * cross_entropy(logits, labels[rows])).mean(), in_order
    )
    found = fitted(Weighted)
    assert equal([found.state_dict()], [expected.state_dict()])
    own(monkeypatch, Weighted)
    metrics, states = place.train("own", parameters={"power": 0.5})
    counts = np.bincount(place.truth[place.rows])
    assert metrics["heaviest"] == pytest.approx(math.sqrt(ASKED / counts.min()), rel=1e-6)
    assert equal(states, place.train("own", parameters={"power": 0.5})[1])
    assert not equal(states, place.train()[1])
    assert equal(place.train("own", parameters={"power": 0.0})[1], place.train()[1])


@pytest.mark.parametrize("variant", [None, *VARIANTS])
@pytest.mark.parametrize(("learner", "literals"), [(Weighted, {}), (Nearest, {"PSEUDO_LABELS": True})])
def test_a_learner_of_one_s_own_goes_with_every_variant(place, monkeypatch, learner, literals, variant):
    own(monkeypatch, learner, **literals)
    metrics, states = place.train("own", variant)
    assert len(states) == members(variant)
    assert not equal(states, place.train("supervised", variant, out="other")[1])
    assert 0 <= metrics["test_accuracy"] <= 1
    for need in [need for need in OUTPUTS if facts("outputs", need).get("VARIANT") == variant]:
        assert np.isfinite(place.predict(need, variant)).all()


def test_pseudo_labels_are_kept_with_their_weights_and_whether_they_are_right(place, monkeypatch):
    own(monkeypatch, Nearest, PSEUDO_LABELS=True)
    with h5py.File(place.dataset, "r+") as file:  # two rows whose true label is another than the image looks like
        wrong = np.setdiff1d(np.arange(ROWS - UNKNOWN), place.rows)[:2]
        order = np.sort(place.indices[wrong])
        file["train/labels"][order] = (file["train/labels"][order] + 1) % CLASSES
        truth = file["train/labels"][:][place.indices]
    metrics, _ = place.train("own")
    with h5py.File(place.folder / "out/pseudo_labels.h5") as file:
        found = {name: file[name][:] for name in file}
        assert file.attrs["job"] == b"d/l/p/s/seed0/cycle1"
        assert file.attrs["stage"] == b"train"
    assert list(found) == ["label", "right", "row", "weight"]
    assert found["row"].tolist() == sorted(set(range(ROWS)) - set(place.rows.tolist()))
    assert (found["row"].dtype, found["label"].dtype, found["right"].dtype) == (np.int64, np.int64, bool)
    looks = clusters(ROWS + 8, CLASSES)[1].numpy()[place.indices]
    assert found["label"].tolist() == looks[found["row"]].tolist()
    assert found["right"].tolist() == (truth[found["row"]] == found["label"]).tolist()
    assert not found["right"][-UNKNOWN:].any()
    assert ((found["weight"] > 0) & (found["weight"] <= 1)).all()
    # Those without a true label are neither right nor wrong.
    count = ROWS - ASKED
    assert metrics["pseudo_labels"] == count
    assert metrics["pseudo_accuracy"] == pytest.approx((count - UNKNOWN - 2) / (count - UNKNOWN))
    assert metrics["labeled"] == sum(metrics["classes_labeled"]) == ASKED


def test_no_pseudo_label_is_no_accuracy_and_a_learner_without_them_leaves_no_file(place, monkeypatch):
    own(monkeypatch, Nearest, PSEUDO_LABELS=True)
    metrics, _ = place.train("own", parameters={"share": 0.0})
    assert (metrics["pseudo_labels"], metrics["pseudo_accuracy"]) == (0, None)
    assert (place.folder / "out/pseudo_labels.h5").exists()
    metrics, _ = place.train()  # in the same folder
    assert not metrics.keys() & {"pseudo_labels", "pseudo_accuracy"}
    assert sorted(path.name for path in (place.folder / "out").iterdir()) == ["metrics.json", "model.pt"]


def test_a_learner_may_give_the_network_what_it_learned_before(place, monkeypatch):
    """`prepare` gets the network itself, once for each member, and may leave it as it likes."""
    seen = []

    class Prepared(supervised.Learner):
        def prepare(self, network):
            seen.append(network.training)
            network.eval()
            torch.nn.init.zeros_(network.head[1].weight)

    own(monkeypatch, Prepared)
    metrics, states = place.train("own", "ensemble", learning_rate=1e-20, weight_decay=0.0)
    assert seen == [True, True]
    assert all(state["head.1.weight"].abs().max() < 1e-10 for state in states)
    assert metrics["epochs"] == [SETTINGS["epochs"]] * 2


def test_a_learner_may_draw_batches_of_its_own(place, monkeypatch):
    sizes = []

    class Alone(supervised.Learner):
        def batches(self, steps):
            return [torch.tensor([0, 1]) for _ in range(steps)]

        def losses(self, forward, rows):
            sizes.append(rows.tolist())
            return super().losses(forward, rows)

    own(monkeypatch, Alone)
    place.train("own", iterations=7)
    assert sizes == [[0, 1]] * 7


@pytest.mark.parametrize("variant", [None, "ensemble"])
def test_plain_outputs_of_one_job_are_those_of_jobs_apart_in_half_the_passes(place, monkeypatch, variant):
    monkeypatch.setattr(networks, "EVALUATION_BATCH", 7)  # images in a block
    place.train(variant=variant, epochs=1)
    apart = {need: place.predict(need, variant) for need in ("features", "probs")}
    together, rows = place.predict_together(["features", "probs"], variant)
    for need, values in apart.items():
        np.testing.assert_array_equal(together[need], values)
    convolutions = 2
    assert rows == convolutions * members(variant) * ROWS


def test_outputs_of_other_kinds_of_networks_do_not_share_a_pass(place):
    place.train(variant="loss_prediction", epochs=1)
    needs = ["probs", "predicted_loss"]
    apart = {need: place.predict(need, "loss_prediction") for need in needs}
    together, _ = place.predict_together(needs, "loss_prediction")
    for need in needs:
        np.testing.assert_array_equal(together[need], apart[need])
