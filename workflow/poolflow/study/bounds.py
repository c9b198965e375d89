"""What a plugin's parameter accepts beyond its type: the texts of BOUNDS, a literal of the plugin's file.

A text has alternatives, separated by " or ". One is a value, a number or a word (`0`, `equal`), or comparisons that
hold together, joined by ", " (`> 0, <= 1`); they compare with a number or with a quantity of the study:

    BOUNDS = {"bins": ">= 2, <= initial_size", "subset": "0 or >= budget", "quota": "equal or proportional"}

None needs no bounds, NaN and infinities are never accepted, and a list is accepted where all that is in it is.

Imported by the config check, so it imports nothing heavy.
"""

import math
import operator
import re

COMPARISONS = {">=": operator.ge, ">": operator.gt, "<=": operator.le, "<": operator.lt}
QUANTITIES = {
    "budget": "the budget",
    "initial_size": "the initial_size",
    "classes": "the number of classes",
    "pool": "the number of images in the pool",
}
NUMBER = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?")
WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


def parse(text):
    """Return the alternatives of a text: each a value, or a tuple of (comparison, number or name of a quantity).

    Raises
    ------
    ValueError
        When it is no such text.
    """
    if not isinstance(text, str):
        raise ValueError(f"found {text!r}, expected text, such as '>= 1'")
    return tuple(_alternative(part, text) for part in text.split(" or "))


def _alternative(part, text):
    if part.startswith((">", "<")):
        return tuple(_comparison(comparison, text) for comparison in part.split(", "))
    if NUMBER.fullmatch(part):
        return _number(part)
    if part in QUANTITIES:
        raise ValueError(f"found {part!r} in {text!r}, expected a comparison with it, such as '<= {part}'")
    if not WORD.fullmatch(part):
        raise ValueError(f"found {part!r} in {text!r}, expected a number, a word or comparisons, such as '> 0, <= 1'")
    return part


def _comparison(part, text):
    sign, _, limit = part.partition(" ")
    if sign in COMPARISONS and NUMBER.fullmatch(limit):
        return sign, _number(limit)
    if sign in COMPARISONS and limit in QUANTITIES:
        return sign, limit
    known = ", ".join(QUANTITIES)
    raise ValueError(
        f"found {part!r} in {text!r}, expected {', '.join(COMPARISONS)}, a space, and a number or one of {known}"
    )


def _number(text):
    return int(text) if text.removeprefix("-").isdigit() else float(text)


def refusal(text, value, quantities):
    """Return in words what a parameter's bounds expect, or None where they accept the value.

    Parameters
    ----------
    text : str or None
        The bounds; None for a parameter that has none.
    value
        Of the parameter's type.
    quantities : mapping
        The number of each of QUANTITIES. What is compared with one that is missing or None is left out.
    """
    if value is None:
        return None
    if isinstance(value, list):
        words = next(filter(None, (refusal(text, item, quantities) for item in value)), None)
        return words and f"in each place {words}"
    number = isinstance(value, int | float) and not isinstance(value, bool)
    finite = not number or _finite(value)
    if text is None:
        return None if finite else "a finite number"
    alternatives = [
        _known(alternative, quantities) if isinstance(alternative, tuple) else alternative
        for alternative in parse(text)
    ]
    if finite and any(_accepts(alternative, value, number) for alternative in alternatives):
        return None
    return " or ".join(_words(alternative, finite) for alternative in alternatives)


def _finite(number):
    try:
        return math.isfinite(number)
    except OverflowError:  # an int that no float holds
        return False


def _known(comparisons, quantities):
    """Return the comparisons with a number in place of the quantity, and what it is: (sign, number, words or "")."""
    known = ((sign, quantities.get(limit, limit), QUANTITIES.get(limit, "")) for sign, limit in comparisons)
    return [(sign, limit, words) for sign, limit, words in known if not (limit is None or isinstance(limit, str))]


def _accepts(alternative, value, number):
    if isinstance(alternative, list):
        return number and all(COMPARISONS[sign](value, limit) for sign, limit, _ in alternative)
    return number != isinstance(alternative, str) and value == alternative


def _words(alternative, finite):
    if not isinstance(alternative, list):
        return str(alternative)
    text = "a number" if finite else "a finite number"
    for place, (sign, limit, words) in enumerate(alternative):
        joint = " " if not place else ", and " if alternative[place - 1][2] else " and "
        text += f"{joint}{sign} {limit}" + (f", {words}" if words else "")
    return text
