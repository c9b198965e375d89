"""The grammar of bounds and what they accept, against Python's own comparisons."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from poolflow.study.bounds import COMPARISONS, QUANTITIES, parse, refusal

STUDY = {"budget": 30, "initial_size": 20, "classes": 10, "pool": 1437}

numbers = st.integers(-50, 50) | st.floats(-50, 50).map(lambda number: round(number, 3))
limits = numbers | st.sampled_from(sorted(QUANTITIES))
comparisons = st.lists(st.tuples(st.sampled_from(sorted(COMPARISONS)), limits), min_size=1, max_size=3).map(tuple)
words = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True).filter(lambda word: word not in {*QUANTITIES, "or"})
bounds = st.lists(comparisons | numbers | words, min_size=1, max_size=4).map(tuple)
values = numbers | words | st.sampled_from([*STUDY.values()]) | st.booleans()


def written(alternatives):
    return " or ".join(
        ", ".join(f"{sign} {limit}" for sign, limit in part) if isinstance(part, tuple) else str(part)
        for part in alternatives
    )


def accepts(alternatives, value, quantities):
    """Say it again by Python's own reading of the text."""
    if isinstance(value, float) and not math.isfinite(value):
        return False
    for part in alternatives:
        if not isinstance(part, tuple):
            if type(value) is not bool and value == part:
                return True
        elif type(value) in (int, float) and all(
            eval(f"{value!r} {sign} {quantities.get(limit, limit)}")
            for sign, limit in part
            if not isinstance(limit, str) or quantities.get(limit) is not None
        ):
            return True
    return False


@given(bounds)
def test_what_is_written_is_read_back(alternatives):
    found = parse(written(alternatives))
    assert found == alternatives
    assert [type(part) for part in found] == [type(part) for part in alternatives]


@given(bounds, values, st.sets(st.sampled_from(sorted(QUANTITIES))), st.booleans())
@example((0, ((">=", "budget"),)), 0.0, set(), False)
def test_a_value_is_accepted_as_python_compares(alternatives, value, unknown, missing):
    quantities = {name: None if name in unknown else number for name, number in STUDY.items()}
    if missing:
        quantities = {name: number for name, number in quantities.items() if number is not None}
    found = refusal(written(alternatives), value, quantities)
    assert (found is None) == accepts(alternatives, value, quantities)
    assert found is None or (found and "\n" not in found and "None" not in found)


@given(bounds, st.sampled_from([math.nan, math.inf, -math.inf, 10**400, -(10**400)]))
def test_no_bounds_accept_what_is_not_finite(alternatives, value):
    assert refusal(written(alternatives), value, STUDY)
    assert refusal(written(alternatives), [value], STUDY)
    assert refusal(None, value, STUDY) == "a finite number"
    assert refusal(None, [1, value], STUDY) == "in each place a finite number"


@given(bounds, st.lists(values, max_size=4))
def test_of_a_list_every_item_must_be_accepted(alternatives, items):
    text = written(alternatives)
    assert (refusal(text, items, STUDY) is None) == all(refusal(text, item, STUDY) is None for item in items)


@given(bounds | st.none(), values)
def test_none_and_what_has_no_bounds_are_accepted(alternatives, value):
    assert refusal(alternatives and written(alternatives), None, STUDY) is None
    assert refusal(None, value, STUDY) is None


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("equal or proportional", "equally", "equal or proportional"),
        (">= 2, <= initial_size", 1, "a number >= 2 and <= 20, the initial_size"),
        ("0 or >= budget", 29, "0 or a number >= 30, the budget"),
        ("silhouette or >= 1, <= pool", 0, "silhouette or a number >= 1 and <= 1437, the number of images in the pool"),
        (
            ">= classes, < pool",
            1437,
            "a number >= 10, the number of classes, and < 1437, the number of images in the pool",
        ),
        ("> 0", 0, "a number > 0"),
        ("> 0, <= 0.5", 1, "a number > 0 and <= 0.5"),
        ("> 0", math.inf, "a finite number > 0"),
        ("> 0", math.nan, "a finite number > 0"),
        (">= 1", [3, 0], "in each place a number >= 1"),
        ("float32 or bfloat16", True, "float32 or bfloat16"),
        (">= 0", False, "a number >= 0"),
    ],
)
def test_what_is_expected_in_words(text, value, expected):
    assert refusal(text, value, STUDY) == expected


def test_numbers_may_have_an_exponent():
    assert parse("> 1e-06, <= 1e+16 or -2.5e3") == (((">", 1e-6), ("<=", 1e16)), -2500.0)


def test_an_unknown_quantity_is_left_out():
    for unknown in ({}, {"pool": None}):
        assert refusal(">= 1, < pool", 5000, unknown) is None
        assert refusal(">= 1, < pool", 0, unknown) == "a number >= 1"
        assert refusal("0 or >= pool", -3, unknown) is None
        assert refusal("0 or >= pool", math.nan, unknown) == "0 or a finite number"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "''"),
        (" ", "' '"),
        ("1 or", "'1 or'"),
        ("1 or ", "''"),
        ("1  or 2", "'1 '"),
        ("a b", "'a b'"),
        (">=1", "'>=1'"),
        (">= ", "'>= '"),
        ("> = 1", "'> = 1'"),
        ("=> 1", "'=> 1'"),
        ("== 1", "'== 1'"),
        ("1, 2", "'1, 2'"),
        (">= 1,<= 2", "'>= 1,<= 2'"),
        (">= 1, 2", "'2'"),
        (">= size", "'>= size'"),
        (">= nan", "'>= nan'"),
        ("< inf", "'< inf'"),
        ("<= 2 * budget", "'<= 2 * budget'"),
        (">= 1\n", "'>= 1\\n'"),
        ("0 or budget", "'budget'"),
    ],
)
def test_what_is_no_text_of_bounds_is_named(text, found):
    with pytest.raises(ValueError, match=r"^found .*, expected ") as caught:
        parse(text)
    assert str(caught.value).startswith(f"found {found} in {text!r}, expected ")
    with pytest.raises(ValueError, match=r"^found "):
        refusal(text, 1, STUDY)


@pytest.mark.parametrize("text", [1, None, True, [">= 1"], ("> 0",), {"> 0": 1}])
def test_bounds_are_text(text):
    with pytest.raises(ValueError, match=r"^found .*, expected text, such as '>= 1'$"):
        parse(text)
