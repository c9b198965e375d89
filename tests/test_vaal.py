"""VAAL: what it asks for, its losses and networks, and what it refuses."""

import math
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch

from poolflow.job import StageError
from poolflow.strategies import vaal

SMALL = {"epochs": 4, "width": 8}


def two_kinds(n=300, height=8, width=8, channels=1, labeled=40, seed=0):
    """Return a pool of upright stripes and, a fifth, lying ones, of which none is labelled; and which are those."""
    rng = np.random.default_rng(seed)
    lying = np.arange(n) % 5 == 0
    rows, columns = np.indices((height, width)) % 2
    images = np.where(lying[:, None, None], rows, columns)[..., None] * 160 + 40
    images = images + rng.normal(0, 30, (n, height, width, channels))
    return make_pool(images.clip(0, 255).astype(np.uint8), rng.choice(np.flatnonzero(~lying), labeled, False)), lying


def make_pool(images, labeled):
    labeled = np.asarray(labeled)
    return SimpleNamespace(images=images, labeled=labeled, unlabeled=np.setdiff1d(np.arange(len(images)), labeled))


def ask(pool, budget, seed=0, **parameters):
    return vaal.select(pool, budget, np.random.default_rng(seed), **SMALL | parameters)


@pytest.mark.parametrize(
    ("shape", "seed"), [((8, 8, 1), 0), ((8, 8, 1), 1), ((9, 14, 1), 0), ((16, 16, 3), 0), ((8, 8, 2), 2)]
)
def test_a_kind_of_which_nothing_is_labelled_is_asked_for_first(shape, seed):
    pool, lying = two_kinds(200, *shape, seed=seed)
    rows, scores = ask(pool, 40, seed, epochs=10, width=32)
    assert lying[rows].mean() > 0.8  # by chance: 0.25
    assert (np.diff(scores) <= 0).all()
    assert ((scores > 0.5) & (scores <= 1)).all()


def test_the_same_generator_gives_the_same_bytes():
    pool, _ = two_kinds(60, labeled=5)
    first, second, other = (ask(pool, 55, seed, epochs=1) for seed in (0, 0, 1))
    assert [values.tobytes() for values in first] == [values.tobytes() for values in second]
    assert first[1].tobytes() != other[1].tobytes()


@pytest.mark.parametrize(("n", "labeled"), [(2, 1), (70, 1), (70, 69), (65, 64)])
def test_any_numbers_of_labelled_and_unlabelled_images_work(n, labeled):
    pool, _ = two_kinds(100)
    pool = make_pool(pool.images[:n], np.arange(labeled))
    rows, scores = ask(pool, n - labeled, epochs=1)
    assert sorted(rows) == pool.unlabeled.tolist()
    assert np.isfinite(scores).all()


def test_constant_images_work():
    rows, scores = ask(make_pool(np.full((20, 4, 4, 3), 7, np.uint8), [3]), 19, epochs=1)
    assert len(set(rows)) == 19
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("shape", [(2, 2, 1), (3, 7, 3), (8, 8, 1), (28, 28, 1), (32, 32, 3), (33, 70, 3), (64, 64, 2)])
def test_the_autoencoder_takes_images_of_any_size(shape):
    network = vaal.VAE(shape, latent=5, width=2)
    inputs = torch.randn(3, shape[2], *shape[:2])
    mean, log_variance = network.encode(inputs)
    assert mean.shape == log_variance.shape == (3, 5)
    assert network.decode(mean).shape == inputs.shape


def test_the_networks_are_the_published_ones():
    network = vaal.VAE((32, 32, 3), latent=32, width=128)
    weights = [tuple(module.weight.shape) for module in network.modules() if hasattr(module, "weight")]
    encoder = [(128, 3, 4, 4), (128,), (256, 128, 4, 4), (256,), (512, 256, 4, 4), (512,), (1024, 512, 4, 4), (1024,)]
    decoder = [(1024, 512, 4, 4), (512,), (512, 256, 4, 4), (256,), (256, 128, 4, 4), (128,), (3, 128, 1, 1)]
    assert weights == [*encoder, (32, 4096), (32, 4096), (16384, 32), *decoder]
    linear = [tuple(layer.weight.shape) for layer in vaal.make_discriminator(32) if hasattr(layer, "weight")]
    assert linear == [(512, 32), (512, 512), (512, 512), (512, 512), (1, 512)]


