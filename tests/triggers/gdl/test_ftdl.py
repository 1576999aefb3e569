"""The logic of menu lines: grammar, sum of products, evaluation on bit planes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from triggers.bits import flags_of, planes_of, words_of
from triggers.gdl.ftdl import COUNTS, LogicError, compile_program, evaluate, sum_of_products

BITS = tuple(f"bit{k}" for k in range(70))  # two words of inputs

logics = st.recursive(
    st.sampled_from(BITS[:3] + BITS[62:66]),
    lambda inner: st.one_of(
        inner.map(lambda a: f"not {a}"),
        inner.map(lambda a: f"!({a})"),
        st.tuples(inner, st.sampled_from(["and", "or", "&", "|"]), inner).map(lambda t: f"({t[0]}) {t[1]} ({t[2]})"),
        st.tuples(inner, inner, inner).map(lambda t: f"{t[0]} and {t[1]} or {t[2]}"),
    ),
    max_leaves=8,
)


def by_python(logic: str, bits: dict[str, bool]) -> bool:
    """Evaluate a logic of plain bits as the Python expression that it looks like."""
    text = logic.replace("!", " not ").replace("&", " and ").replace("|", " or ")
    return bool(eval(text, {}, bits))


@given(st.lists(logics, min_size=1, max_size=70), st.integers(0, 200), st.integers(0, 2**32 - 1))
def test_planes_agree_with_plain_evaluation(lines: list[str], n_events: int, seed: int):
    """Sum of products on planes, transposed there and back, is the expression event by event."""
    sums = []
    for line in lines:
        try:
            sums.append((line, sum_of_products(line, BITS)))
        except LogicError as error:
            assert "never" in str(error)
            never = [
                by_python(line, {bit: bool(k >> i & 1) for i, bit in enumerate(BITS[:3] + BITS[62:66])})
                for k in range(128)
            ]
            assert not any(never)
    flags = np.random.default_rng(seed).integers(0, 2, (n_events, len(BITS))).astype(np.bool_)
    words = np.zeros((n_events, 2), dtype=np.uint64)
    for k in range(len(BITS)):
        words[:, k // 64] |= flags[:, k].astype(np.uint64) << np.uint64(k % 64)
    program = compile_program([products for _, products in sums], BITS)
    out = words_of(evaluate(program, planes_of(words, len(BITS)), n_events), n_events)
    for k, (line, _) in enumerate(sums):
        expected = [by_python(line, dict(zip(BITS, row.tolist(), strict=True))) for row in flags]
        assert_array_equal(flags_of(out, k), np.array(expected, dtype=np.bool_))


@pytest.mark.parametrize("operator", [">=", ">", "<", "<=", "=="])
@pytest.mark.parametrize("name", COUNTS)
def test_counts_compare_as_numbers(name: str, operator: str):
    """On every number that the bits can hold, a comparison is what it says; if they cannot tell, it is refused."""
    count = COUNTS[name]
    bits = [f"{count.stem}_{k}" for k in range(count.width)]
    for number in range(count.largest + 3):
        bounds = {">=": [number], ">": [number + 1], "<": [number], "<=": [number + 1], "==": [number or 1, number + 1]}
        try:
            products = sum_of_products(f"{name} {operator} {number}", bits)
        except LogicError:
            assert not all(1 <= bound <= count.largest for bound in bounds[operator])
            continue
        for value in range(count.largest + 1):
            on = {bit: (value == k + 1 if count.one_hot else bool(value >> k & 1)) for k, bit in enumerate(bits)}
            fired = any(all(on[bit] == wanted for bit, wanted in product) for product in products)
            assert fired == eval(f"{value} {operator} {number}"), (value, number)


def test_products_that_say_nothing_new_are_dropped():
    """``a or a and b`` is ``a``; a count of at least two of four one-hot bits is three products."""
    assert sum_of_products("bit0 or bit0 and bit1", BITS) == sum_of_products("bit0", BITS)
    assert len(sum_of_products("nf >= 2", [f"t2_{k}" for k in range(4)])) == 3


@pytest.mark.parametrize(
    ("logic", "column", "rule"),
    [
        ("bit0 and bti1", 10, "unknown bit bti1 (did you mean bit1?)"),
        ("zzzzz", 1, "known: bit0"),
        ("bit0 and", 9, "found the end"),
        ("", 1, "found the end"),
        ("(bit0", 6, "expected ')'"),
        ("bit0)", 5, "found ')'"),
        ("bit0 bit1", 6, "expected 'and', 'or' or the end"),
        ("bit0 @ bit1", 6, "'@' is not part of a logic"),
        ("bit0 & & bit1", 8, "found '&'"),
        ("bit0 and nf", 10, "compare it"),
        ("nf >= two", 7, "expected a number"),
        ("nf >= 5", 1, "for n from 1 to 4"),
        ("nf == 4", 1, "for n from 1 to 4"),
        ("bit0 >= 1", 6, "found '>='"),
        ("bit0 and not bit0", 1, "can never be true"),
        ("!" * 100 + "bit0", 65, "nested deeper than 64"),
        (" and ".join(f"(bit{2 * k} or bit{2 * k + 1})" for k in range(20)), 1, "more than 1024 products"),
    ],
)
def test_mistakes_name_the_column_and_the_rule(logic: str, column: int, rule: str):
    """Whoever wrote the line sees where it goes wrong and why."""
    with pytest.raises(LogicError) as caught:
        sum_of_products(logic, BITS)
    assert caught.value.column == column
    assert str(caught.value).startswith(f"column {column}: ")
    assert rule in str(caught.value)


@given(st.text(max_size=40))
def test_any_text_is_a_logic_or_a_logic_error(text: str):
    """No text gets past the parser in another way."""
    try:
        sum_of_products(text, BITS)
    except LogicError as error:
        assert 1 <= error.column <= len(text) + 1
