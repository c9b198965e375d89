"""Every network keeps its contract, and each is the published one."""

import copy
import subprocess
import sys
from importlib import import_module

import pytest
import torch
import torch.nn.functional as F
from conftest import ROOT
from torch import nn

from poolflow.study import plugins

NETWORKS = plugins.names("networks")
# Dropout by default, in the layers before the penultimate one and in the head.
DROPOUT = {"conv13": ([0.5, 0.5], []), "resnet18": ([0.0], []), "vgg16": ([0.5], [0.5])}
QUIET = {"conv13": {"noise": 0.0}}  # parameters that leave dropout as the only randomness


def side(name):
    return plugins.literals("networks", name).get("MIN_SIDE", 1)


def shapes(name):
    """Return shapes of inputs: images at MIN_SIDE, not square, larger, in grey and RGB, and tables."""
    inputs = plugins.literals("networks", name).get("INPUTS", ("images",))
    least, found = side(name), []
    if "images" in inputs:
        found += [(height, width, c) for height, width in ((least, least), (least + 5, least + 2)) for c in (1, 3)]
        found += [(2 * least + 1, least, 3)]
    return found + ([(1,), (5,)] if "features" in inputs else [])


EVERY = [(name, shape) for name in NETWORKS for shape in shapes(name)]
CHOSEN = [(name, shape) for name in NETWORKS for shape in shapes(name)[1:-1:2]]


def build(name, shape, classes=7, seed=0, **parameters):
    torch.manual_seed(seed)
    return import_module(f"poolflow.networks.{name}").Network(shape, classes, **parameters)


def draw(shape, n=4):
    """Return inputs as training makes them: images in channels_last."""
    generator = torch.Generator().manual_seed(1)
    if len(shape) == 1:
        return torch.randn(n, *shape, generator=generator)
    inputs = torch.randn(n, shape[2], *shape[:2], generator=generator)
    return inputs.to(memory_format=torch.channels_last)


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def dropouts(module):
    return [layer.p for layer in module.modules() if isinstance(layer, nn.Dropout)]


def last(network):
    return [layer for layer in network.head.modules() if isinstance(layer, nn.Linear)][-1]


@pytest.fixture
def deterministic():
    torch.set_deterministic_debug_mode("error")
    yield
    torch.set_deterministic_debug_mode("default")


@pytest.mark.parametrize(("name", "shape"), EVERY)
def test_a_network_gives_features_and_logits(name, shape):
    network, inputs = build(name, shape).eval(), draw(shape)
    with torch.inference_mode():
        features = network.features(inputs)
        assert features.shape == (4, last(network).in_features)
        assert network(inputs).shape == (4, 7)
        torch.testing.assert_close(network(inputs), network.head(features), rtol=0, atol=0)
        torch.testing.assert_close(network.features(inputs), features, rtol=0, atol=0)
        # An image's output does not depend on the others in its batch.
        torch.testing.assert_close(network.features(inputs[:1]), features[:1], rtol=1e-4, atol=1e-5)


def test_every_network_says_what_it_takes():
    taken = {name: plugins.literals("networks", name)["INPUTS"] for name in NETWORKS}
    assert set(taken.values()) <= {("images",), ("images", "features")}
    assert [name for name in NETWORKS if "features" in taken[name]] == ["linear", "mlp"]


@pytest.mark.parametrize("name", ["conv13", "lenet", "vgg16"])
@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_smaller_images_than_min_side_cannot_pass(name):
    shape = (side(name) - 1, side(name), 3)
    with pytest.raises(RuntimeError, match=r"size"):
        build(name, shape).eval()(draw(shape))


@pytest.mark.parametrize(("name", "shape"), CHOSEN)
def test_channels_last_changes_nothing(name, shape):
    network, inputs = build(name, shape).eval(), draw(shape)
    with torch.inference_mode():
        expected = network(inputs.contiguous())
        found = network.to(memory_format=torch.channels_last)(inputs)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "shape"), CHOSEN)
