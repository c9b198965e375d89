"""Random views of images for self-supervised learning: whole batches of tensors, each image with its own draw.

Images are float32 (n, C, H, W) in 0..1 with C = 1 or 3, on any device, and so are the views. All draws come from
torch's global generator of the CPU; nothing is changed in place.
"""

import math

import torch
import torch.nn.functional as F

from poolflow.training.augmentation import cutout as cut_out
from poolflow.training.augmentation import reflected

RATIO = (3 / 4, 4 / 3)  # of the width to the height of a crop
TRIES = 10
JITTERED = 0.8  # the share of views with colour jitter
SIGMA = (0.1, 2.0)  # of the blur, in pixels
BLOCK = 2**18  # values that are worked on at a time on a CPU, 1 MiB
LUMA = (0.299, 0.587, 0.114)  # ITU-R 601-2
# Red is 0 at an angle of 3 and full from 2 sixths of the circle away; green and blue fall off from 2 and 4.
SHARES = ((3.0, 2.0, 4.0), (1.0, -1.0, -1.0), (-1.0, 2.0, 2.0))
# The affine maps of `strong`, as in the published code: degrees, shear, share of the side; how often each is done.
ROTATION, SHEAR, SHIFT, OFTEN = 30.0, 0.1, 0.1, 0.25


def unit(images):
    """Return uint8 images (n, H, W, C) as float32 (n, C, H, W) in 0..1."""
    return images.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format).div_(255)


def view(images, crop=0.2, flip=True, blur=0.5, jitter=0.4, grey=0.2):
    """Return a view of each image (Chen et al. 2020, appendix A; values of the code of Van Gansbeke et al. 2020).

    A crop of `crop`..1 of the area, resized bilinearly to the whole; its mirror image with probability 1/2 if `flip`;
    with probability `blur` a Gaussian blur; with probability 0.8 colour jitter, as in `jittered`; with probability
    `grey` without its colours. Zero switches a part off; that code has no blur. The order is this one: the blur is
    part of the linear map of the crop, and so comes before the colours instead of after them. Grey images have no
    saturation, hue and `grey`.

    Cost: two products of (H, H) and (W, W) matrices with each image and some 30 passes over its pixels.
    """
    return changed(images, **draw(checked(images).shape, crop, flip, blur, jitter, grey))


def mirrored(images):
    """Return the images mirrored left to right."""
    return images.flip(3)


def blurred(images, sigma=1.0):
    """Return the images after a Gaussian blur of `sigma` pixels, cut off as in `view`."""
    return changed(images, sigma=torch.full((len(images),), float(sigma)))


def jittered(images, strength=0.4):
    """Return the images after colour jitter: brightness, contrast, saturation and hue, in this order.

    The first three are factors in 1 - `strength` .. 1 + `strength`, the hue turns by up to `strength` / 4 of the
    circle, all uniform; grey images have the first two alone.
    """
    return changed(images, factors=draw_factors(len(images), strength))


def greyed(images):
    """Return the images without their colours, in as many channels."""
    return changed(images, grey=torch.ones(len(images), dtype=torch.bool))


def strong(images, crop=4, flip=True, cutout=0.5, jitter=0.4):
    """Return a strong augmentation of each image, in the place of that of SCAN (Van Gansbeke et al. 2020, section 3.1).

    Mirror image, a crop after padding by `crop` pixels, rotation, shear and translation as one affine map, black
    outside; then brightness and contrast as in `jittered`, and a black square whose side is drawn from one pixel to
    `cutout` times the shorter side of the image. The published code draws 4 of 14 operations for each image, each of
    which so comes in about every fourth image; those that change the histogram are not here, the ranges are its own.
    """
    n, _, height, width = checked(images).shape
    maps, factors = draw_affine(n, height, width, crop, flip), draw_factors(n, jitter)[:2]
    out = torch.empty(images.shape, device=images.device)
    for part in blocks(images):
        grid = F.affine_grid(maps[part].to(images.device), images[part].shape, align_corners=False)
        out[part] = F.grid_sample(images[part], grid, align_corners=False)
        adjust(out[part].clamp_(0, 1), factors[:, part])
    most = round(cutout * min(height, width))
    return cut_out(out, torch.randint(1, most + 1, (n, 1)) if most else 0)


def draw(shape, crop, flip, blur, jitter, grey):
    """Return the draws of `view` for images of a shape (n, C, H, W): the arguments of `changed`, on the CPU."""
    n, channels, height, width = shape
    drawn = {}
    if crop:
        drawn["boxes"] = draw_boxes(n, height, width, crop)
    if flip:
        drawn["mirror"] = torch.rand(n) < 0.5
    if blur:
        drawn["sigma"] = torch.where(torch.rand(n) < blur, uniform(*SIGMA, n), 0)
    if jitter:
        neutral = torch.tensor([1.0, 1.0, 1.0, 0.0])[:, None]
        drawn["factors"] = torch.where(torch.rand(n) < JITTERED, draw_factors(n, jitter), neutral)
    if grey and channels == 3:
        drawn["grey"] = torch.rand(n) < grey
    return drawn


