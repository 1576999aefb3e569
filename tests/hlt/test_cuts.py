"""The cut language: precedence, brackets, chains, rounding, NaN, and what it refuses."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlt.cuts import CutError, CutProgram, parse_cut

NAMES = ("a", "b", "nTrkLoose", "maximumPCMS")


def holds(cut: str, **values: float) -> bool:
    """Evaluate one cut for one event; variables that are not given are 0."""
    table = {name: np.array([values.get(name, 0.0)]) for name in NAMES}
    return bool(CutProgram([cut], NAMES).evaluate(table, 1)[0, 0])


@pytest.mark.parametrize(
    ("cut", "expected"),
    [
        ("", True),
        ("  ", True),
        ("a", True),
        ("b", False),
        ("-a", True),
        ("not b", True),
        ("not not b", False),
        ("true and not false", True),
        ("a == 2 or b == 1 and b == 2", True),  # and binds closer than or
        ("[a == 2 or b == 1] and b == 2", False),
        ("not b == 1 and a == 2", True),  # not binds closer than and, looser than ==
        ("1 < a < 3", True),
        ("3 > a > 2", False),
        ("0 == b < a", True),  # (0 == b) and (b < a)
        ("1 + 2 * 3 == 7", True),
        ("(1 + 2) * 3 == 9", True),
        ("8 / 4 / 2 == 1", True),
        ("7 / 2 == 3.5", True),  # numbers are doubles
        ("2 ** 3 ** 2 == 512", True),
        ("2 ^ 3 == 8", True),
        ("-2 ** 2 == 4", True),  # the sign binds closest
        ("2 ** -1 == 0.5", True),
        ("5 - 3 - 1 == 1", True),
        ("0x1F == 31", True),
        ("1e2 == 100. and .5 == 5e-1", True),
        ("a>=2and b<=0", True),  # white space is free
        ("1 == 1.0000000000000002", True),
        ("1 == 1.0000000000000009", False),
        ("1 != 1.0000000000000002", False),
        ("inf == infinity and -inf < 0", True),
        ("1 / b == inf", True),
    ],
)
def test_the_grammar(cut, expected):
    """Each rule of the grammar, in an event with a = 2 and b = 0."""
    assert holds(cut, a=2.0, b=0.0) is expected


@pytest.mark.parametrize("sign", ["<", "<=", ">", ">=", "=="])
def test_comparisons_with_nan_are_false(sign):
    """``maximumPCMS < 0.8`` fails in an event without loose tracks, on either side and against itself."""
    for cut in (f"maximumPCMS {sign} 0.8", f"0.8 {sign} maximumPCMS", f"maximumPCMS {sign} maximumPCMS"):
        assert not holds(cut, maximumPCMS=math.nan)
    assert not holds(f"nan {sign} nan")


def test_nan_differs_from_everything():
    """Only ``!=`` is true with NaN; a bare NaN is not zero."""
    assert holds("maximumPCMS != 0.8 and maximumPCMS != maximumPCMS", maximumPCMS=math.nan)
    assert holds("maximumPCMS", maximumPCMS=math.nan)


def bits(number: float) -> int:
    """Return the 64-bit pattern of a double."""
    return int(struct.unpack("<Q", struct.pack("<d", number))[0])


@given(st.floats(allow_nan=False), st.integers(-4, 4))
def test_equality_allows_for_two_steps_of_the_bit_pattern(number, steps):
    """``==`` holds exactly for patterns at most two apart and for plain equality; ``!=`` is its opposite."""
    other = struct.unpack("<d", struct.pack("<Q", (bits(number) + steps) % 2**64))[0]
    expected = not math.isnan(other) and (abs(bits(number) - bits(other)) <= 2 or number == other)
    assert holds("a == b", a=number, b=other) is expected
    assert holds("a != b", a=number, b=other) is not expected


@pytest.mark.parametrize(
    ("cut", "column", "rule"),
    [
        ("a >", 4, "expected a value"),
        ("a > 1 b", 7, "expected 'and', 'or' or the end"),
        ("[a > 1", 7, "expected ']'"),
        ("(a > 1)", 4, "expected ')'"),  # round brackets hold numbers only
        ("[a] > 1", 5, "expected 'and', 'or' or the end"),  # square ones booleans only
        ("(a + 1", 7, "expected ')'"),
        ("1 < a < 2 < 3", 11, "no more than three values"),
        ("a and", 6, "expected a value"),
        ("a && b", 3, "unknown character '&'"),
        ("a = 1", 3, "unknown character '='"),
        ("AND", 1, "no variable 'AND'"),
        ("a > 99999999999", 5, "32 bits"),
        ("a > 0x" + "f" * 400, 5, "32 bits"),
        ("a > $", 5, "unknown character '$'"),
        ("sin(a) > 0", 1, "no variable 'sin'"),
        ("a +\n* b", 5, "expected a value"),
    ],
)
def test_errors_point_at_the_place(cut, column, rule):
    """A broken cut is answered in one line with the rule, the column, and the cut with a caret before the place."""
    with pytest.raises(CutError) as caught:
        parse_cut(cut, NAMES)
    (line,) = str(caught.value).splitlines()
    assert rule in line
    assert line.endswith(f", at column {column}: " + f"{cut[: column - 1]}^{cut[column - 1 :]}".replace("\n", " "))


def test_an_unknown_variable_is_answered_with_its_neighbours():
    """A typing error names the nearest variables."""
    with pytest.raises(CutError, match=r"no variable 'nTrkLose' \(did you mean nTrkLoose\?\)"):
        parse_cut("nTrkLose == 2", NAMES)


@pytest.mark.parametrize("cut", ["(" * 150 + "a", "(" * 5000 + "a", "not " * 5000 + "a", "a" + "+a" * 5000])
def test_endless_nesting_is_refused(cut):
    """However deep the brackets, the answer is an error about the cut, not about our stack."""
    with pytest.raises(CutError):
        CutProgram([cut], NAMES)


# A second, slow opinion. Trees are drawn at random, written out with as few brackets as the precedence allows (and some
# more), and worked out event by event with plain Python numbers.

LEVEL = {"or": 0, "and": 1, "not": 2, "compare": 3, "+": 4, "-": 4, "*": 5, "/": 5, "**": 6, "negative": 7, "value": 7}
SIGNS = ("==", "!=", "<", "<=", ">", ">=")
values = st.one_of(
    st.sampled_from(["a", "b"]).map(lambda name: ("value", name)),
    st.sampled_from(["0", "1", "2", "0.5", "3.", "1e1", "nan", "inf", "true"]).map(lambda text: ("value", text)),
)
sums = st.recursive(
    values,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["+", "-", "*", "/", "**"]), inner, inner), st.tuples(st.just("negative"), inner)
    ),
    max_leaves=6,
)
comparisons = st.one_of(
    st.tuples(st.just("compare"), sums),
    st.tuples(st.just("compare"), sums, st.sampled_from(SIGNS), sums),
    st.tuples(st.just("compare"), sums, st.sampled_from(SIGNS), sums, st.sampled_from(SIGNS), sums),
)
trees = st.recursive(
    comparisons,
    lambda inner: st.one_of(st.tuples(st.sampled_from(["or", "and"]), inner, inner), st.tuples(st.just("not"), inner)),
    max_leaves=6,
)


def written(tree: tuple, least: int, spare: int) -> str:
    """Write a tree; brackets where its level is below ``least``, or where a bit of ``spare`` asks for some."""
    kind, *parts = tree
    level, spare = LEVEL[kind], spare // 2
    if kind == "value":
        text = parts[0]
    elif kind == "negative":
        text = "-" + written(parts[0], 7, spare)
    elif kind == "not":
        text = "not " + written(parts[0], 2, spare)
    elif kind == "compare":
        text = " ".join(part if part in SIGNS else written(part, 4, spare) for part in parts)
    elif kind == "**":
        text = written(parts[0], 7, spare) + "**" + written(parts[1], 6, spare)
    else:
        text = f"{written(parts[0], level, spare)} {kind} {written(parts[1], level + 1, spare)}"
    if level < least or spare % 2:
        return f"[{text}]" if level <= LEVEL["compare"] else f"({text})"
    return text


def worked_out(tree: tuple, event: dict[str, float]) -> float | bool:
    """Evaluate a tree for one event."""
    kind, *parts = tree
    if kind == "value":
        return event[parts[0]] if parts[0] in event else float({"true": "1"}.get(parts[0], parts[0]))
    if kind == "compare":
        numbers = [worked_out(part, event) for part in parts[::2]]
        if len(numbers) == 1:
            return numbers[0] != 0
        return all(compared(numbers[k], sign, numbers[k + 1]) for k, sign in enumerate(parts[1::2]))
    first = worked_out(parts[0], event)
    if kind in ("not", "negative"):
        return -first if kind == "negative" else not first
    second = worked_out(parts[1], event)
    if kind in ("and", "or"):
        return (first and second) if kind == "and" else (first or second)
    with np.errstate(all="ignore"):  # the arithmetic is that of doubles: 1 / 0 is infinite
        x, y = np.float64(first), np.float64(second)
        return float({"+": x + y, "-": x - y, "*": x * y, "/": x / y, "**": x**y}[kind])


def compared(x: float, sign: str, y: float) -> bool:
    """Compare two numbers, allowing for rounding in equality."""
    if sign in ("==", "!="):
        equal = not (math.isnan(x) or math.isnan(y)) and (x == y or abs(bits(x) - bits(y)) <= 2)
        return equal is (sign == "==")
    return {"<": x < y, "<=": x <= y, ">": x > y, ">=": x >= y}[sign]


numbers = st.one_of(st.sampled_from([0.0, 1.0, -2.0, 0.5, math.nan, math.inf]), st.floats(-5, 5))


@given(
    st.lists(trees, min_size=1, max_size=3), st.lists(st.tuples(numbers, numbers), max_size=4), st.integers(0, 2**12)
)
def test_random_cuts_agree_with_the_slow_evaluator(cuts, events, spare):
    """Whatever the cut, the brackets and the event, the compiled cut says what the definition says."""
    program = CutProgram([written(tree, 0, spare) for tree in cuts], NAMES)
    columns = {name: np.zeros(len(events)) for name in NAMES}
    columns["a"], columns["b"] = (np.array([event[k] for event in events], dtype=float) for k in (0, 1))
    found = program.evaluate(columns, len(events))
    slow = [[bool(worked_out(tree, {"a": a, "b": b})) for tree in cuts] for a, b in events]
    assert found.tolist() == slow