@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.usefixtures("deterministic")
def test_a_network_trains_deterministically(name, shape, bf16):
    network = build(name, shape).to(memory_format=torch.channels_last)
    inputs, labels = draw(shape), torch.tensor([0, 6, 2, 2])

    def step():
        torch.manual_seed(3)
        trained = copy.deepcopy(network)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits = trained(inputs)
        assert logits.dtype == (torch.bfloat16 if bf16 else torch.float32)
        loss = F.cross_entropy(logits.float(), labels)
        loss.backward()
        assert not any("Adaptive" in operation for operation in graph(loss.grad_fn))  # not deterministic on CUDA
        return [parameter.grad for parameter in trained.parameters()]

    gradients = step()
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    assert sum(gradient.abs().sum() for gradient in gradients) > 0
    assert all(torch.equal(*pair) for pair in zip(gradients, step(), strict=True))


def graph(function):
    """Return the names of all operations that a backward pass goes through."""
    found, stack = set(), [function]
    while stack:
        function = stack.pop()
        if function is not None and function not in found:
            found.add(function)
            stack += [child for child, _ in function.next_functions]
    return {type(function).__name__ for function in found}


@pytest.mark.parametrize(("name", "shape"), CHOSEN)
def test_bf16_is_near_float32(name, shape):
    network, inputs = build(name, shape).eval(), draw(shape)
    with torch.inference_mode():
        expected = network(inputs)
        with torch.autocast("cpu", torch.bfloat16):
            found = network(inputs).float()
    assert (found - expected).norm() < 0.03 * expected.norm()


@pytest.mark.parametrize("name", NETWORKS)
def test_torch_s_seed_determines_the_initialisation(name):
    shape = shapes(name)[0]
    first, again, other = (build(name, shape, seed=seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


@pytest.mark.parametrize("name", NETWORKS)
def test_dropout_is_where_it_is_stated_and_only_there(name):
    shape = shapes(name)[-3]
    before, head = DROPOUT.get(name, ([], [0.0]))
    network = build(name, shape)
    assert dropouts(network) == before + head
    assert dropouts(network.head) == head

    inputs = draw(shape)
    none = build(name, shape, dropout=0.0, **QUIET.get(name, {}))
    assert not any(dropouts(none))
    assert torch.equal(none(inputs), none(inputs))  # in training

    some = build(name, shape, dropout=0.5, **QUIET.get(name, {}))
    assert dropouts(some) == [0.5] * len(before + head)
    features = some.features(inputs)
    assert torch.equal(some.features(inputs), features) == (not before)
    if head:
        assert not torch.equal(some.head(features), some.head(features))
    with torch.inference_mode():
        assert torch.equal(some.eval()(inputs), some(inputs))


def dropped(network, function, *arguments):
    """Return the dropout layers that a call of a network goes through, in their order."""
    seen, layers = [], [layer for layer in network.modules() if isinstance(layer, nn.Dropout)]
    hooks = [layer.register_forward_pre_hook(lambda layer, _: seen.append(layer)) for layer in layers]
    function(*arguments)
    for hook in hooks:
        hook.remove()
    return seen


@pytest.mark.parametrize(("name", "shape"), EVERY)
def test_the_parts_before_and_after_dropout_make_the_features(name, shape):
    """A network either drops in the head alone or has the pair, so that no pass with dropout repeats what is sure."""
    network, inputs = build(name, shape, dropout=0.5, **QUIET.get(name, {})), draw(shape)
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Dropout)]
    before_head = [layer for layer in layers if layer not in network.head.modules()]
    assert hasattr(network, "before_dropout") == hasattr(network, "after_dropout") == bool(before_head)
    if not before_head:
        return
    assert dropped(network, network.before_dropout, inputs) == []
    hidden = network.before_dropout(inputs)
    assert dropped(network, network.after_dropout, hidden) == before_head
    with torch.inference_mode():
        network.eval()
        hidden = network.before_dropout(inputs)
        kept = hidden.clone()
        torch.testing.assert_close(network.after_dropout(hidden), network.features(inputs), rtol=0, atol=0)
        # As for mc_probs: only the dropout layers are in training.
        for layer in before_head:
            layer.train()
        passes = [network.after_dropout(hidden) for _ in range(2)]
        assert not torch.equal(*passes)
        torch.manual_seed(4)
        whole = network.features(inputs)
        torch.manual_seed(4)
        torch.testing.assert_close(network.after_dropout(network.before_dropout(inputs)), whole, rtol=0, atol=0)
        assert torch.equal(hidden, kept)