def blocks(images):
    """Return the slices of images (n, C, H, W) that are worked on at a time: on a CPU what fits into its cache."""
    n = len(images)
    count = math.ceil(images.numel() / BLOCK) if images.device.type == "cpu" else 1
    size = math.ceil(n / max(1, count))
    return [slice(first, first + size) for first in range(0, n, size)] if n else []


def changed(images, **drawn):
    """Return images (n, C, H, W) as `change` makes them of the values drawn for each of them."""
    out = torch.empty(checked(images).shape, device=images.device)
    for part in blocks(images):
        change(images[part], out[part], **{name: values[..., part] for name, values in drawn.items()})
    return out


def change(images, out, boxes=None, mirror=None, sigma=None, factors=None, grey=None):
    """Write images into `out`: cropped, mirrored, blurred, jittered and without colours, each by its own values.

    `boxes` (4, n) are the top, left, height and width of the crops in pixels, `mirror` (n,) bool, `sigma` (n,) in
    pixels (0: no blur), `factors` (4, n) as `draw_factors` gives them, `grey` (n,) bool; None leaves a part out.
    """
    n, channels, height, width = images.shape
    if boxes is None and mirror is None and sigma is None:
        out.copy_(images)
    else:
        if boxes is None:
            boxes = torch.tensor([0, 0, height, width]).repeat(n, 1).T
        top, left, tall, wide = boxes.to(images.device, torch.float32)
        taps = None if sigma is None else gaussian(sigma, min(height, width)).to(images.device)
        rows = resampling(top, tall, height, taps)
        columns = resampling(left, wide, width, taps, None if mirror is None else mirror.to(images.device))
        half = images.reshape(n, channels * height, width).bmm(columns.transpose(1, 2)).view(-1, height, width)
        rows = rows[:, None].expand(-1, channels, -1, -1).reshape(-1, height, height)
        torch.bmm(rows, half, out=out.view(-1, height, width)).clamp_(0, 1)
    if factors is not None:
        adjust(out, factors)
    if grey is not None and channels == 3:
        chosen = grey.nonzero()[:, 0].to(images.device)
        out.index_copy_(0, chosen, luma(out.index_select(0, chosen))[:, None].expand(-1, 3, -1, -1))


def draw_boxes(n, height, width, crop):
    """Return tops, lefts, heights and widths (4, n) of crops of `crop`..1 of the area and of ratio 3/4..4/3.

    Drawn as torchvision's RandomResizedCrop does: the first of 10 tries that fits, else the largest central crop.
    """
    area = uniform(crop, 1, TRIES, n) * (height * width)
    ratio = uniform(*map(math.log, RATIO), TRIES, n).exp()
    wide, tall = (area * ratio).sqrt().round(), (area / ratio).sqrt().round()
    fits = (wide > 0) & (wide <= width) & (tall > 0) & (tall <= height)
    first = fits.int().argmax(dim=0, keepdim=True)
    fits, wide, tall = (values.gather(0, first)[0] for values in (fits, wide, tall))
    wide = torch.where(fits, wide, min(width, round(height * RATIO[1])))
    tall = torch.where(fits, tall, min(height, round(width / RATIO[0])))
    down, right = height - tall, width - wide
    top = torch.where(fits, (torch.rand(n) * (down + 1)).floor(), (down / 2).floor())
    left = torch.where(fits, (torch.rand(n) * (right + 1)).floor(), (right / 2).floor())
    return torch.stack([top, left, tall, wide]).long()


def draw_factors(n, strength):
    """Return brightness, contrast and saturation factors and turns of the hue (4, n), uniform."""
    factors = uniform(max(0.0, 1 - strength), 1 + strength, 3, n)
    return torch.cat([factors, uniform(-strength / 4, strength / 4, 1, n)])


def draw_affine(n, height, width, crop, flip):
    """Return the affine maps of `strong`, (n, 2, 3), from places in the view to places in the image, both in -1..1."""

    def some(values, neutral):
        return torch.where(torch.rand(n) < OFTEN, values, neutral)

    angle = some(uniform(-ROTATION, ROTATION, n), 0).deg2rad()
    shear_x, shear_y = (some(uniform(-SHEAR, SHEAR, n), 0) for _ in range(2))
    move_x, move_y = (some(uniform(-SHIFT, SHIFT, n), 0) for _ in range(2))
    right, down = torch.randint(-crop, crop + 1, (2, n))
    mirror = 1 - 2 * (torch.rand(n) < 0.5).float() if flip else torch.ones(n)
    one, zero = torch.ones(n), torch.zeros(n)
    cosine, sine = angle.cos(), angle.sin()
    stretch = torch.diag(torch.tensor([width / 2, height / 2, 1.0]))  # -1..1 to pixels from the centre
    maps = [
        [mirror, zero, mirror * right, zero, one, down],
        [cosine, -sine, zero, sine, cosine, zero],
        [one, shear_x, zero, shear_y, one, zero],
        [one, zero, move_x * width, zero, one, move_y * height],
    ]
    last = torch.tensor([0.0, 0.0, 1.0]).expand(n, 1, 3)
    whole = stretch.inverse()
    for values in maps:
        whole = whole @ torch.cat([torch.stack(values, dim=1).view(n, 2, 3), last], dim=1)
    return (whole @ stretch)[:, :2]


