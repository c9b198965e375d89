"""A sheet of the images that a cycle chose, in the order chosen; of many the first and the last."""

import numpy as np
from matplotlib.figure import Figure

COLUMNS = 12
MOST = 240  # images on a sheet
SIDE = 72  # pixels of an image on the sheet, about
GAP, LINE, HEAD, MARGIN = 8, 14, 30, 12  # pixels: between images, for a line of text, for a heading, around all
LETTERS = 14  # of a name above or below an image
DPI = 100


def sheet(results, pool, rows, chain):
    """Return a figure of the images of pool `rows` (L,), of more than 240 the first and the last 120.

    Above an image stands its class, or without a label its rank, as in `to_label.csv`; below it its file, where the
    data set knows it. `chain` are the names for the headings, `pool` is that of the first seed.
    """
    dataset, seed = results.names["dataset"], results.seeds[0]
    ranks = np.arange(len(rows))
    source = f"{dataset}, seed {seed}: {', '.join(chain)}"
    if len(rows) <= MOST:
        blocks = {f"{source}, the {len(rows)} images chosen, in this order": ranks}
    else:
        half, left = MOST // 2, len(rows) - MOST
        blocks = {
            f"{source}, the first {half} of {len(rows)} images chosen": ranks[:half],
            f"{source}, the last {half}; {left} between are not shown": ranks[-half:],
        }
    images = [results.images(dataset, pool, rows[block]) for block in blocks.values()]
    classes = pool.classes[rows]
    names = [
        [pool.names[classes[rank]] if classes[rank] >= 0 else f"{rank + 1}: no label" for rank in block]
        for block in blocks.values()
    ]
    files = results.file_names(dataset)
    below = None
    if files is not None:
        below = [[files[pool.candidates.indices[rows[rank]]] for rank in block] for block in blocks.values()]
    return drawn(images, names, list(blocks), below)


def drawn(images, names, titles, below=None):
    """Return the figure of blocks of images, each (n, height, width, 1 or 3) uint8 with n class names and a title.

    `below` are n file names a block, or None. A small image is enlarged by a whole number and a large one loses whole
    rows and columns, so nothing is blurred.
    """
    images = [scale(part) for part in images]
    height, width = images[0].shape[1:3]
    cell = (height + GAP + LINE * (1 + (below is not None)), max(width, SIDE) + GAP)
    lines = [-(-len(part) // COLUMNS) for part in images]
    canvas = np.full(
        (2 * MARGIN + len(images) * HEAD + sum(lines) * cell[0], 2 * MARGIN + COLUMNS * cell[1], 3), 255, np.uint8
    )
    figure = Figure(figsize=(canvas.shape[1] / DPI, canvas.shape[0] / DPI), dpi=DPI)

    def write(text, x, y, **style):
        figure.text(x / canvas.shape[1], 1 - y / canvas.shape[0], text, va="bottom", parse_math=False, **style)

    top = MARGIN
    for block, (part, labels, line_count, title) in enumerate(zip(images, names, lines, titles, strict=True)):
        write(title, MARGIN, top + HEAD - 6, fontsize=10)
        top += HEAD
        for position, (image, label) in enumerate(zip(part, labels, strict=True)):
            row, column = divmod(position, COLUMNS)
            y, x = top + row * cell[0] + LINE, MARGIN + column * cell[1]
            canvas[y : y + height, x : x + width] = image
            write(middle(label), x, y - 1, fontsize=6.5)
            if below is not None:
                write(middle(below[block][position]), x, y + height + LINE - 2, fontsize=5.5, color="0.35")
        top += line_count * cell[0]
    figure.figimage(canvas, zorder=-1)
    return figure


def middle(text):
    """Return a text that is at most as wide as an image, without its middle where it is longer."""
    half = LETTERS // 2
    return text if len(text) <= LETTERS else f"{text[: half - 1]}…{text[-half:]}"


def scale(images):
    """Return images enlarged, or thinned out, by the whole number that brings their longer side near SIDE pixels."""
    longer = max(images.shape[1:3])
    factor, step = max(1, round(SIDE / longer)), -(-longer // (2 * SIDE))
    return images[:, ::step, ::step].repeat(factor, axis=1).repeat(factor, axis=2)
