"""Image files of a folder or an archive, brought to one size and one mode.

- Only the first frame of a file counts, turned upright as its EXIF orientation says.
- Transparent parts are laid on white.
- 16-bit grey is scaled to 8 bits, the whole range or as many bits of it as a camera uses; of 16-bit colour Pillow reads
  the upper 8 bits; other depths of more than 8 bits are reduced by Pillow or refused.
- Colour becomes grey as ITU-R 601-2 luma.
- Scaling is bilinear over the whole support (antialiased), to the shorter side; then the centre is cut out.
"""

import hashlib
import io
import re
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageOps
from tqdm import tqdm

from poolflow.data.archives import members
from poolflow.data.listing import hidden
from poolflow.job import StageError

with suppress(ImportError):  # where it is installed, Pillow reads HEIC as well
    from pillow_heif import register_heif_opener

    register_heif_opener()

COMMON = (".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
RARE = (".avif", ".heic", ".heif")  # with a Pillow that has a reader
EXTENSIONS = COMMON + tuple(ending for ending in RARE if ending in Image.registered_extensions())
PIXELS = 89_478_485  # Pillow's own limit for an image, which may come from a stranger
Image.MAX_IMAGE_PIXELS = None  # `opened` looks at it
NAMED = 20  # files that a line names at most
GREY = ("1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N", "F")
SIXTEEN_BITS = ("I", "I;16", "I;16L", "I;16B", "I;16N")
SIXTEEN_BIT_COLOUR = re.compile(r";16[BLN]")  # in what Pillow calls the form of a file's pixels
WHITE = (255, 255, 255, 255)


@dataclass
class Seen:
    """What was seen of the files of a data set while they were read.

    Attributes
    ----------
    skipped : names of files that are hidden or no images by their extension
    unreadable : {name: why}
    contents : {name: SHA-256 of the file}
    deep, highest : how many grey images have 16 bits, and their highest value
    deep_colour, highest_colour : the same of colour images, the value in the upper 8 bits
    largest : pixels of the largest image that has too many
    """

    skipped: list = field(default_factory=list)
    unreadable: dict = field(default_factory=dict)
    contents: dict = field(default_factory=dict)
    deep: int = 0
    highest: int = 0
    deep_colour: int = 0
    highest_colour: int = 0
    largest: int = 0


def is_image(name):
    """Return whether a file counts as an image: neither hidden nor of a system's making, with a known extension."""
    return not hidden(name) and name.lower().endswith(EXTENSIONS)


def shown(names):
    """Return names for a line, shortened."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def listing(path, mode, seen, limit=PIXELS):
    """Return the sorted names of all images, and whether they are to be read in colour.

    `mode` is "rgb", "grey", or "auto": colour when one image or more is stored in colour (a palette of greys is grey).
    """
    names, colour = [], mode == "rgb"

    def undecided(name):
        return mode == "auto" and not colour and is_image(name)

    for name, content in members(path, undecided):
        (names if is_image(name) else seen.skipped).append(name)
        if content is not None:
            with suppress(StageError):  # one that cannot be read is named when all are
                colour = in_colour(name, content, limit)
    return sorted(names), colour


def load(path, places, colour, size=None, bits=16, limit=PIXELS, seen=None, skip=False):
    """Return {part: uint8 (N, height, width, channels)} with each image in its place.

    Parameters
    ----------
    path : a folder or an archive
    places : {name: (part, row)}
    colour : three channels instead of one
    size : pixels of the side; None leaves the images as they are, all of one size
    bits : of those of 16-bit images, how many are used
    limit : pixels of the largest image
    seen : what is to be noted, a `Seen`, for a data set with the keys `max_pixels` and `unreadable`
    skip : images that cannot be read are no error, and their rows black

    Raises
    ------
    StageError
        Naming the images that cannot be read, and those of another size than the first.
    """
    counts = Counter(part for part, _ in places.values())
    arrays, first, note, sizes = {}, None, seen or Seen(), {}
    with tqdm(total=len(places), unit=" images", mininterval=5) as bar:
        for name, content in members(path, places.__contains__):
            if content is None:
                continue
            bar.update()
            note.contents[name] = hashlib.sha256(content).hexdigest()
            try:
                pixels = decode(name, content, colour, size, bits, limit, note)
            except TooLarge as error:
                note.largest = max(note.largest, error.pixels)
                note.unreadable[name] = str(error)
                continue
            except StageError as error:
                note.unreadable[name] = str(error)
                continue
            if first is None:
                first, shape = name, pixels.shape
                arrays = allocated(path, counts, shape)
            if pixels.shape != shape:
                sizes[name] = f"{name} of {pixels.shape[1]} x {pixels.shape[0]}"
                continue
            part, row = places[name]
            arrays[part][row] = pixels
    if bar.n < len(places):
        raise StageError(f"{path} has changed while it was read; run again")
    mistakes = []
    if sizes:
        mistakes.append(
            f"found {first} of {shape[1]} x {shape[0]} pixels and {shown(list(sizes.values()))}, "
            "expected one size for all; write size: N to scale and crop them to N x N"
        )
    if note.unreadable and (not skip or first is None):
        mistakes.append(refusal(note, len(places), keys=seen is not None))
    if mistakes:
        raise StageError(f"{path}: {'; '.join(mistakes)}")
    return arrays


def refusal(seen, count, keys):
    """Return in words what images cannot be read and, for a data set that has the `keys` for it, what to write."""
    reasons = [seen.unreadable[name] for name in sorted(seen.unreadable)]
    found = reasons[0] if len(reasons) == 1 else f"{len(reasons)} of {count} images cannot be used: {shown(reasons)}"
    found += "; mend or remove them"
    if keys and seen.largest:
        found += f", write max_pixels: {seen.largest} if large ones are yours"
    return found + (", or write unreadable: skip to leave them out" if keys else "")


def allocated(path, counts, shape):
    """Return {part: uint8 (count, *shape)}."""
    try:
        return {part: np.zeros((count, *shape), np.uint8) for part, count in counts.items()}
    except MemoryError as error:
        size = counts.total() * int(np.prod(shape)) / 2**30
        raise StageError(
            f"{path}: {counts.total()} images of {shape[1]} x {shape[0]} pixels take {size:,.0f} GiB of memory, more "
            "than there is; write size: N to scale and crop them to N x N"
        ) from error


class TooLarge(StageError):
    """An image of more pixels than are read."""

    def __init__(self, text, pixels):
        super().__init__(text)
        self.pixels = pixels


def opened(name, content, limit=PIXELS):
    """Return the image, its pixels not decoded yet; TooLarge where it has more than `limit`."""
    image = Image.open(io.BytesIO(content))
    if (pixels := image.width * image.height) > limit:
        size = f"{image.width} x {image.height} = {pixels:,} pixels"
        raise TooLarge(f"{name} has {size}, more than {limit:,}", pixels)
    return image


def in_colour(name, content, limit=PIXELS):
    """Return whether an image is stored in colour."""
    try:
        image = opened(name, content, limit)
        if image.mode in ("P", "PA"):
            pixels = np.asarray(image.convert("RGB"))
            return bool((pixels != pixels[..., :1]).any())
        return image.mode not in GREY
    except StageError:
        raise
    except Exception as error:  # whatever a decoder of Pillow runs into
        raise unreadable(name, error) from error


def decode(name, content, colour, size, bits=16, limit=PIXELS, seen=None):
    """Return the pixels of an image, uint8 (height, width, channels)."""
    try:
        image = opened(name, content, limit)
        deep_colour = image.mode not in SIXTEEN_BITS and SIXTEEN_BIT_COLOUR.search(str(image.tile))
        ImageOps.exif_transpose(image, in_place=True)
        if image.mode in SIXTEEN_BITS:
            image = eight_bits(name, image, bits, seen or Seen())
        elif deep_colour:
            note_colour(name, image, bits, seen or Seen())
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


def eight_bits(name, image, bits, seen):
    """Return a grey image of 16 bits a pixel with 8, the range of the `bits` that are used scaled."""
    values, top = np.asarray(image).astype(np.int64), 2**bits - 1
    if values.min() < 0 or values.max() > 65535:
        raise StageError(f"{name} has pixels of {values.min()}..{values.max()}; save it with 8 or 16 bits")
    if values.max() > top:
        raise StageError(f"{name} has pixels up to {values.max()}, more than {bits} bits hold; write bits: 16")
    seen.deep, seen.highest = seen.deep + 1, max(seen.highest, int(values.max()))
    return Image.fromarray(((values * 255 + top // 2) // top).astype(np.uint8))


def note_colour(name, image, bits, seen):
    """Note a colour image of 16 bits a channel, of which Pillow gives the upper 8."""
    if bits < 16:
        raise StageError(f"{name} is in colour with 16 bits, and bits: {bits} is for grey images; save it with 8 bits")
    highest = max(image.getchannel(band).getextrema()[1] for band in image.getbands() if band != "A")
    seen.deep_colour, seen.highest_colour = seen.deep_colour + 1, max(seen.highest_colour, highest)


def unreadable(name, error):
    reason = re.sub(r"\s*<[^<>]* at 0x[0-9a-f]+>", "", " ".join(str(error).split()))
    return StageError(f"{name} cannot be read ({reason})")