def resampling(start, length, side, taps=None, mirror=None):
    """Return the matrices (n, side, side) that resize `length` pixels from `start` on to `side` pixels, bilinearly.

    `mirror` (n,) bool turns the result around, and `taps` (n, radius + 1), the weights of a symmetric filter at each
    distance, filters it with reflected borders. Places are those of `interpolate` without align_corners.
    """
    pixels = torch.arange(side, dtype=torch.float32, device=start.device)
    places = (pixels + 0.5) * (length / side)[:, None] - 0.5
    places = torch.minimum(places.clamp_(min=0), length[:, None] - 1).add_(start[:, None])
    if mirror is not None:
        places = torch.where(mirror[:, None], places.flip(1), places)
    radius = 0 if taps is None else taps.shape[1] - 1
    if radius:
        places = places[:, reflected(side, radius).to(places.device)]
    matrices = (places[:, :, None] - pixels).abs_()
    torch.sub(torch.ones_like(length)[:, None, None], matrices, out=matrices).clamp_(min=0)
    if not radius:
        return matrices
    filtered = matrices[:, radius : radius + side] * taps[:, :1, None]
    for distance in range(1, radius + 1):
        for first in (radius - distance, radius + distance):
            filtered.addcmul_(matrices[:, first : first + side], taps[:, distance, None, None])
    return filtered


def gaussian(sigma, side):
    """Return the weights (n, radius + 1) of Gaussian filters at each distance, about a tenth of `side` wide.

    `sigma` (n,) is in pixels; 0 gives the filter that changes nothing.
    """
    radius = max(1, side // 10 // 2)
    distances = torch.arange(radius + 1)
    weights = torch.exp(-0.5 * (distances / sigma[:, None].clamp(min=1e-3)) ** 2)
    return weights / (2 * weights.sum(dim=1, keepdim=True) - 1)


def adjust(images, factors):
    """Change brightness and contrast, with four rows of `factors` also saturation and hue, of images in place."""
    brightness, contrast, *colours = factors.to(images.device)[:, :, None, None, None]
    images.mul_(brightness).clamp_(max=1)
    images.lerp_(luma(images).mean(dim=(1, 2))[:, None, None, None], 1 - contrast).clamp_(0, 1)
    if colours and images.shape[1] == 3:
        saturation, hue = colours
        images.lerp_(luma(images)[:, None], 1 - saturation).clamp_(0, 1)
        turn(images, hue[:, 0])


def luma(images):
    """Return the brightness of each pixel, (n, H, W)."""
    if images.shape[1] == 1:
        return images[:, 0]
    red, green, blue = images.unbind(1)
    return (red * LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])


def turn(images, hue):
    """Turn the hues of images (n, 3, H, W) by `hue` (n, 1, 1), in parts of the circle, in place.

    The angle from red, in sixths of the circle, is 1 + (green + blue - red - least) / (most - least), to the side of
    green or of blue. That is hue in HSV without its cases (Smith 1978), which take several times as long.
    """
    red, green, blue = images.unbind(1)
    least, most = torch.minimum(red, green), torch.maximum(red, green)
    least, chroma = torch.minimum(least, blue, out=least), torch.maximum(most, blue, out=most).sub_(least)
    angle = (green + blue).sub_(red).sub_(least).div_(chroma.clamp(min=1e-9)).add_(1)
    angle.copysign_(green - blue).add_(6 * hue)
    angle.sub_((angle / 6).floor_(), alpha=6)
    centre, sign, offset = torch.tensor(SHARES, device=images.device).view(3, 3, 1, 1)
    share = (angle[:, None] - centre).abs_().mul_(sign).add_(offset).clamp_(0, 1)
    torch.addcmul(least[:, None], chroma[:, None], share, out=images)


def uniform(low, high, *shape):
    """Return uniform draws between `low` and `high`, on the CPU."""
    return torch.rand(shape) * (high - low) + low


def checked(images):
    """Return the images, or raise a ValueError if they are not float32 (n, 1 or 3, H, W)."""
    if images.ndim != 4 or images.shape[1] not in (1, 3) or images.dtype != torch.float32:
        found = f"{tuple(images.shape)} {images.dtype}"
        raise ValueError(f"images are {found}, expected float32 of shape (n, 1 or 3, H, W)")
    return images
