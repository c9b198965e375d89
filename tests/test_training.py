"""The trainer: what it learns, its augmentations, schedules and recipes, and the kinds of learners."""

import copy
import json
import shutil

import h5py
import numpy as np
import pytest
import torch
from conftest import NETWORK, POOL, PREDICT, TRAIN, TRAINING
from learning import NORMALISE, clusters, train
from sklearn.datasets import load_digits

from poolflow.job import Job, StageError
from poolflow.learners import supervised
from poolflow.learners.supervised import draw_batches
from poolflow.outputs.mc_probs import stochastic
from poolflow.stages import predict
from poolflow.study.config import recipes
from poolflow.training import augmentation, loop, networks, views
from poolflow.training.device import device
from poolflow.training.evaluation import evaluate, log_probs


def fitted(seed=0, n=40, **changes):
    torch.manual_seed(seed)
    images, labels = clusters(n)
    network = networks.build(NETWORK, images.shape[1:], 4)
    train(network, images, labels, **changes)
    return network, evaluate([network], NORMALISE, images, labels, "float32")


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_training_learns(optimizer):
    rate = {"sgd": 0.05, "adam": 0.002, "adamw": 0.002}[optimizer]
    _, result = fitted(optimizer=optimizer, learning_rate=rate)
    assert result["accuracy"] == 1
    assert result["class_accuracy"] == [1, 1, 1, 1]


@pytest.mark.parametrize("n", [1, 2, 9, 17])
def test_any_number_of_images_can_be_trained_on(n):
    _, result = fitted(n=n, epochs=1)
    assert np.isfinite(result["loss"])
    assert result["class_accuracy"].count(None) == max(0, 4 - n)


def test_one_class_alone_can_be_trained_on():
    images, labels = clusters()
    network = networks.build(NETWORK, images.shape[1:], 4)
    train(network, images[labels == 2], labels[labels == 2])
    result = evaluate([network], NORMALISE, images[labels == 2], labels[labels == 2], "float32")
    assert result["accuracy"] == 1
    assert result["class_accuracy"] == [None, None, 1, None]


@pytest.mark.parametrize("l1", [0.0, 0.003])
@pytest.mark.parametrize("schedule", ["constant", "cosine"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_an_update_is_torch_s_own(optimizer, schedule, l1):
    """The optimizers without torch.compile's decorators do what the untouched ones do in a plain loop.

    With `l1` the loss has the elastic net's other part, the sum of the absolute values of all parameters.
    """
    torch.manual_seed(1)
    images, labels = clusters()
    torch.manual_seed(1)
    network = networks.build(NETWORK, images.shape[1:], 4)
    plain = {
        "sgd": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=0.1),
        "adam": lambda p: torch.optim.Adam(p, lr=0.05, weight_decay=0.1),
        "adamw": lambda p: torch.optim.AdamW(p, lr=0.05, weight_decay=0.1),
    }[optimizer](network.parameters())
    total = 5 * 3
    for epoch in range(3):
        for step, batch in enumerate(torch.randperm(40).tensor_split(5)):
            rate = 0.05 * (1 + np.cos(np.pi * (5 * epoch + step) / total)) / 2 if schedule == "cosine" else 0.05
            plain.param_groups[0]["lr"] = rate
            plain.zero_grad()
            loss = torch.nn.functional.cross_entropy(network(NORMALISE(images[batch])), labels[batch])
            (loss + l1 * sum(value.abs().sum() for value in network.parameters())).backward()
            plain.step()
    ours, _ = fitted(seed=1, epochs=3, optimizer=optimizer, schedule=schedule, weight_decay=0.1, l1=l1)
    for expected, found in zip(network.parameters(), ours.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=5e-5)


def test_a_crop_is_a_window_of_the_padded_image_and_each_image_has_its_own():
    torch.manual_seed(0)
    images = torch.from_numpy(np.random.default_rng(0).integers(1, 256, (300, 6, 5, 3), dtype=np.uint8))
    padded = np.pad(images.numpy(), ((0, 0), (2, 2), (2, 2), (0, 0)))
    out = augmentation.augment(images, TRAINING | {"crop": 2}).numpy()
    shifts = set()
    for image, whole in zip(out, padded, strict=True):
        found = [(y, x) for y in range(5) for x in range(5) if np.array_equal(whole[y : y + 6, x : x + 5], image)]
        assert len(found) == 1
        shifts.add(found[0])
    assert len(shifts) == 25


def test_a_flip_mirrors_about_half_of_the_images():
    torch.manual_seed(0)
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (400, 4, 5, 1), dtype=np.uint8))
    out = augmentation.augment(images, TRAINING | {"flip": True})
    mirrored = (out == images.flip(2)).flatten(1).all(dim=1)
    kept = (out == images).flatten(1).all(dim=1)
    assert (mirrored ^ kept).all()
    assert 160 < int(mirrored.sum()) < 240
    assert augmentation.augment(images, TRAINING) is images


