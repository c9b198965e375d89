"""Text in figures: what is written stands there, and no box takes the place of a letter."""

import warnings

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.text import Text
from toy import CONFIG, C, N, write_dataset

from poolflow import lettering


def words(figure):
    figure.draw_without_rendering()
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def test_dollars_are_no_mathematics_and_letters_without_a_font_are_codes(monkeypatch):
    lettering._font.cache_clear()
    fonts = [font for font in matplotlib.font_manager.fontManager.ttflist if font.name == lettering.OWN]
    monkeypatch.setattr(matplotlib.font_manager.fontManager, "ttflist", fonts)
    with lettering.as_written() as take_fonts, warnings.catch_warnings():
        warnings.simplefilter("error")
        figure, axis = plt.subplots()
        axis.bar(["$a_b$", "5 $ and $ 6", "中文", "ärger"], [1, 2, 3, 4])
        axis.set_title("日 x")
        take_fonts()
        assert {"$a_b$", "5 $ and $ 6", "U+4E2DU+6587", "ärger", "U+65E5 x"} <= set(words(figure))
        figure.canvas.draw()
    lettering._font.cache_clear()
    plt.close(figure)


def test_a_font_of_this_machine_that_has_a_letter_is_taken(monkeypatch):
    lettering._font.cache_clear()
    fonts = matplotlib.font_manager.fontManager.ttflist
    stix = next(font for font in fonts if font.name == "STIXGeneral")
    monkeypatch.setattr(lettering, "_letters", lambda path: {ord("中")} if path == stix.fname else {ord("a")})
    assert lettering._font("中") == "STIXGeneral"
    assert lettering._font("国") is None
    lettering._font.cache_clear()


def test_afterwards_all_is_as_before():
    before = Text.set_text, matplotlib.rcParams["text.parse_math"], matplotlib.rcParams["font.sans-serif"]
    with lettering.as_written():
        assert Text.set_text is not before[0]
    assert (Text.set_text, matplotlib.rcParams["text.parse_math"], matplotlib.rcParams["font.sans-serif"]) == before


@pytest.mark.filterwarnings("error:Glyph")
def test_figures_of_classes_with_any_name(toy):
    names = ["$x^2$", "中文", "50 $ off", "a_b", "{x}", "\\alpha"]
    write_dataset(toy.folder / "dataset.h5", np.arange(N) % C, classes=names)
    assert toy.figure("toy/pools/histograms").exists()


def test_strategies_and_pools_with_names_that_look_like_numbers_are_lines_of_their_own(toy, monkeypatch):
    from poolflow.figures import learning_curves

    names = ["5", "05", "2024", "NA", "1e3"]
    drawn, curves = [], learning_curves.curves
    monkeypatch.setattr(learning_curves, "curves", lambda *args: drawn.append(curves(*args)) or drawn[-1])
    strategies = {name: {"strategy": "random"} for name in names}
    for seed in (0, 1):
        for pool in CONFIG["initial_pools"]:
            for name in names:
                for source, target in ((toy.metrics, toy.metrics), (toy.labeled, toy.labeled)):
                    old, new = source(f"{pool}/s", seed, 1), target(f"{pool}/{name}", seed, 1)
                    new.parent.mkdir(parents=True, exist_ok=True)
                    new.write_bytes(old.read_bytes())
    for view in ("by_pool", "by_strategy"):
        toy.figure(f"toy/net/{view}", strategies=strategies)
    by_pool, by_strategy = drawn
    assert [text.get_text() for text in by_pool.legends[0].get_texts()] == [*names, "passive: all 60"]
    assert [axis.get_title() for axis in by_strategy.axes if axis.get_visible()] == [
        f"strategy: {name}" for name in names
    ]
