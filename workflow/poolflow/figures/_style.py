"""How all figures look: the colour and marker of each name, panels side by side, what an axis shows."""

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.ticker import MaxNLocator

MARKERS = "sD^vPX<>*o"
HEAT = "viridis"


def colours(names, reference="random"):
    """Return {name: (colour, marker)}: black for the reference, and no pair twice among a hundred others.

    A name has the same in every figure of a study that is given the same names in the same order.
    """
    palette, names = sns.color_palette("colorblind", 10), list(dict.fromkeys(names))
    others = [name for name in names if name != reference]
    found = {name: (palette[at % 10], MARKERS[(at + at // 10) % len(MARKERS)]) for at, name in enumerate(others)}
    return {name: found.get(name, ((0.1, 0.1, 0.1), "o")) for name in names}


def grid_of(count):
    """Return (rows, columns) for so many panels: up to 3 in a row, 4 as 2 x 2, from 10 on 4 in a row."""
    columns = count if count <= 3 else 2 if count == 4 else 3 if count < 10 else 4
    return -(-count // columns), columns


def panels(count, width=3.2, height=2.6, legend=0.0, **options):
    """Return (figure, axes (rows, columns), those in use) for so many panels; `legend` inches are left on the right."""
    sns.set_theme(style="whitegrid", context="paper")
    rows, columns = grid_of(count)
    size = (max(width * columns + legend, 4.2), height * rows + 0.5)
    options = {"squeeze": False, "sharex": True, "sharey": True, "figsize": size, "layout": "constrained"} | options
    figure, axes = plt.subplots(rows, columns, **options)
    for at, axis in enumerate(axes.flat):
        axis.set_visible(at < count)
        if at + columns >= count:  # the last in its column
            axis.tick_params(labelbottom=True)
    return figure, axes, list(axes.flat[:count])


def labels_axis(axes, at_bottom, text="labelled images"):
    """Have the lowest of some axes say that they show whole numbers of labels."""
    for axis in axes:
        axis.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 5, 10]))
    for axis in at_bottom:
        axis.set_xlabel(text)


def lowest(axes, used):
    """Return the used axes that are the last in their column."""
    columns = axes.shape[1]
    return [axis for at, axis in enumerate(used) if at + columns >= len(used)]


def seeds_in_words(seeds, spread="std"):
    """Return over how many seeds a mean is, and what is shown of them."""
    return f"mean ± {spread} over {seeds} seeds" if seeds > 1 else "1 seed"


def count(number, word):
    """Return a number of things in words."""
    return f"{number:g} {word}{'' if number == 1 else 's'}"


def shorten(name, length=14):
    """Return a name of at most `length` characters."""
    return name if len(name) <= length else name[: length - 1] + "…"