def test_normalisation_gives_zero_mean_and_unit_deviation():
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (200, 8, 6, 3), dtype=np.uint8))
    scaled = images.double() / 255
    mean, std = scaled.mean(dim=(0, 1, 2)).numpy(), scaled.std(dim=(0, 1, 2), correction=0).numpy()
    out = networks.Normalise(mean, std, torch.device("cpu"))(images)
    assert out.shape == (200, 3, 8, 6)
    assert out.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(out.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(out.std(dim=(0, 2, 3), correction=0), torch.ones(3), atol=1e-5, rtol=0)


def test_evaluation_is_accuracy_and_cross_entropy():
    network, result = fitted(epochs=2)
    images, labels = clusters()
    with torch.no_grad():
        probs = network(NORMALISE(images)).double().softmax(dim=1).numpy()
    assert result["accuracy"] == (probs.argmax(axis=1) == labels.numpy()).mean()
    assert result["loss"] == pytest.approx(-np.log(probs[np.arange(40), labels.numpy()]).mean())
    # Of two members accuracies are the mean, not that of their vote: one answers 0, surely, the other 1, less surely.
    members = [copy.deepcopy(network), copy.deepcopy(network)]
    for member, bias in zip(members, ([3.0, 0, 0, 0], [0, 1.0, 0, 0]), strict=True):
        torch.nn.init.zeros_(member.head[1].weight)
        member.head[1].bias.data = torch.tensor(bias)
    result = evaluate(members, NORMALISE, images, torch.zeros_like(labels), "float32")
    assert (result["accuracy"], result["ensemble_accuracy"]) == (0.5, 1)
    assert result["class_accuracy"] == [0.5, None, None, None]


def test_cuda_where_there_is_none_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(StageError, match="torch sees no CUDA GPU; write auto or cpu"):
        device(NETWORK | {"device": "cuda"})
    assert device(NETWORK | {"device": "auto"}).type == "cpu"


def test_images_too_small_for_the_network_are_refused():
    with pytest.raises(StageError, match="lenet takes images of 16 x 16 at least, found 8 x 20"):
        networks.build(NETWORK | {"network": "lenet"}, (8, 20, 1), 4)


# Schedules


def rates(steps=4, total=40, **changes):
    config = TRAINING | {"schedule": "constant"} | changes
    return np.array([loop.rate(step, steps, total, config) for step in range(total)])


def test_schedules_are_their_formulas():
    assert (rates() == 1).all()
    np.testing.assert_allclose(rates(schedule="cosine"), (1 + np.cos(np.pi * np.arange(40) / 40)) / 2)
    # A cosine over 21 epochs, cut at 10 (Simeoni et al.: over 210, cut at 200).
    longer = rates(schedule="cosine", schedule_epochs=21)
    np.testing.assert_allclose(longer, (1 + np.cos(np.pi * np.arange(40) / 84)) / 2)
    steps = rates(schedule="step", schedule_epochs=2, schedule_factor=0.5)
    np.testing.assert_allclose(steps, np.repeat(0.5 ** np.arange(5), 8))
    warm = rates(warmup_epochs=2)
    np.testing.assert_allclose(warm, np.minimum(1, np.arange(1, 41) / 8))
    both = rates(schedule="cosine", warmup_epochs=0.5)
    np.testing.assert_allclose(both, rates(schedule="cosine") * np.minimum(1, np.arange(1, 41) / 2))


def test_a_cosine_shorter_than_the_training_stays_at_zero():
    assert (rates(schedule="cosine", schedule_epochs=5)[20:] == 0).all()


# Batches


@pytest.mark.parametrize(("n", "steps"), [(1, 1), (2, 1), (7, 3), (100, 4)])
def test_an_epoch_has_each_image_once(n, steps):
    batches = draw_batches(n, steps, 0, None)
    assert len(batches) == steps
    assert max(map(len, batches)) - min(map(len, batches)) <= 1
    if n == 1:
        assert batches[0].tolist() == [0, 0]
    else:
        assert sorted(torch.cat(batches).tolist()) == list(range(n))


def test_replay_mixes_old_and_new_images():
    new = torch.arange(100) >= 80
    batches = draw_batches(100, 5, 0.9, new)
    assert [len(batch) for batch in batches] == [20] * 5
    assert [int((batch >= 80).sum()) for batch in batches] == [2] * 5
    # In the first cycle all images are alike.
    assert sorted(torch.cat(draw_batches(100, 5, 0.9, None)).tolist()) == list(range(100))
    assert sorted(torch.cat(draw_batches(100, 5, 0.9, new | True)).tolist()) == list(range(100))
    for replay in (0.01, 0.99):
        both = torch.cat(draw_batches(100, 50, replay, new))
        assert len(both) == 100
        assert 0 < int((both >= 80).sum()) < 100


def counted(network):
    """Return a list that grows by the size of each batch that the network sees."""
    sizes = []
    network.register_forward_pre_hook(lambda module, inputs: sizes.append(len(inputs[0])))
    return sizes


@pytest.mark.parametrize(("n", "batch_size"), [(1, 8), (2, 8), (3, 2), (3, 1), (9, 4), (17, 8)])
@pytest.mark.parametrize("name", ["vgg16", "resnet18"])
def test_batch_normalisation_never_sees_one_image_alone(name, n, batch_size):
    side = {"vgg16": 32, "resnet18": 8}[name]
    torch.manual_seed(0)
    images = torch.randint(0, 256, (n, side, side, 1), dtype=torch.uint8)
    network = networks.build(NETWORK | {"network": name}, images.shape[1:], 3)
    sizes = counted(network.head)
    train(network, images, torch.arange(n) % 3, epochs=1, batch_size=batch_size)
    assert min(sizes) >= 2
    assert sum(sizes) == max(n, 2)
    assert all(torch.isfinite(value).all() for value in network.state_dict().values())


def test_the_number_of_updates_can_be_given():
    network = networks.build(NETWORK, (8, 8, 1), 4)
    sizes = counted(network.head)
    kept = train(network, *clusters(), iterations=23, epochs=1)
    assert sizes == [8] * 23
    assert kept == 5


# Augmentation


def test_a_reflected_crop_is_a_window_of_the_reflected_image():
    torch.manual_seed(0)
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (200, 6, 5, 3), dtype=np.uint8))
    padded = np.pad(images.numpy(), ((0, 0), (2, 2), (2, 2), (0, 0)), mode="reflect")
    out = augmentation.augment(images, TRAINING | {"crop": 2, "padding": "reflect"}).numpy()
    shifts = set()
    for image, whole in zip(out, padded, strict=True):
        found = [(y, x) for y in range(5) for x in range(5) if np.array_equal(whole[y : y + 6, x : x + 5], image)]
        shifts.add(found[0])
    assert len(shifts) == 25


