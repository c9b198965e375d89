"""Image files of a folder or an archive, brought to one size and one mode.

- Only the first frame of a file counts, turned upright as its EXIF orientation says.
- Transparent parts are laid on white.
- 16-bit grey is scaled to 8 bits; other depths of more than 8 bits are reduced by Pillow or refused.
- Colour becomes grey as ITU-R 601-2 luma.
- Scaling is bilinear over the whole support (antialiased), to the shorter side; then the centre is cut out.
"""

import io
import sys
import warnings
from collections import Counter

import numpy as np
from PIL import Image, ImageOps
from tqdm import tqdm

from poolflow.data.archives import members
from poolflow.job import StageError

EXTENSIONS = (".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
GREY = ("1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N", "F")
SIXTEEN_BITS = ("I", "I;16", "I;16L", "I;16B", "I;16N")
WHITE = (255, 255, 255, 255)


def is_image(name):
    """Return whether a file counts as an image: neither hidden nor of macOS's making, with a known extension."""
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))
    return not hidden and name.lower().endswith(EXTENSIONS)


def listing(path, mode):
    """Return the sorted names of all images, and whether they are to be read in colour.

    `mode` is "rgb", "grey", or "auto": colour when one image or more is stored in colour (a palette of greys is grey).
    """
    names, others, colour = [], [], mode == "rgb"

    def undecided(name):
        return mode == "auto" and not colour and is_image(name)

    for name, content in members(path, undecided):
        (names if is_image(name) else others).append(name)
        if content is not None:
            colour = in_colour(name, content)
    if others:
        text = f"{path}: skipped {len(others)} files that are hidden or no images by their extension, as {others[0]}"
        print(text, file=sys.stderr)
    return sorted(names), colour


def load(path, places, colour, size=None):
    """Return {part: uint8 (N, height, width, channels)} with each image in its place.

    Parameters
    ----------
    path : a folder or an archive
    places : {name: (part, row)}
    colour : three channels instead of one
    size : pixels of the side; None leaves the images as they are, all of one size

    Raises
    ------
    StageError
        Naming the image that cannot be read, or two of different sizes.
    """
    counts = Counter(part for part, _ in places.values())
    arrays, first = {}, None
    with tqdm(total=len(places), unit=" images", mininterval=5) as bar:
        for name, content in members(path, places.__contains__):
            if content is None:
                continue
            pixels = decode(name, content, colour, size)
            if first is None:
                first, shape = name, pixels.shape
                arrays = allocated(path, counts, shape)
            if pixels.shape != shape:
                raise StageError(
                    f"{path}: found {first} of {shape[1]} x {shape[0]} pixels and {name} of {pixels.shape[1]} x "
                    f"{pixels.shape[0]}, expected one size for all; write size: N to scale and crop them to N x N"
                )
            part, row = places[name]
            arrays[part][row] = pixels
            bar.update()
    if bar.n < len(places):
        raise StageError(f"{path} has changed while it was read; run again")
    return arrays


def allocated(path, counts, shape):
    """Return {part: uint8 (count, *shape)}."""
    try:
        return {part: np.empty((count, *shape), np.uint8) for part, count in counts.items()}
    except MemoryError as error:
        size = counts.total() * int(np.prod(shape)) / 2**30
        raise StageError(
            f"{path}: {counts.total()} images of {shape[1]} x {shape[0]} pixels take {size:,.0f} GiB of memory, more "
            "than there is; write size: N to scale and crop them to N x N"
        ) from error


def opened(name, content):
    """Return the image, its pixels not decoded yet."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return Image.open(io.BytesIO(content))


def in_colour(name, content):
    """Return whether an image is stored in colour."""
    try:
        image = opened(name, content)
        if image.mode in ("P", "PA"):
            pixels = np.asarray(image.convert("RGB"))
            return bool((pixels != pixels[..., :1]).any())
        return image.mode not in GREY
    except Exception as error:  # whatever a decoder of Pillow runs into
        raise unreadable(name, error) from error


def decode(name, content, colour, size):
    """Return the pixels of an image, uint8 (height, width, channels)."""
    try:
        image = opened(name, content)
        ImageOps.exif_transpose(image, in_place=True)
        if image.mode in SIXTEEN_BITS:
            image = eight_bits(name, image)
        elif image.mode == "F":
            raise StageError(f"{name} has floating-point pixels; save it with 8 or 16 bits")
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, WHITE), image)
        mode = "RGB" if colour else "L"
        if image.mode != mode:
            image = image.convert("RGB").convert(mode)
        if size is not None:
            image = ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR)
        return np.asarray(image).reshape(image.height, image.width, -1)
    except StageError:
        raise
    except Exception as error:  # whatever a decoder of Pillow runs into
        raise unreadable(name, error) from error


def eight_bits(name, image):
    """Return a grey image of 16 bits a pixel with 8, the full range scaled."""
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise StageError(f"{name} has pixels of {values.min()}..{values.max()}; save it with 8 or 16 bits")
    return Image.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8))


def unreadable(name, error):
    return StageError(f"{name} cannot be read ({error}); mend or remove it")
