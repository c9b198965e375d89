"""Views against torchvision's transforms, image by image with the same draws."""

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import ROOT
from scipy.stats import binomtest, ks_2samp, kstest
from torchvision.transforms import RandomResizedCrop
from torchvision.transforms import functional as tv

from poolflow.training import views

SHAPES = [(1, 28, 28), (3, 32, 32), (3, 8, 8), (1, 5, 7), (3, 5, 7), (3, 64, 48)]
CLOSE = {"rtol": 0, "atol": 2e-4}  # torchvision's weights of red, green and blue add up to 0.9999
ALL = {"crop": 0.2, "flip": True, "blur": 0.5, "jitter": 0.4, "grey": 0.2}
NONE = dict.fromkeys(ALL, 0)


def images(shape, n=24, seed=0):
    return torch.rand((n, *shape), generator=torch.Generator().manual_seed(seed))


def kernel_size(height, width):
    return max(3, min(height, width) // 10 // 2 * 2 + 1)


def reference(image, row, boxes=None, mirror=None, sigma=None, factors=None, grey=None):
    """Return what torchvision makes of one image with the draws of its row."""
    height, width = image.shape[1:]
    if boxes is not None:
        image = tv.resized_crop(image, *boxes[:, row].tolist(), [height, width], antialias=False)
    if mirror is not None and mirror[row]:
        image = tv.hflip(image)
    if sigma is not None and sigma[row] > 0:
        image = tv.gaussian_blur(image, [kernel_size(height, width)] * 2, [sigma[row].item()] * 2)
    if factors is not None:
        steps = (tv.adjust_brightness, tv.adjust_contrast, tv.adjust_saturation, tv.adjust_hue)
        for step, factor in zip(steps, factors[:, row].tolist(), strict=True):
            image = step(image, factor)
    if grey is not None and grey[row]:
        image = tv.rgb_to_grayscale(image, 3)
    return image


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("parts", [*({name: value} for name, value in ALL.items()), ALL], ids=[*ALL, "all"])
def test_torchvision_gives_the_same_views(shape, parts):
    parts, batch = NONE | parts, images(shape)
    before = batch.clone()
    torch.manual_seed(3)
    drawn = views.draw(batch.shape, **parts)
    torch.manual_seed(3)
    found = views.view(batch, **parts)
    expected = torch.stack([reference(image, row, **drawn) for row, image in enumerate(batch)])
    torch.testing.assert_close(found, expected, **CLOSE)
    assert torch.equal(batch, before)
    changed = shape[0] == 3 or not parts["grey"] or parts == ALL
    assert torch.equal(found, batch) != changed


@pytest.mark.parametrize("shape", SHAPES)
def test_the_variants_that_score_an_image(shape):
    batch = images(shape)
    assert torch.equal(views.mirrored(batch), torch.stack([tv.hflip(image) for image in batch]))
    size = [kernel_size(*shape[1:])] * 2
    torch.testing.assert_close(views.blurred(batch, 1.3), tv.gaussian_blur(batch, size, [1.3, 1.3]), **CLOSE)
    greyed = tv.rgb_to_grayscale(batch, 3) if shape[0] == 3 else batch
    torch.testing.assert_close(views.greyed(batch), greyed, **CLOSE)
    torch.manual_seed(5)
    factors = views.draw_factors(len(batch), 0.7)
    torch.manual_seed(5)
    expected = torch.stack([reference(image, row, factors=factors) for row, image in enumerate(batch)])
    torch.testing.assert_close(views.jittered(batch, 0.7), expected, **CLOSE)


@pytest.mark.parametrize(("height", "width", "crop"), [(32, 32, 0.2), (28, 28, 0.08), (64, 48, 0.5), (20, 40, 0.9)])
def test_crops_are_those_of_torchvision(height, width, crop):
    torch.manual_seed(0)
    found = views.draw_boxes(3000, height, width, crop).double().numpy()
    image = torch.zeros(1, height, width)
    draws = [RandomResizedCrop.get_params(image, [crop, 1.0], [3 / 4, 4 / 3]) for _ in range(3000)]
    top, left, tall, wide = np.array(draws, float).T
    pairs = {
        "top": (found[0], top),
        "left": (found[1], left),
        "area": (found[2] * found[3], tall * wide),
        "ratio": (found[3] / found[2], wide / tall),
    }
    for name, pair in pairs.items():
        assert ks_2samp(*pair).pvalue > 1e-3, name
    assert (found[:2] >= 0).all()
    assert (found[0] + found[2] <= height).all()
    assert (found[1] + found[3] <= width).all()


@pytest.mark.parametrize(("height", "width"), [(4, 64), (64, 4), (50, 41), (1, 1)])
def test_crops_that_do_not_fit_are_central(height, width):
    """Of the whole area and an aspect ratio of 3/4 to 4/3 nothing fits into a strip."""
    image = torch.zeros(1, height, width)
    found = set(map(tuple, views.draw_boxes(50, height, width, 1.0).T.tolist()))
    assert found >= {RandomResizedCrop.get_params(image, [2.0, 2.0], [3 / 4, 4 / 3])}
    assert len(found) == 1 or height / width == 50 / 41


def test_shares_and_ranges_of_the_draws():
    torch.manual_seed(1)
    drawn = views.draw((4000, 3, 8, 8), **ALL)
    sigma, factors = drawn["sigma"].numpy(), drawn["factors"].numpy()
    jittered = (factors != [[1], [1], [1], [0]]).any(axis=0)
    shares = {0.5: [drawn["mirror"].numpy(), sigma > 0], 0.8: [jittered], 0.2: [drawn["grey"].numpy()]}
    for share, groups in shares.items():
        for chosen in groups:
            assert binomtest(int(chosen.sum()), 4000, share).pvalue > 1e-3
    assert kstest(sigma[sigma > 0], "uniform", (0.1, 1.9)).pvalue > 1e-3
    for values, (low, length) in zip(factors[:, jittered], [(0.6, 0.8)] * 3 + [(-0.1, 0.2)], strict=True):
        assert kstest(values, "uniform", (low, length)).pvalue > 1e-3
    together = np.stack([*factors[:, jittered], drawn["mirror"].numpy()[jittered], sigma[jittered]])
    assert np.abs(np.corrcoef(together) - np.eye(6)).max() < 0.08


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("function", [views.view, views.strong, views.jittered])
def test_each_image_has_its_own_draw_and_a_seed_repeats_it(function, shape):
    batch = images(shape, 1).repeat(8, 1, 1, 1)
    torch.manual_seed(7)
    first, second = function(batch), function(batch)
    torch.manual_seed(7)
    assert torch.equal(function(batch), first)
    assert len({image.numpy().tobytes() for image in (*first, *second)}) > 14 - 5 * (function is views.view)
    for out in (first, second):
        assert out.shape == batch.shape
        assert out.dtype == torch.float32
        assert out.is_contiguous()


@pytest.mark.parametrize("shape", SHAPES)
def test_values_stay_in_range_and_constant_images_constant(shape):
    n = 32
    batch = (images(shape, n) > 0.5).float()  # the extremes
    constant = images((shape[0], 1, 1), n).expand(n, *shape)
    calls = [
        lambda batch: views.view(batch, crop=0.05, blur=1.0, jitter=0.9, grey=0.5),
        lambda batch: views.jittered(batch, 0.9),
        views.blurred,
        views.greyed,
        views.mirrored,
    ]
    for call in calls:
        out = call(constant)
        assert (out.amax(dim=(2, 3)) - out.amin(dim=(2, 3))).max() < 1e-5
    for call in (*calls, views.strong):
        out = call(batch)
        assert out.min() >= 0
        assert out.max() <= 1


@pytest.mark.parametrize("shape", SHAPES)
def test_strong_by_hand(shape):
    """Follow each pixel of each view back to its place in the image, with the maps one after another."""
    batch = images(shape, 6)
    height, width = shape[1:]
    torch.manual_seed(2)
    maps = views.draw_affine(6, height, width, 4, True).double().numpy()
    factors = views.draw_factors(6, 0.4)
    sides = torch.randint(1, round(min(height, width) / 2) + 1, (6, 1))
    centres = [torch.randint(0, length, (6, 1)) for length in (height, width)]
    torch.manual_seed(2)
    found = views.strong(batch)
    for row, image in enumerate(batch.numpy()):
        expected = np.zeros_like(image)
        for i in range(height):
            for j in range(width):
                x, y = maps[row] @ [(2 * j + 1) / width - 1, (2 * i + 1) / height - 1, 1]
                x, y = ((x + 1) * width - 1) / 2, ((y + 1) * height - 1) / 2
                for u in (math.floor(x), math.floor(x) + 1):
                    for v in (math.floor(y), math.floor(y) + 1):
                        if 0 <= u < width and 0 <= v < height:
                            expected[:, i, j] += (1 - abs(x - u)) * (1 - abs(y - v)) * image[:, v, u]
        expected = tv.adjust_brightness(torch.from_numpy(expected), factors[0, row].item())
        expected = tv.adjust_contrast(expected, factors[1, row].item())
        side = int(sides[row])
        top, left = (int(centre[row]) - side // 2 for centre in centres)
        expected[:, max(0, top) : max(0, top + side), max(0, left) : max(0, left + side)] = 0
        torch.testing.assert_close(found[row], expected, **CLOSE)


def test_the_maps_of_strong():
    """Lengths, angles and moves of the maps are in the stated ranges, each part on in every fourth image."""
    torch.manual_seed(0)
    maps = views.draw_affine(20000, 30, 30, 0, True).double().numpy()
    linear, moves = maps[:, :, :2], maps[:, :, 2]
    area = np.linalg.det(linear)
    assert binomtest(int((area < 0).sum()), 20000, 0.5).pvalue > 1e-3
    same = np.abs(np.abs(linear) - np.eye(2)).max(axis=(1, 2)) < 1e-6
    assert binomtest(int(same.sum()), 20000, 27 / 64).pvalue > 1e-3  # no rotation nor shear
    only_moved = np.abs(moves[same] / 2)
    assert 0.09 < only_moved.max() <= 0.1 + 1e-6
    assert binomtest(int((only_moved > 0).sum()), only_moved.size, 1 / 4).pvalue > 1e-3
    assert 0.99 - 1e-6 <= np.abs(area).min() < 0.995
    assert 1.005 < np.abs(area).max() <= 1.01 + 1e-6


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 20, 33)])
def test_a_rotation_alone_is_that_of_torchvision(monkeypatch, shape):
    for name in ("SHEAR", "SHIFT"):
        monkeypatch.setattr(views, name, 0)
    batch = images(shape, 12)
    torch.manual_seed(9)
    angles = views.uniform(-30, 30, 12)
    angles[torch.rand(12) >= 0.25] = 0
    assert 0 < (angles == 0).sum() < 12
    torch.manual_seed(9)
    found = views.strong(batch, crop=0, flip=False, cutout=0, jitter=0)
    bilinear = tv.InterpolationMode.BILINEAR
    expected = torch.stack([tv.rotate(*pair, bilinear) for pair in zip(batch, angles.tolist(), strict=True)])
    # torchvision rotates a mask as well and divides by it where a pixel is half outside.
    inside = torch.stack([tv.rotate(torch.ones(shape), angle, bilinear) for angle in angles.tolist()]) > 0.999
    assert inside.float().mean() > 0.7
    torch.testing.assert_close(found[inside], expected[inside], **CLOSE)