@pytest.mark.parametrize("side", [1, 2, 5])
@pytest.mark.parametrize("pad", [1, 3, 9])
def test_reflection_is_numpy_s(side, pad):
    expected = np.pad(np.arange(side), pad, mode="reflect")
    assert augmentation.reflected(side, pad).tolist() == expected.tolist()


@pytest.mark.parametrize("side", [1, 2, 3, 9])
def test_cutout_zeroes_one_square_around_a_random_pixel(side):
    torch.manual_seed(0)
    out = augmentation.cutout(torch.ones(500, 2, 5, 6), side)
    assert torch.equal(out[:, 0], out[:, 1])
    centres = set()
    for image in out[:, 0].numpy():
        squares = {}
        for y in range(5):
            for x in range(6):
                expected = np.ones((5, 6))
                top, left = y - side // 2, x - side // 2
                expected[max(0, top) : max(0, top + side), max(0, left) : max(0, left + side)] = 0
                squares[(y, x)] = np.array_equal(image, expected)
        assert any(squares.values())
        centres |= {centre for centre, same in squares.items() if same}
    assert len(centres) == 30


def test_randaugment_is_torchvision_s_with_a_draw_for_each_image():
    from torchvision.transforms import RandAugment

    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), dtype=np.uint8))
    torch.manual_seed(3)
    out = augmentation.augment(images, TRAINING | {"randaugment": 2, "randaugment_magnitude": 12})
    torch.manual_seed(3)
    transform = RandAugment(2, 12)
    for image, found in zip(images, out, strict=True):
        assert torch.equal(transform(image.permute(2, 0, 1)).permute(1, 2, 0), found)
    same = augmentation.augment(images[:1].expand(20, -1, -1, -1), TRAINING | {"randaugment": 2})
    assert len({image.numpy().tobytes() for image in same}) > 5


