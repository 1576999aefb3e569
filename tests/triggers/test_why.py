"""An explanation of a line says what the FTDL and the prescale say, for any menu and event."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daq.errors import InputError
from tests.triggers.vectors import sample_batch
from triggers.bits import flags_of, planes_of_flags, words_of
from triggers.gdl.ftdl import text_of
from triggers.gdl.menu import L1Menu, to_toml
from triggers.inputs import INPUT_NAMES, input_planes
from triggers.lines import MenuLines
from triggers.why import explain

ABSENT = ("nobody", "nothing")
BITS = (*INPUT_NAMES[::20], *ABSENT)  # few, so that products hold often enough


@st.composite
def menus(draw: st.DrawFn) -> L1Menu:
    """Strategy: menus of one to three lines of a few products, with absent bits, prescales 0 to 3."""
    literal = st.tuples(st.sampled_from(BITS), st.booleans())
    # A bit has one value in a product, so that every line can be true.
    product = st.lists(literal, min_size=1, max_size=3, unique_by=lambda chosen: chosen[0]).map(frozenset)
    tables = [f'name = "random"\nabsent = {list(ABSENT)}']
    for k in range(draw(st.integers(1, 3))):
        logic = text_of(draw(st.lists(product, min_size=1, max_size=4)))
        tables.append(f'[[line]]\nname = "line{k}"\nlogic = "{logic}"\nprescale = {draw(st.integers(0, 3))}')
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random.toml"
        path.write_text("\n".join(tables), encoding="utf-8")
        return L1Menu.load(path)


@given(menus(), st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_an_explanation_agrees_with_the_logic(menu: L1Menu, seed: int):
    """Fired and accepted are the bits of FTDL and PSNM; a product holds if, and only if, all of its literals do."""
    rng = np.random.default_rng(seed)
    size = 20
    flags = rng.random((len(INPUT_NAMES), size)) < 0.5
    run, event = np.full(size, 3, dtype="<u4"), rng.integers(0, 2**40, size).astype("<u8")
    lines = MenuLines(menu, seed=11)
    decisions = lines.decide(planes_of_flags(flags), run, event)
    raw, accepted = (words_of(planes, size) for planes in decisions)
    for i in range(size):
        inputs = planes_of_flags(flags[:, i : i + 1])
        for place, line in enumerate(menu.lines):
            found = explain(lines, line.name, inputs, run[i : i + 1], event[i : i + 1])
            assert found.fired == flags_of(raw, place)[i]
            assert found.accepted == flags_of(accepted, place)[i]
            assert (line.name in found.raw_lines) == flags_of(raw, place)[i]
            assert (line.name in found.accepting_lines) == flags_of(accepted, place)[i]
            for product in found.products:
                for literal in product:
                    value = literal.bit in INPUT_NAMES and bool(flags[INPUT_NAMES.index(literal.bit), i])
                    assert found.bits[literal.bit] == value
                    assert literal.holds == (value == literal.wanted)
            assert set(found.held) == set(found.bits) & set(ABSENT)


def test_the_prescale_is_told_of_lines_that_did_not_fire():
    """Whether the prescale keeps an event is a matter of line and event alone, not of the logic."""
    batch = sample_batch()
    batch = batch.take(np.arange(200))
    menu = L1Menu.load("physics")
    lines = MenuLines(menu, seed=5)
    place = menu.line_names.index("ff")
    keeps = flags_of(words_of(lines.keeps(batch["run"], batch["event"]), batch.size), place)
    assert 0 < keeps.sum() < 40  # one in 20
    for i in np.flatnonzero(keeps)[:3]:
        found = explain(
            lines, "ff", np.zeros((len(INPUT_NAMES), 1), "<u8"), batch["run"][i : i + 1], batch["event"][i : i + 1]
        )
        assert found.kept
        assert not found.fired


def test_lines_of_a_menu_decide_as_the_emulator_does(tmp_path: Path):
    """The decisions that rates are made of are those of the L1, event by event, also of the menu written out again."""
    from daq.settings import BeamSettings
    from triggers.ecl.cells import EclTable
    from triggers.emulator import L1Emulator

    batch, beam = sample_batch(), BeamSettings()
    menu = L1Menu.load("physics")
    (tmp_path / "again.toml").write_text(to_toml(menu), encoding="utf-8")
    inputs, _ = input_planes(batch, batch.size, EclTable.for_beams(beam))
    result = L1Emulator(menu, seed=9, beam=beam).process(batch)
    for each in (menu, L1Menu.load(tmp_path / "again.toml")):
        raw, accepted = MenuLines(each, seed=9).decide(inputs, batch["run"], batch["event"])
        np.testing.assert_array_equal(words_of(raw, batch.size), result.ftdl)
        np.testing.assert_array_equal(words_of(accepted, batch.size), result.psnm)


def test_an_unknown_column_is_refused():
    """A menu without prescale columns has none of any name."""
    with pytest.raises(InputError, match="no such prescale column"):
        MenuLines(L1Menu.load("physics"), seed=1, column="design")
