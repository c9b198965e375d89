"""Text of the user's own in a figure: as it is written, in letters that a font on this machine has."""

from contextlib import contextmanager
from functools import lru_cache

import matplotlib
from matplotlib import font_manager
from matplotlib.text import Text

OWN = "DejaVu Sans"  # comes with matplotlib


@contextmanager
def as_written():
    """Have figures show all text as it is written while the block draws; yield what to call before saving.

    What stands between two dollar signs is no mathematics. A letter that matplotlib's font lacks comes from another
    font of this machine; where none has it, its code stands there, such as U+4E2D, and no empty box.
    """
    set_text, fonts = Text.set_text, [OWN]

    def readable(text, words):
        shown = "" if words is None else str(words)
        if not shown.isascii():
            found = {letter: _font(letter) for letter in shown}
            shown = "".join(letter if found[letter] else f"U+{ord(letter):04X}" for letter in shown)
            fonts.extend(sorted({font for font in found.values() if font and font not in fonts}))
            take_fonts()
        set_text(text, shown)

    def take_fonts():
        if len(fonts) > 1:  # a style may have set others since
            matplotlib.rcParams["font.sans-serif"] = fonts

    with matplotlib.rc_context({"text.parse_math": False}):
        Text.set_text = readable
        try:
            yield take_fonts
        finally:
            Text.set_text = set_text


@lru_cache
def _font(letter):
    """Return the name of a font that has a letter, None where none has."""
    if not letter.isprintable() or letter.isspace() or ord(letter) in _letters(font_manager.findfont(OWN)):
        return OWN
    found = sorted({(font.name, font.fname) for font in font_manager.fontManager.ttflist})
    return next((name for name, path in found if "Last" not in name and ord(letter) in _letters(path)), None)


@lru_cache
def _letters(path):
    return frozenset(font_manager.get_font(path).get_charmap())