def test_resnet18_drops_the_average_before_the_projection():
    """Chandra et al. (2021), section 6.1: after the flattening; and no convolution comes after it."""
    network = build("resnet18", (8, 8, 3), dropout=0.5).eval()
    network.dropout.train()
    seen = []
    network.projection.register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0]))
    hidden = network.before_dropout(draw((8, 8, 3), n=50))
    network.after_dropout(hidden)
    kept = seen[0] != 0
    torch.testing.assert_close(seen[0][kept], 2 * hidden[kept])
    assert kept[hidden != 0].float().mean().item() == pytest.approx(0.5, abs=0.02)
    assert not any(isinstance(layer, nn.Dropout) for layer in network.head.modules())


def test_dropout_in_the_head_is_of_the_features_that_come_out():
    network = build("small_cnn", (8, 8, 1), dropout=0.25)
    assert isinstance(network.head[0], nn.Dropout)
    kept = network.head[0](torch.ones(100, 100))
    assert kept.unique().tolist() == pytest.approx([0, 4 / 3])
    assert (kept == 0).float().mean().item() == pytest.approx(0.25, abs=0.02)


def test_lenet_has_the_widths_of_1998():
    network = build("lenet", (28, 28, 1), 10)
    # (5 x 5 + 1) 6 + (5 x 5 x 6 + 1) 16 + (16 x 4 x 4 + 1) 120 + (120 + 1) 10
    assert count(network) == 34_622
    assert network.features(torch.zeros(2, 1, 28, 28)).shape == (2, 120)
    assert count(build("lenet", (28, 28, 1), 10, first=20, second=50, hidden=500)) == 431_080


def test_small_cnn_has_two_convolutions_and_a_hidden_layer():
    network = build("small_cnn", (8, 8, 1), 10)
    assert count(network) == (9 + 1) * 32 + (9 * 32 + 1) * 64 + (64 * 4 * 4 + 1) * 128 + (128 + 1) * 10
    assert network.features(torch.zeros(2, 1, 8, 8)).shape == (2, 128)


def test_linear_is_softmax_regression():
    network, images = build("linear", (28, 27, 3), 10), draw((28, 27, 3))
    assert count(network) == (28 * 27 * 3 + 1) * 10
    assert torch.equal(network.features(images), images.contiguous().view(4, -1))
    table = torch.randn(4, 6)
    assert build("linear", (6,), 3).features(table).data_ptr() == table.data_ptr()
    assert count(build("linear", (6,), 3)) == 7 * 3


def test_mlp_has_as_many_hidden_layers_as_asked_for():
    assert count(build("mlp", (28, 28, 1), 10)) == 203_530
    deep = build("mlp", (2,), 3, hidden=20, layers=3)
    assert count(deep) == 3 * 20 + 2 * 21 * 20 + 21 * 3
    assert deep.features(torch.zeros(5, 2)).shape == (5, 20)
    assert (deep.features(torch.randn(50, 2)) >= 0).all()


def test_conv13_is_the_table_of_laine_and_aila():
    network = build("conv13", (32, 32, 3), 10)
    rows = []
    for layer in network.layers:
        if isinstance(layer, nn.Conv2d):
            padding = {(3, 1): "same", (1, 0): "same", (3, 0): "valid"}[layer.kernel_size[0], layer.padding[0]]
            rows.append((layer.out_channels, layer.kernel_size[0], padding))
        elif isinstance(layer, nn.LeakyReLU):
            assert layer.negative_slope == 0.1
            rows[-1] += ("LReLU",)
        elif isinstance(layer, nn.MaxPool2d):
            rows.append(("pool", layer.kernel_size))
        elif isinstance(layer, nn.Dropout):
            rows.append(("drop", layer.p))
    assert rows == [
        *[(128, 3, "same", "LReLU")] * 3,
        ("pool", 2),
        ("drop", 0.5),
        *[(256, 3, "same", "LReLU")] * 3,
        ("pool", 2),
        ("drop", 0.5),
        (512, 3, "valid", "LReLU"),
        (256, 1, "same", "LReLU"),
        (128, 1, "same", "LReLU"),
    ]
    kernels = 9 * (3 * 128 + 2 * 128 * 128 + 128 * 256 + 2 * 256 * 256 + 256 * 512) + 512 * 256 + 256 * 128
    normalisation = 2 * (3 * 128 + 3 * 256 + 512 + 256 + 128)
    assert count(network) == kernels + normalisation + 129 * 10 == 3_121_802
    with torch.inference_mode():
        images = draw((32, 32, 3))
        assert network.layers(images).shape == (4, 128, 6, 6)
        unit = build("conv13", (32, 32, 3), 10, normalise=True)
        torch.testing.assert_close(unit.features(images).norm(dim=1), torch.ones(4))


