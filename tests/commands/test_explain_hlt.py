"""Cuts taken apart into clauses: written out again they are the same cuts, and together they decide as the whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from commands.explain_hlt import clauses, cut_text
from hlt.cuts import CutProgram, parse_cut
from hlt.menu import HltMenu
from hlt.variables import TABLE, VARIABLES

NAMES = ("a", "b", "nTrkLoose")
values = st.recursive(
    st.sampled_from([("name", name) for name in NAMES])
    | st.builds(lambda x: ("number", x), st.floats(min_value=0, allow_nan=False)),
    lambda inner: (
        st.tuples(st.sampled_from(["+", "-", "*", "/", "**"]), inner, inner) | st.tuples(st.just("negative"), inner)
    ),
    max_leaves=6,
)
conditions = st.recursive(
    st.tuples(st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), values, values)
    | st.tuples(st.just("truth"), values),
    lambda inner: st.tuples(st.sampled_from(["and", "or"]), inner, inner) | st.tuples(st.just("not"), inner),
    max_leaves=6,
)


@given(conditions)
def test_a_tree_written_out_parses_to_the_same_tree(tree):
    """Brackets are where the grammar needs them, numbers keep every digit."""
    assert parse_cut(cut_text(tree), NAMES) == tree


@pytest.mark.parametrize("text", ["a", "not a", "1 < a < 3 and b", "a == 1 or b == 2 and nTrkLoose > 0"])
def test_cuts_of_people_keep_their_meaning(text):
    """The text of a parsed cut parses to the same tree."""
    tree = parse_cut(text, NAMES)
    assert parse_cut(cut_text(tree), NAMES) == tree


@given(st.lists(st.sampled_from([np.nan, 0.0, 1.0, 2.0, 3.5]), min_size=len(VARIABLES), max_size=len(VARIABLES)))
def test_a_line_fires_if_and_only_if_all_its_clauses_hold(numbers):
    """For every line of a menu, on any values of the variables."""
    menu = HltMenu.load("physics")
    table = np.array([tuple(numbers)], dtype=TABLE)
    whole = CutProgram([line.cut for line in menu.line], VARIABLES).evaluate(table, 1)[0]
    held = dict.fromkeys(menu.line_names, True)
    for clause in clauses(menu, table):
        held[clause.line] &= clause.holds
    assert_array_equal(whole, list(held.values()))
