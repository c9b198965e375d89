"""The loss-prediction module: its ranking loss, what it learns, and what it leaves alone."""

import hashlib
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import NETWORK, PREDICT, TRAIN, TRAINING
from learning import NORMALISE, train

from poolflow.strategies import learning_loss
from poolflow.study import plugins
from poolflow.training import networks
from poolflow.variants import loss_prediction
from poolflow.variants.loss_prediction import ranking_loss, tap

PREDICTS = NETWORK | {"variant": "loss_prediction"}


def kinds(n, seed):
    """Return images of four kinds and labels; those of kind 3 are noise."""
    rng = np.random.default_rng(seed)
    kind = np.arange(n) % 4
    images = rng.normal(30 + 60 * kind[:, None, None, None], 20, (n, 8, 8, 1)).clip(0, 255).astype(np.uint8)
    return torch.from_numpy(images), torch.from_numpy(np.where(kind == 3, rng.integers(0, 4, n), kind)), kind


def fitted(n=200, network="small_cnn", **changes):
    torch.manual_seed(0)
    images, labels, _ = kinds(n, 0)
    built = networks.build(PREDICTS | {"network": network}, images.shape[1:], 4)
    settings = {"epochs": 10, "batch_size": 16, "learning_rate": 0.02} | changes
    train(built, images, labels, variant=loss_prediction, **settings)
    return built.eval()


@torch.no_grad()
def predict(network, images):
    hidden, tapped = tap(network, NORMALISE(images), "float32")
    return network.loss_prediction(tapped), network.head(hidden)


# The ranking loss


def test_the_ranking_loss_is_that_worked_by_hand():
    predicted = torch.tensor([1.0, 0.0, 3.0, 0.5])
    # Pairs (0, 3): the first has the higher loss, 1 - 0.5; (1, 2): the first has the lower, 1 + (0 - 3), nothing.
    assert ranking_loss(predicted, torch.tensor([2.0, 1.0, 5.0, 0.1])).item() == pytest.approx(0.25)
    # The other way round: 1 + 0.5, and 1 + 3.
    assert ranking_loss(predicted, torch.tensor([0.1, 5.0, 1.0, 2.0])).item() == pytest.approx(2.75)
    # The one in the middle of an odd batch has no partner.
    odd, losses = torch.tensor([1.0, 9.0, 0.5]), torch.tensor([0.1, 9.0, 2.0])
    assert ranking_loss(odd, losses).item() == pytest.approx(1.5)
    assert ranking_loss(odd[:1], losses[:1]).item() == 0


def test_only_predictions_learn_and_those_of_equal_losses_do_not():
    predicted = torch.tensor([1.0, 0.0, 0.4, 3.0, 0.5], requires_grad=True)
    losses = torch.tensor([2.0, 1.0, 7.0, 1.0, 0.1], requires_grad=True)
    ranking_loss(predicted, losses).backward()
    assert losses.grad is None
    torch.testing.assert_close(predicted.grad, torch.tensor([-0.5, 0, 0, 0, 0.5]))


# What it learns


@pytest.mark.parametrize("network", ["small_cnn", "mlp"])
def test_predicted_losses_rank_the_losses_of_new_images(network):
    images, labels, kind = kinds(400, 1)
    predicted, logits = predict(fitted(network=network), images)
    losses = F.cross_entropy(logits, labels, reduction="none")
    first, second = torch.triu_indices(400, 400, 1)
    agree = torch.sign(predicted[first] - predicted[second]) == torch.sign(losses[first] - losses[second])
    assert agree.float().mean() > 0.7
    assert (kind[predicted.argsort(descending=True)[:50]] == 3).mean() > 0.9


def test_the_network_no_longer_learns_from_it_after_three_fifths(monkeypatch):
    seen = []
    forward = loss_prediction.LossPrediction.forward

    def watched(module, tapped):
        seen.append(not any(values.requires_grad for values in tapped))
        return forward(module, tapped)

    monkeypatch.setattr(loss_prediction.LossPrediction, "forward", watched)
    fitted(n=40, epochs=10, batch_size=8)
    assert seen == [False] * 30 + [True] * 20