def test_conv13_adds_gaussian_noise_in_training_only():
    network, images = build("conv13", (12, 12, 1), dropout=0.0), torch.zeros(200, 1, 12, 12)
    seen = []
    network.layers[0].register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    network.features(images)
    network.eval().features(images)
    assert seen[0].std().item() == pytest.approx(0.15, rel=0.02)
    assert torch.equal(seen[1], images)


def test_vgg16_is_torchvision_s_up_to_the_hidden_layer():
    from torchvision.models import vgg16_bn

    network = build("vgg16", (32, 32, 3), 10)
    convolutions = 14_714_688 + 2 * 4_224  # the published VGG-16 without its linear layers, and batch normalisation
    assert convolutions == 14_723_136
    assert count(network.features[0]) == convolutions
    assert count(network) == convolutions + 513 * 512 + 2 * 512 + 513 * 10 == 14_991_946
    assert network.features(draw((32, 32, 3))).shape == (4, 512)
    with torch.device("meta"):
        published = vgg16_bn().features
    assert str(network.features[0]) == str(published)
    # Two by three positions are left of 64 x 96.
    assert count(build("vgg16", (64, 96, 1), 10)) == 14_991_946 - 9 * 2 * 64 + 5 * 512 * 512


def test_resnet18_is_torchvision_s_with_another_stem_and_head():
    from torchvision.models import resnet18

    torch.manual_seed(5)
    published = resnet18()
    assert count(published) == 11_689_512
    body = 11_689_512 - 49 * 3 * 64 - 513 * 1000 + 9 * 3 * 64
    assert count(build("resnet18", (32, 32, 3), 10)) == body + 513 * 128 + 129 * 10 == 11_235_786
    assert count(build("resnet18", (64, 64, 3), 200, projection=512)) == body + 513 * 512 + 513 * 200
    plain = build("resnet18", (32, 32, 3), 10, projection=0)
    assert count(plain) == body + 513 * 10 == 11_173_962

    published.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    published.maxpool, published.fc = nn.Identity(), nn.Linear(512, 10)
    values = published.state_dict().values()
    plain.load_state_dict(dict(zip(plain.state_dict(), values, strict=True)))
    plain.eval()
    published.eval()
    images = draw((32, 32, 3))
    with torch.inference_mode():
        assert plain.body(images).shape == (4, 512, 4, 4)
        torch.testing.assert_close(plain(images), published(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "fan"), [("conv13", "in"), ("vgg16", "out"), ("resnet18", "out")])
def test_convolutions_are_initialised_as_he_et_al(name, fan):
    network = build(name, (32, 32, 1), 10)
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    assert layers[0].in_channels == 1
    for layer in layers:
        channels = layer.in_channels if fan == "in" else layer.out_channels
        expected = (2 / (channels * layer.kernel_size[0] ** 2)) ** 0.5
        assert layer.weight.std().item() == pytest.approx(expected, rel=0.1)
        assert abs(layer.weight.mean().item()) < 5 * expected / layer.weight.numel() ** 0.5
        assert layer.bias is None or not layer.bias.any()


def test_linear_layers_are_initialised_as_stated():
    network = build("vgg16", (32, 32, 1), 100)
    for layer, std in (
        (network.features[3], 0.01),
        (network.head[1], 0.01),
        (build("conv13", (12, 12, 1), 100).head, 128**-0.5),
        (build("resnet18", (8, 8, 1), 10).projection, (3 * 512) ** -0.5),  # torch's default, uniform
    ):
        assert layer.weight.std().item() == pytest.approx(std, rel=0.05)
        assert layer.bias.abs().max() <= (512**-0.5 if layer.out_features == 128 else 0)


def test_only_networks_of_torchvision_import_it():
    light = [f"poolflow.networks.{name}" for name in NETWORKS if name not in ("resnet18", "vgg16")]
    code = f"import sys, {', '.join(light)}; print({{'torchvision', 'torch._dynamo'}} & set(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "workflow", capture_output=True, text=True, check=True
    )
    assert result.stdout == "set()\n"
