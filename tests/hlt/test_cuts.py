"""The cut language: precedence, brackets, chains, rounding, NaN, and what it refuses."""

from __future__ import annotations

import math
import struct

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlt.cuts import CutError, conditions, names_in, parse_cut, text_of
from hlt.menu import MENUS, HltMenu
from hlt.program import CutProgram
from hlt.variables import TABLE, VARIABLES
from tests.hlt.vectors import SAMPLE

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
        ("-2 ** 2 == -4", True),  # a power binds closer than the sign before it
        ("(-2) ** 2 == 4", True),
        ("2 ** -1 == 0.5", True),  # but its exponent may have a sign
        ("2 ** -1 ** 2 == 0.5", True),
        ("- - + -a == -2", True),
        ("6 / -a * 2 == -6", True),
        ("5 - 3 - 1 == 1", True),
        ("0x1F == 31", True),
        ("1e2 == 100. and .5 == 5e-1", True),
        ("a>=2and b<=0", True),  # white space is free
        ("1 == 1.0000000000000002", True),
        ("1 == 1.0000000000000009", False),
        ("1 != 1.0000000000000002", False),
        ("inf == infinity and -inf < 0", True),
        ("1 / b == inf", True),
        ("-1 / b < -1e308 and [b / b == nan]", True),
        ("\ta\n>\r\n1\u2028", True),
        ("not [a > 1 and [b or false]]", True),
        ("not a > 1 or b", False),
        ("[[[a]]]", True),
        ("((a)) > ((1))", True),
        ("a + b > 1 < 2", True),
        ("1 != 2 == 2", True),
        ("a ^ 2 * 3 == 12", True),
        ("1 - 2 - 3 == -4 and 1 - (2 - 3) == 2", True),
    ],
)
def test_the_grammar(cut, expected):
    """Each rule of the grammar, in an event with a = 2 and b = 0."""
    assert holds(cut, a=2.0, b=0.0) is expected


@pytest.mark.parametrize("sign", ["<", "<=", ">", ">=", "=="])
@pytest.mark.parametrize("number", ["0.8", "0", "inf", "-inf", "1.7976931348623157e308"])
def test_comparisons_with_nan_are_false(sign, number):
    """``maximumPCMS < 0.8`` fails in an event without loose tracks, on either side."""
    for cut in (f"maximumPCMS {sign} {number}", f"{number} {sign} maximumPCMS"):
        assert not holds(cut, maximumPCMS=math.nan)
        assert holds(f"not {cut}", maximumPCMS=math.nan)


def test_nan_differs_from_every_number_and_is_like_nan():
    """``!=`` is true with NaN; two NaN have the same pattern, so they are almost equal; a bare NaN is not zero."""
    assert holds("maximumPCMS != 0.8", maximumPCMS=math.nan)
    assert holds("maximumPCMS == maximumPCMS and maximumPCMS == nan and nan == b / b", maximumPCMS=math.nan)
    assert not holds("maximumPCMS != nan or nan < nan or nan >= nan", maximumPCMS=math.nan)
    assert holds("maximumPCMS", maximumPCMS=math.nan)
    assert not holds("0 < maximumPCMS < 9 or 9 > maximumPCMS > 0", maximumPCMS=math.nan)


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
    assert caught.value.column == column
    before, after = cut[: column - 1], cut[column - 1 :]
    shown = after if len(after) <= 100 else after[:100] + "..."  # a long cut is shown in part
    assert line.endswith(f", at column {column}: " + f"{before}^{shown}".replace("\n", " "))


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