@pytest.mark.parametrize("name", plugins.names("networks"))
def test_every_network_feeds_it_and_learns_from_it_until_stopped(name):
    side = max(8, plugins.literals("networks", name).get("MIN_SIDE", 1))
    torch.manual_seed(0)
    parameters = {"noise": 0.0} if name == "conv13" else {}
    config = PREDICTS | {"network": name, "parameters": parameters | {"dropout": 0.0}}
    network = networks.build(config, (side, side, 3), 4)
    assert network.training
    taps = plugins.literals("networks", name).get("TAPS", ())
    assert len(network.loss_prediction.branches) == len(taps) + 1
    inputs, labels = torch.randn(5, 3, side, side), torch.tensor([0, 1, 2, 3, 0])
    module = {f"loss_prediction.{key}" for key, _ in network.loss_prediction.named_parameters()}

    def gradients(stopped, weight=1.0):
        def losses_of(forward):
            return F.cross_entropy(forward(inputs), labels, reduction="none")

        network.zero_grad()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(loss_prediction, "WEIGHT", weight)
            loss_prediction.loss(network, losses_of, "float32", 6 if stopped else 5, 10).backward()
        return {key: value.grad.clone() for key, value in network.named_parameters()}

    alone, stopped, together = gradients(True, 0.0), gradients(True), gradients(False)
    body = {key for key in alone if not key.startswith(("head", "loss_prediction"))}
    assert body or name == "linear"
    for key in alone.keys() - module:  # stopped, the network's gradients are those of the cross-entropy
        torch.testing.assert_close(stopped[key], alone[key])
    for key in module:  # and the module's are those that it always has
        torch.testing.assert_close(stopped[key], together[key])
    assert any(stopped[key].abs().sum() for key in module)
    assert not body or any(not torch.allclose(together[key], alone[key]) for key in body)


def test_the_layers_tapped_are_those_named_averaged_over_all_positions():
    network = networks.build(PREDICTS, (8, 8, 1), 4).eval()
    images = NORMALISE(kinds(6, 0)[0])
    hidden, tapped = tap(network, images, "float32")
    maps = [network.features[:2](images), network.features[:5](images)]
    expected = [*(values.mean((2, 3)) for values in maps), network.features(images)]
    assert [values.shape for values in tapped] == [(6, 32), (6, 64), (6, 128)]
    for found, wanted in zip(tapped, expected, strict=True):
        torch.testing.assert_close(found, wanted)
    assert torch.equal(hidden, tapped[-1])
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize(("n", "batch_size"), [(1, 8), (2, 8), (3, 8), (9, 2), (7, 1)])
@pytest.mark.parametrize("name", ["small_cnn", "resnet18"])
def test_any_number_of_images_can_be_trained_on(monkeypatch, name, n, batch_size):
    sizes = []

    def watched(predicted, losses):
        sizes.append(len(losses))
        return ranking_loss(predicted, losses)

    monkeypatch.setattr(loss_prediction, "ranking_loss", watched)
    network = fitted(n=n, network=name, epochs=1, batch_size=batch_size)
    assert min(sizes) >= 2
    assert sum(sizes) == max(n, 2)
    assert torch.isfinite(predict(network, kinds(3, 1)[0])[0]).all()


def test_feature_tables_averages_of_weights_and_bfloat16_work():
    network = networks.build(PREDICTS | {"network": "linear"}, (5,), 4)
    table, labels = torch.randn(20, 5), torch.arange(20) % 4
    normalise = networks.Normalise(np.zeros(5), np.ones(5), torch.device("cpu"))
    train(network, table, labels, variant=loss_prediction, normalise=normalise, epochs=1)
    assert tap(network, table, "float32")[1][0].shape == (20, 5)
    network = fitted(n=40, epochs=2, ema=0.9, precision="bfloat16")
    assert predict(network, kinds(4, 1)[0])[0].dtype == torch.float32


# The stages


def test_training_and_prediction_give_the_same_bytes_twice(cycle0, stage, tmp_path):
    files = {option: cycle0[option] for option in ("dataset", "pool")}
    digests, predicted = [], []
    for run in ("first", "second"):
        model, out = tmp_path / f"{run}.pt", tmp_path / f"{run}.h5"
        config = TRAIN | {"variant": "loss_prediction", "training": TRAINING | {"epochs": 3, "crop": 1}}
        done = stage("train", config, **cycle0, model=model, metrics=tmp_path / "m.json")
        assert done.returncode == 0, done.stderr
        config = PREDICT | {"variant": "loss_prediction"}
        done = stage("predict", config, **files, need="predicted_loss", model=model, out=out)
        assert done.returncode == 0, done.stderr
        weights = torch.load(model)["states"][0]
        digests.append(hashlib.sha256(b"".join(value.numpy().tobytes() for value in weights.values())).hexdigest())
        with h5py.File(out) as file:
            predicted.append(file["predicted_loss"][:])
    assert digests[0] == digests[1]
    assert "loss_prediction.last.weight" in weights
    assert predicted[0].shape == (1295,)
    assert predicted[0].dtype == np.float32
    np.testing.assert_array_equal(*predicted)
    assert len(np.unique(predicted[0])) > 1200


# The strategy


def test_the_highest_predicted_losses_are_asked_for():
    pool = SimpleNamespace(predicted_loss=np.array([0.1, 9, 0.5, 0.3, 0.7, 0.5]), unlabeled=np.array([0, 2, 3, 4, 5]))
    rows, scores = learning_loss.select(pool, 3, np.random.default_rng(0))
    assert rows.tolist() == [4, 2, 5]
    assert scores.tolist() == [0.7, 0.5, 0.5]
    found = {tuple(learning_loss.select(pool, 2, np.random.default_rng(seed), subset=3)[0]) for seed in range(30)}
    assert len(found) > 3
    assert all(pool.predicted_loss[a] >= pool.predicted_loss[b] for a, b in found)