# What is kept


def test_the_best_epoch_is_the_first_with_the_highest_validation_accuracy(monkeypatch):
    accuracies = iter([0.3, 0.6, 0.5, 0.6, 0.2, 0.9])
    seen = []

    def scripted(members, *_):
        seen.append({key: value.clone() for key, value in members[0].state_dict().items()})
        return {"accuracy": next(accuracies)}

    monkeypatch.setattr(loop, "evaluate", scripted)
    images, labels = clusters()

    def run(**changes):
        torch.manual_seed(0)
        seen.clear()
        network = networks.build(NETWORK, images.shape[1:], 4)
        settings = {"epochs": 5, "best_epoch": True} | changes
        return train(network, images, labels, (images, labels), **settings), network

    kept, network = run()
    assert (kept, len(seen)) == (2, 5)
    assert all(torch.equal(value, seen[1][key]) for key, value in network.state_dict().items())
    accuracies = iter([0.3, 0.6, 0.5, 0.6, 0.2, 0.9])
    kept, _ = run(patience=2)
    assert (kept, len(seen)) == (2, 4)


def test_the_average_of_the_weights_is_kept():
    images, labels = clusters()
    path = []

    def weights(**changes):
        torch.manual_seed(0)
        network = networks.build(NETWORK, images.shape[1:], 4)
        train(network, images, labels, **changes)
        return network.head[1].weight.detach().double()

    for iterations in range(1, 7):  # without a schedule, a shorter training is the start of a longer one
        path.append(weights(iterations=iterations, schedule="constant"))
    expected = path[0]
    for step, value in enumerate(path[1:], 2):
        decay = min(0.6, 1 - 1 / step)
        expected = decay * expected + (1 - decay) * value
    found = weights(iterations=6, schedule="constant", ema=0.6)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(found, path[-1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("n", [1, 3, 40])
def test_an_average_has_seen_the_training_images_itself(n, monkeypatch):
    """Its statistics are those of its own layers over all images, for the last weights and for the best epoch's."""
    images, labels = (values[:n] for values in clusters())
    monkeypatch.setattr(loop, "evaluate", lambda members, *_: {"accuracy": float(sum(members[0].seen))})
    for best in (False, True):
        torch.manual_seed(0)
        body = torch.nn.Conv2d(1, 3, 3), torch.nn.Dropout(0.5), torch.nn.BatchNorm2d(3)
        network = networks.build(NETWORK, images.shape[1:], 4)
        network.features = torch.nn.Sequential(*body, torch.nn.Flatten(), torch.nn.Linear(3 * 6 * 6, 16))
        network.head = torch.nn.Linear(16, 4)
        network.seen = [1]
        train(network, images, labels, (images, labels), epochs=5, ema=0.999, best_epoch=best)
        with torch.no_grad():
            values = network.features[0](NORMALISE(images if n > 1 else images.repeat(2, 1, 1, 1))).transpose(0, 1)
        layer = network.features[2]
        torch.testing.assert_close(layer.running_mean, values.flatten(1).mean(dim=1), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(layer.running_var, values.flatten(1).var(dim=1), rtol=1e-4, atol=1e-5)


def test_an_average_with_batch_normalisation_learns_as_its_network_does():
    torch.manual_seed(0)
    images, labels = clusters()
    accuracies = []
    for ema in (0.0, 0.98):
        torch.manual_seed(0)
        network = networks.build(NETWORK | {"network": "resnet18"}, images.shape[1:], 4)
        train(network, images, labels, epochs=6, learning_rate=0.02, ema=ema)
        accuracies.append(evaluate([network], NORMALISE, images, labels, "float32")["accuracy"])
    assert min(accuracies) > 0.95, accuracies


def test_label_smoothing_keeps_the_network_from_certainty():
    sure, _ = fitted(epochs=60)
    unsure, result = fitted(epochs=60, label_smoothing=0.2)
    images, _ = clusters()
    highest = [log_probs(n, NORMALISE, images, "float32").exp().amax(dim=1).mean() for n in (sure, unsure)]
    assert highest[0] > 0.99
    assert highest[1] == pytest.approx(0.8 + 0.2 / 4, abs=0.03)
    assert result["accuracy"] == 1


def test_bfloat16_learns_and_its_scores_do_not_tie():
    network, result = fitted(precision="bfloat16")
    assert result["accuracy"] == 1
    images = torch.randint(0, 256, (300, 8, 8, 1), dtype=torch.uint8)
    logits = networks.logits(network, NORMALISE(images), "bfloat16")
    assert logits.dtype == torch.float32
    assert len(torch.unique(logits[:, 0])) > 290  # in bfloat16 many would be the same
    features = networks.features(network, NORMALISE(images), "bfloat16")
    assert torch.equal(features, features.bfloat16().float())
    assert not torch.equal(features, networks.features(network, NORMALISE(images), "float32"))


# Kinds of learners


@pytest.fixture
def learner(study, stage, tmp_path):
    """Return a function that trains on the tiny study's initial pool and returns the files it wrote."""
    files = {"dataset": study / "dataset.h5", "pool": study / "pool/seed0.h5"}

    def run(name, labeled="random/seed0/cycle0", network="small_cnn", parameters=None, start=None, **changes):
        config = TRAIN | {"network": network, "parameters": parameters or {}}
        config |= {key: changes.pop(key) for key in ("members", "variant") if key in changes}
        options = {"model": tmp_path / f"{name}.pt", "metrics": tmp_path / f"{name}.json"}
        options |= files | {"labeled": study / f"small_cnn/{labeled}/labeled.h5"} | ({"start": start} if start else {})
        done = stage("train", config | {"training": TRAINING | {"epochs": 3} | changes}, **options)
        assert done.returncode == 0, done.stderr
        return options["model"], json.loads(options["metrics"].read_text())

    def predict(need, model, network="small_cnn", parameters=None, **more):
        config = PREDICT | {"network": network, "parameters": parameters or {}} | more
        done = stage("predict", config, need=need, model=model, out=tmp_path / "out.h5", **files)
        assert done.returncode == 0, done.stderr
        with h5py.File(tmp_path / "out.h5") as file:
            return file[need][:]

    run.predict = predict
    return run


def test_an_ensemble_has_members_of_its_own_and_their_mean(learner):
    model, metrics = learner("ensemble", members=3, variant="ensemble")
    states = torch.load(model)["states"]
    assert len(states) == 3
    assert not torch.equal(states[0]["head.1.weight"], states[1]["head.1.weight"])
    single, alone = learner("single")
    assert torch.equal(states[0]["head.1.weight"], torch.load(single)["states"][0]["head.1.weight"])
    votes = learner.predict("ensemble_probs", model, variant="ensemble")
    assert votes.shape == (1295, 3, 10)
    np.testing.assert_allclose(learner.predict("probs", model), votes.mean(axis=1), atol=1e-6)
    np.testing.assert_allclose(learner.predict("probs", single), votes[:, 0], atol=1e-6)
    np.testing.assert_array_equal(learner.predict("features", single), learner.predict("features", model))
    assert "test_ensemble_accuracy" in metrics
    assert "test_ensemble_accuracy" not in alone
    assert len(metrics["epochs"]) == 3


@pytest.mark.parametrize("network", ["small_cnn", "mlp"])
def test_passes_with_dropout_differ_and_repeat(learner, network):
    parameters = {"dropout": 0.5}
    model, _ = learner("dropout", network=network, parameters=parameters)
    options = {"network": network, "parameters": parameters, "settings": {"mc_probs": {"passes": 40}}}
    samples = learner.predict("mc_probs", model, **options)
    assert samples.shape == (1295, 40, 10)
    np.testing.assert_allclose(samples.sum(axis=2), 1, atol=1e-5)
    assert (samples.std(axis=1).max(axis=1) > 0).all()
    np.testing.assert_array_equal(samples, learner.predict("mc_probs", model, **options))
    assert not np.array_equal(samples, learner.predict("mc_probs", model, **options | {"seed": 1}))
    # The other outputs have no dropout.
    probs = learner.predict("probs", model, network=network, parameters=parameters)
    np.testing.assert_array_equal(probs, learner.predict("probs", model, network=network, parameters=parameters))


def test_a_pass_is_one_draw_for_the_whole_pool(learner, study, tmp_path, monkeypatch):
    parameters = {"dropout": 0.5}
    model, _ = learner("dropout", parameters=parameters)
    settings = {"mc_probs": {"passes": 20}}
    job = Job("predict", "digits", PREDICT | {"parameters": parameters, "settings": settings}, "")
    files = study / "dataset.h5", study / "pool/seed0.h5"
    found = []
    for block in (1000, 70):
        monkeypatch.setattr(networks, "EVALUATION_BATCH", block)
        predict.main(job, *files, model, ["mc_probs"], [tmp_path / "out.h5"])
        with h5py.File(tmp_path / "out.h5") as file:
            found.append(file["mc_probs"][:])
    np.testing.assert_allclose(*found, rtol=0, atol=1e-5)


@pytest.mark.parametrize("drop", [torch.nn.Dropout(0.5), torch.nn.Dropout2d(0.5)])
def test_a_duplicate_tells_little_that_is_new(drop):
    """Of two equal images, what both tell of the weights is far from twice what one tells (Kirsch et al. 2019)."""
    images, labels = clusters()
    torch.manual_seed(0)
    network = networks.build(NETWORK, images.shape[1:], 4)
    network.features = torch.nn.Sequential(
        torch.nn.Conv2d(1, 32, 3), torch.nn.ReLU(), drop, torch.nn.Flatten(), torch.nn.Linear(32 * 36, 16)
    )
    network.head = torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.Linear(16, 4))
    train(network, images, labels, epochs=2)
    noise = torch.randint(0, 256, (40, 8, 8, 1), dtype=torch.uint8)
    with torch.inference_mode():
        torch.manual_seed(1)
        pair = torch.cat([noise, noise])
        probs = torch.stack(list(stochastic(network.eval(), NORMALISE(pair), "float32", 600)), dim=1).double()
    torch.testing.assert_close(probs[:40], probs[40:], rtol=0, atol=1e-6)

    def entropy(values):
        return -(values * values.clamp(min=1e-30).log()).sum(-1)

    one, other = probs[:40], probs[40:]
    alone = entropy(one.mean(1)) - entropy(one).mean(1)
    joint = torch.einsum("ntc,ntd->ncd", one, other).flatten(1) / one.shape[1]
    together = entropy(joint) - (entropy(one) + entropy(other)).mean(1)
    redundancy = (2 * alone - together) / alone
    most = alone.argsort(descending=True)[:10]
    assert redundancy[most].min() > 0.1, redundancy[most]


def test_a_layer_that_drops_in_another_way_is_refused():
    network = networks.build(NETWORK, (8, 8, 1), 4).eval()
    network.features = torch.nn.Sequential(torch.nn.AlphaDropout(0.5), network.features)
    with pytest.raises(StageError, match="found a layer AlphaDropout in the network, expected of those that drop Dro"):
        list(stochastic(network, torch.zeros(2, 1, 8, 8), "float32", 2))


def test_dropout_inside_a_network_is_drawn_anew_in_each_pass():
    torch.manual_seed(0)
    images = torch.randn(3, 3, 32, 32)
    for name in ("conv13", "vgg16", "resnet18", "small_cnn"):
        network = networks.build(NETWORK | {"network": name, "parameters": {"dropout": 0.5}}, (32, 32, 3), 4).eval()
        count = []
        layer = next(m for m in network.modules() if isinstance(m, torch.nn.Conv2d))
        layer.register_forward_hook(lambda *_, count=count: count.append(1))
        with torch.inference_mode():
            samples = torch.stack(list(stochastic(network, images, "float32", 5)))
        assert len(count) == 1  # what comes before the first dropout runs once
        assert all(not torch.equal(samples[0], other) for other in samples[1:])
        assert not any(module.training for module in network.modules() if "Norm" in type(module).__name__)


def test_cycle_0_may_be_trained_for_another_length_than_the_cycles_after_it(learner):
    """As where a network is pretrained on the first labels and then updated so many times a cycle."""
    lengths = {"iterations": 6, "first_epochs": 7}
    model, first = learner("first", **lengths)
    # 10 images in batches of 8 are 2 updates an epoch; then 15 images, also 2.
    then = [learner("then", "random/entropy/seed0/cycle1", start=model, **lengths)[1], learner("none", iterations=6)[1]]
    assert first["epochs"] == [7]
    assert [metrics["epochs"] for metrics in then] == [[3], [3]]


def test_the_network_of_kaeding_et_al_learns():
    """The paper's learning rate, for pixels in 0..255, leaves it near chance on inputs of unit variance."""
    digits = load_digits()
    images = torch.from_numpy((digits.images * 255 / 16).astype(np.uint8)[..., None])
    labels, pixels = torch.from_numpy(digits.target), digits.images / 16
    normalise = networks.Normalise(np.array([pixels.mean()]), np.array([pixels.std()]), torch.device("cpu"))
    torch.manual_seed(0)
    network = networks.build(NETWORK | {"network": "mlp", "parameters": {"layers": 2}}, (8, 8, 1), 10)
    train(network, images[:1000], labels[:1000], normalise=normalise, **recipes()["kaeding2016"])
    assert evaluate([network], normalise, images[1000:], labels[1000:], "float32")["accuracy"] > 0.9


def test_a_resized_crop_is_torchvision_s():
    """Of images of three straight ramps each pixel tells where it came from: a crop of the area and ratio asked for."""
    from torchvision.transforms import RandomResizedCrop
    from torchvision.transforms.functional import resized_crop as published

    down, right = np.mgrid[:40, :40] * 6 + 5
    images = torch.from_numpy(np.stack([down, right, down], axis=-1).astype(np.uint8)).repeat(300, 1, 1, 1)
    torch.manual_seed(0)
    found = supervised.resized_crop(images, 0.08)
    assert found.shape == images.shape
    assert found.dtype == torch.uint8
    torch.manual_seed(0)
    boxes = views.draw_boxes(300, 40, 40, 0.08)
    original = images[0].permute(2, 0, 1)
    for box, image in zip(boxes.T.tolist(), found, strict=True):
        expected = published(original, *box, [40, 40], antialias=False).permute(1, 2, 0)
        assert (image.int() - expected.int()).abs().max() <= 1
    areas = (boxes[2] * boxes[3] / 1600).numpy()
    theirs = [RandomResizedCrop.get_params(original, (0.08, 1), (3 / 4, 4 / 3)) for _ in range(3000)]
    np.testing.assert_allclose(areas.mean(), np.mean([box[2] * box[3] / 1600 for box in theirs]), atol=0.05)
    assert areas.min() < 0.15
    assert supervised.resized_crop(images, 0) is images


def test_a_warm_start_goes_on_from_the_last_weights(learner):
    first, _ = learner("first", epochs=5)
    still, _ = learner("still", start=first, epochs=1, learning_rate=1e-12)
    moved, _ = learner("moved", start=first, epochs=1)
    weights = [torch.load(path)["states"][0]["head.1.weight"] for path in (first, still, moved)]
    torch.testing.assert_close(weights[1], weights[0], rtol=0, atol=1e-9)
    assert not torch.allclose(weights[2], weights[0], rtol=0, atol=1e-4)


def test_features_are_learned_by_a_linear_head(stage, tmp_path):
    rng = np.random.default_rng(0)
    labels = np.arange(90) % 3
    features = (rng.normal(size=(90, 5)) + 6 * np.eye(3, 5)[labels]).astype(np.float32) * [1, 10, 100, 1, 1] + 50
    with h5py.File(tmp_path / "dataset.h5", "w") as file:
        for part in ("train", "test"):
            file[f"{part}/features"], file[f"{part}/labels"] = features.astype("f4"), labels
        file.attrs.update(classes=list("abc"), mean=features.mean(axis=0), std=features.std(axis=0))
    pool = {"dataset": tmp_path / "dataset.h5", "pool": tmp_path / "pool.h5"}
    assert stage("pool", POOL, dataset=pool["dataset"], out=pool["pool"]).returncode == 0
    first = {"initial_pool": "random", "parameters": {}, "size": 30, "seed": 0, "threads": 1}
    assert stage("initial_pool", first, **pool, out=tmp_path / "labeled.h5").returncode == 0
    options = pool | {"labeled": tmp_path / "labeled.h5", "model": tmp_path / "m.pt", "metrics": tmp_path / "m.json"}
    training = TRAINING | {"epochs": 60, "learning_rate": 0.1}
    done = stage("train", TRAIN | {"network": "linear", "training": training}, **options)
    assert done.returncode == 0, done.stderr
    assert json.loads(options["metrics"].read_text())["test_accuracy"] > 0.95
    done = stage("train", TRAIN | {"training": training}, **options)
    assert done.stderr.splitlines()[-1].endswith("small_cnn takes images, but the data set holds features")


def test_images_without_a_label_are_not_trained_on(cycle0, stage, tmp_path):
    dataset = shutil.copy(cycle0["dataset"], tmp_path)
    with h5py.File(cycle0["labeled"]) as file:
        rows = file["indices"][:]
    with h5py.File(cycle0["pool"]) as file:
        rows = file["indices"][:][rows]
    options = cycle0 | {"dataset": dataset, "model": tmp_path / "m.pt", "metrics": tmp_path / "m.json"}
    for unknown in (4, 10):
        with h5py.File(dataset, "r+") as file:
            labels = file["train/labels"][:]
            labels[rows[:unknown]] = -1
            file["train/labels"][:] = labels
        done = stage("train", TRAIN | {"training": TRAINING | {"epochs": 1}}, **options)
        if unknown == 10:
            assert (
                "none of the 10 images to learn from has a label; label those of to_label"
                in done.stderr.splitlines()[-1]
            )
        else:
            metrics = json.loads((tmp_path / "m.json").read_text())
            assert (metrics["labeled"], metrics["unanswered"], sum(metrics["classes_labeled"])) == (6, 4, 6)