def test_a_crop_alone_moves_whole_pixels(monkeypatch):
    for name in ("ROTATION", "SHEAR", "SHIFT"):
        monkeypatch.setattr(views, name, 0)
    batch = images((3, 9, 12), 40)
    found = views.strong(batch, crop=2, cutout=0, jitter=0)
    padded = torch.nn.functional.pad(batch, (2, 2, 2, 2))
    seen = set()
    for row in range(40):
        choices = {
            (top, left, mirror): tv.hflip(window) if mirror else window
            for top in range(5)
            for left in range(5)
            for mirror in (False, True)
            for window in [padded[row, :, top : top + 9, left : left + 12]]
        }
        matches = [key for key, window in choices.items() if torch.allclose(window, found[row], atol=1e-5)]
        assert len(matches) == 1
        seen.update(matches)
    assert {mirror for _, _, mirror in seen} == {False, True}
    assert {top for top, _, _ in seen} == {left for _, left, _ in seen} == set(range(5))


@pytest.mark.parametrize("function", [views.view, views.strong])
def test_blocks_do_not_change_the_views(monkeypatch, function):
    batch, outs = images((3, 9, 12), 23), []
    for size in (10**9, 3 * 9 * 12 * 5, 1):
        monkeypatch.setattr(views, "BLOCK", size)
        torch.manual_seed(6)
        outs.append(function(batch))
    torch.testing.assert_close(outs[0], outs[1], rtol=0, atol=1e-6)
    torch.testing.assert_close(outs[0], outs[2], rtol=0, atol=1e-6)
    assert function(batch[:0]).shape == (0, 3, 9, 12)