LEVEL = {"or": 0, "and": 1, "not": 2, "compare": 3, "+": 4, "-": 4, "*": 5, "/": 5, "negative": 6, "**": 7, "value": 8}
SIGNS = ("==", "!=", "<", "<=", ">", ">=")
values = st.one_of(
    st.sampled_from(["a", "b"]).map(lambda name: ("value", name)),
    st.sampled_from(["0", "1", "2", "0.5", "3.", "1e1", "0x1f", "1.0000000000000002", "nan", "inf", "true"]).map(
        lambda text: ("value", text)
    ),
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
        text = "-" + written(parts[0], 6, spare)
    elif kind == "not":
        text = "not " + written(parts[0], 2, spare)
    elif kind == "compare":
        text = " ".join(part if part in SIGNS else written(part, 4, spare) for part in parts)
    elif kind == "**":
        text = written(parts[0], 8, spare) + ("**" if spare % 4 < 2 else " ^ ") + written(parts[1], 6, spare)
    else:
        text = f"{written(parts[0], level, spare)} {kind} {written(parts[1], level + 1, spare)}"
    if level < least or spare % 2:
        return f"[{text}]" if level <= LEVEL["compare"] else f"({text})"
    return text


def worked_out(tree: tuple, event: dict[str, float]) -> float | bool:
    """Evaluate a tree for one event."""
    kind, *parts = tree
    if kind == "value":
        return event[parts[0]] if parts[0] in event else float({"true": "1", "0x1f": "31"}.get(parts[0], parts[0]))
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
        lacking = math.isnan(x) + math.isnan(y)
        equal = lacking == 2 or (not lacking and (x == y or abs(bits(x) - bits(y)) <= 2))
        return equal is (sign == "==")
    return {"<": x < y, "<=": x <= y, ">": x > y, ">=": x >= y}[sign]


ABOVE_ONE = [1.0 + k * 2.0**-52 for k in range(5)]
numbers = st.one_of(
    st.sampled_from([0.0, -0.0, 5e-324, -2.0, 0.5, 31.0, 1e308, math.nan, math.inf, -math.inf, *ABOVE_ONE]),
    st.floats(-5, 5),
)


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


@given(trees)
def test_a_cut_is_written_so_that_it_reads_the_same(tree):
    """The text of a cut, and of each of its conditions, parses to the same tree with the same variables."""
    cut = parse_cut(written(tree, 0, 0), NAMES)
    for node in (cut, *conditions(cut)):
        again = parse_cut(text_of(node), NAMES)
        assert again == node or text_of(again) == text_of(node)  # NaN differs from itself
        assert list(names_in(again)) == list(names_in(node))


@given(trees, numbers, numbers)
def test_a_cut_holds_if_and_only_if_all_its_conditions_do(tree, a, b):
    """The conditions are the parts of a cut that are joined by "and", and nothing else."""
    program = CutProgram([written(tree, 0, 0)], NAMES)
    event = dict.fromkeys(NAMES, np.zeros(1)) | {"a": np.array([a]), "b": np.array([b])}
    values = program.values(event)
    held = [bool(values[condition]) for condition in conditions(program.trees[0])]
    assert bool(program.evaluate(event, 1)[0, 0]) == all(held)


@pytest.mark.parametrize("path", sorted(MENUS.glob("*.toml")), ids=lambda path: path.stem)
def test_the_cuts_of_the_menus_agree_with_python(path):
    """Written as Python, each cut of each menu says the same of the reference's own variables, event by event."""
    cuts = [line.cut for line in HltMenu.load(path).line]
    vectors = pl.read_parquet(SAMPLE, columns=list(VARIABLES))
    events = [row | {"true": True, "false": False} for row in vectors.to_dicts()]
    codes = [compile(cut.translate(str.maketrans("[]", "()")), "cut", "eval") for cut in cuts]
    expected = [[bool(eval(code, {}, event)) for code in codes] for event in events]
    columns = {name: vectors[name].to_numpy() for name in VARIABLES}
    assert CutProgram(cuts, VARIABLES).evaluate(columns, len(events)).tolist() == expected


PIECES = ["a", "b", "and", "or", "not", "true", "nan", "1", ".5", "1e", "0x", "==", "=", "<", "!", "+", "-", "**", "^"]
PIECES += ["/", "(", ")", "[", "]", " ", "\n", "\xa0", "\u2029", "\x00", "é", "²", "&", ",", "nTrkLoose", "{", "%", "'"]


@given(st.one_of(st.lists(st.sampled_from(PIECES), max_size=30).map("".join), st.text(max_size=60)))
def test_any_text_is_a_cut_or_an_error_in_one_line(text):
    """Whatever is written there, the answer is a program that runs, or one line that points into the text."""
    try:
        program = CutProgram([text], NAMES)
    except CutError as error:
        assert len(str(error).splitlines()) == 1
        assert 1 <= error.column <= len(text) + 1
    else:
        table = {name: np.array([0.0, math.nan, 2.0]) for name in NAMES}
        assert program.evaluate(table, 3).shape == (3, 1)


@given(st.integers(0, 200), st.integers(0, 99))
def test_records_and_columns_give_the_same(n_events, seed):
    """The menu's cuts over the table of the filter variables, whatever its length, agree with each column by name."""
    rng = np.random.default_rng(seed)
    matrix = rng.choice([0.0, 1.0, 2.0, 3.0, 5.0, math.nan], (n_events, len(VARIABLES)))
    cuts = [line.cut for line in HltMenu.load("physics").line]
    program = CutProgram(cuts, VARIABLES)
    found = program.evaluate(matrix.view(TABLE).reshape(-1), n_events)
    columns = {name: matrix[:, place] for place, name in enumerate(VARIABLES)}
    assert np.array_equal(found, program.evaluate(columns, n_events))
    one_by_one = [
        CutProgram([line.cut], VARIABLES).evaluate(columns, n_events) for line in HltMenu.load("physics").line
    ]
    assert np.array_equal(found, np.concatenate(one_by_one, axis=1))
