"""A sheet of the images that a labelled set's last cycle chose first, and those it chose last."""

import numpy as np
from matplotlib.figure import Figure

ROWS, COLUMNS = 4, 12
SIDE = 72  # pixels of an image on the sheet, about
GAP, LINE, HEAD, MARGIN = 8, 14, 30, 12  # pixels: between images, for a class name, for a heading, around all
DPI = 100


def sheet(results, pool, rows, chain):
    """Return a figure of up to four rows of the images that pool `rows` (L,) begin with, and up to four of the last.

    An image without a label has its rank, as in `to_label.csv`. `chain` are the names for the headings, `pool` is that
    of the first seed.
    """
    dataset, seed = results.names["dataset"], results.seeds[0]
    half = min(ROWS * COLUMNS, -(-len(rows) // 2))
    ranks = np.arange(len(rows))
    blocks = {"first": ranks[:half], "last": ranks[half:][-half:]}
    if len(rows) == 1:
        del blocks["last"]
    images = [results.images(dataset, pool, rows[block]) for block in blocks.values()]
    classes = pool.classes[rows]
    names = [
        [pool.names[classes[rank]] if classes[rank] >= 0 else f"{rank + 1}: no label" for rank in block]
        for block in blocks.values()
    ]
    source = f"{dataset}, seed {seed}: {', '.join(chain)}"
    titles = [f"{source}, the {len(block)} images chosen {which}" for which, block in blocks.items()]
    return drawn(images, names, titles)


def drawn(images, names, titles):
    """Return the figure of blocks of images, each (n, height, width, 1 or 3) uint8 with n class names and a title.

    A small image is enlarged by a whole number and a large one loses whole rows and columns, so nothing is blurred.
    """
    images = [scale(part) for part in images]
    height, width = images[0].shape[1:3]
    cell = (height + GAP + LINE, max(width, SIDE) + GAP)
    lines = [-(-len(part) // COLUMNS) for part in images]
    canvas = np.full(
        (2 * MARGIN + len(images) * HEAD + sum(lines) * cell[0], 2 * MARGIN + COLUMNS * cell[1], 3), 255, np.uint8
    )
    figure = Figure(figsize=(canvas.shape[1] / DPI, canvas.shape[0] / DPI), dpi=DPI)

    def write(text, x, y, **style):
        figure.text(x / canvas.shape[1], 1 - y / canvas.shape[0], text, va="bottom", parse_math=False, **style)

    top = MARGIN
    for part, labels, line_count, title in zip(images, names, lines, titles, strict=True):
        write(title, MARGIN, top + HEAD - 6, fontsize=10)
        top += HEAD
        for position, (image, label) in enumerate(zip(part, labels, strict=True)):
            row, column = divmod(position, COLUMNS)
            y, x = top + row * cell[0] + LINE, MARGIN + column * cell[1]
            canvas[y : y + height, x : x + width] = image
            write(label if len(label) <= 13 else label[:12] + "…", x, y - 1, fontsize=6.5)
        top += line_count * cell[0]
    figure.figimage(canvas, zorder=-1)
    return figure


def scale(images):
    """Return images enlarged, or thinned out, by the whole number that brings their longer side near SIDE pixels."""
    longer = max(images.shape[1:3])
    factor, step = max(1, round(SIDE / longer)), -(-longer // (2 * SIDE))
    return images[:, ::step, ::step].repeat(factor, axis=1).repeat(factor, axis=2)