def test_unit():
    pixels = torch.arange(2 * 3 * 4 * 3, dtype=torch.uint8).reshape(2, 3, 4, 3)
    found = views.unit(pixels)
    np.testing.assert_array_equal(found.numpy(), pixels.numpy().transpose(0, 3, 1, 2).astype(np.float32) / 255)
    assert found.is_contiguous()
    grey = pixels[..., :1]
    np.testing.assert_array_equal(views.unit(grey)[:, 0].numpy(), grey[..., 0].numpy().astype(np.float32) / 255)


def test_other_images_are_refused():
    for wrong in (torch.zeros(2, 2, 8, 8), torch.zeros(3, 8, 8), torch.zeros(2, 1, 8, 8, dtype=torch.uint8)):
        for function in (views.view, views.blurred, views.strong):
            with pytest.raises(ValueError, match="expected float32 of shape"):
                function(wrong)


def test_views_need_no_torchvision():
    code = "import sys; from poolflow.training import views; import torch; x = torch.rand(2, 3, 8, 8); "
    code += "views.view(x); views.strong(x); sys.exit('torchvision' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT / "workflow").returncode == 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("shape", SHAPES)
def test_a_gpu_gives_the_views_of_the_processor_and_the_same_ones_again(shape):
    batch = images(shape)
    for function in (views.view, views.strong, views.jittered, views.blurred, views.greyed, views.mirrored):
        outs = []
        for device in ("cpu", "cuda", "cuda"):
            torch.manual_seed(4)
            outs.append(function(batch.to(device)).cpu())
        torch.testing.assert_close(outs[0], outs[1], rtol=0, atol=1e-4)
        assert torch.equal(outs[1], outs[2])