def test_the_elbo_is_that_of_normal_distributions():
    generator = torch.Generator().manual_seed(0)
    inputs, decoded = torch.randn(2, 6, 1, 2, 2, generator=generator)
    mean, log_variance = torch.randn(2, 6, 3, generator=generator)
    encoded = torch.distributions.Normal(mean, (log_variance / 2).exp())
    divergence = torch.distributions.kl_divergence(encoded, torch.distributions.Normal(0, 1)).sum(1)
    density = torch.distributions.Normal(decoded, 1).log_prob(inputs).sum((1, 2, 3)) + 2 * math.log(2 * math.pi)
    expected = sum((3 * divergence - density)[half].mean() for half in (slice(3), slice(3, 6)))
    torch.testing.assert_close(vaal.elbo_loss(inputs, decoded, mean, log_variance, 3.0), expected)


def test_the_autoencoder_deceives_and_the_discriminator_sees():
    """Each moves against the other: with weight on the deceit alone, and with the discriminator held still."""
    torch.manual_seed(0)
    network, discriminator = vaal.VAE((8, 8, 1), 4, 8), vaal.make_discriminator(4)
    inputs = torch.randn(40, 1, 8, 8) + torch.tensor([1.0, -1.0]).repeat_interleave(20).view(-1, 1, 1, 1)

    def answers():
        with torch.no_grad():
            return discriminator(network.encode(inputs)[0]).sigmoid().view(2, 20).mean(1)

    still, moving = ([torch.optim.Adam(m.parameters(), rate) for m in (network, discriminator)] for rate in (0, 1e-3))
    for _ in range(30):
        vaal.update(network, discriminator, [still[0], moving[1]], inputs, 1.0, 1.0)
    labeled, unlabeled = answers()
    assert labeled > 0.75  # 0.43 before, 0.92 now
    assert unlabeled < 0.25
    for _ in range(30):
        vaal.update(network, discriminator, [moving[0], still[1]], inputs, 1.0, 1e3)
    assert (answers() > 0.75).all()


def test_mean_and_deviation_are_numpy_s():
    images = np.random.default_rng(0).integers(0, 256, (50, 5, 4, 3), dtype=np.uint8)
    mean, deviation = vaal.moments(images)
    np.testing.assert_allclose(mean, (images / 255).mean(axis=(0, 1, 2)))
    np.testing.assert_allclose(deviation, (images / 255).std(axis=(0, 1, 2)))


def test_what_cannot_be_done_is_refused_in_a_line(monkeypatch):
    pool, _ = two_kinds(30, labeled=5)
    with pytest.raises(StageError, match=r"the loss of vaal became (nan|inf) in epoch \d; lower the learning_rate"):
        ask(pool, 3, learning_rate=1e30)
    with pytest.raises(StageError, match="vaal takes images, but the data set holds features"):
        ask(make_pool(np.zeros((9, 4), np.float32), [0]), 3)
    with pytest.raises(StageError, match="vaal takes images of 2 x 2 at least, found 1 x 8"):
        ask(make_pool(np.zeros((9, 1, 8, 1), np.uint8), [0]), 3)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(StageError, match="torch sees no CUDA GPU"):
        ask(pool, 3, device="cuda")


def test_an_acquisition_repeats_with_the_threads_of_its_settings(cycle0, stage, tmp_path):
    config = {"strategy": "vaal", "parameters": SMALL | {"epochs": 1}, "budget": 5, "seed": 0, "threads": 1}
    found = []
    for run in ("first", "second"):
        done = stage("acquire", config, **cycle0, out=tmp_path / f"{run}.h5")
        assert done.returncode == 0, done.stderr
        assert "vaal: 100%" in done.stderr
        with h5py.File(tmp_path / f"{run}.h5") as file:
            assert b'"torch"' in file.attrs["versions"]
            found.append([file[name][:].tobytes() for name in ("indices", "score", "cycle")])
    assert found[0] == found[1]
