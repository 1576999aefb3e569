"""A menu written out is the same menu: random TOML menus with everything that a menu can have."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.triggers.gdl.test_injection import vetos
from tests.triggers.gdl.test_timing import buffers
from triggers.gdl.ftdl import COUNTS
from triggers.gdl.menu import L1Menu, to_toml, to_triple
from triggers.gdl.settings import ColumnSettings, LatencySettings, LineSettings, MenuTables, TimingSettings
from triggers.gdl.triple import write_triple
from triggers.inputs import INPUT_NAMES

ABSENT = ("ta_0", "inp155", "new_bit")
factors = st.one_of(
    st.sampled_from((*INPUT_NAMES, *ABSENT, "true")),
    st.sampled_from((*INPUT_NAMES, *ABSENT)).map("!{}".format),
    st.sampled_from([f"{count} >= {n}" for count in COUNTS for n in (1, 2, 3)]),
)
# Never twice the same bit in a term, which could not be true, or as a count and as a bit.
terms = st.lists(factors, min_size=1, max_size=3, unique_by=lambda factor: factor.strip("!")).map(" and ".join)
logics = st.one_of(st.lists(terms, min_size=1, max_size=3).map(" or ".join), st.just("false"))
names = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,8}", fullmatch=True)
comments = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
timings = st.builds(
    TimingSettings,
    minimum_spacing_ns=st.integers(0, 1000),
    buffer=buffers,
    veto=vetos,
    latency=st.builds(LatencySettings, klm_ns=st.integers(0, 2000), budget_ns=st.integers(4500, 9000)),
)


@st.composite
def menus(draw: st.DrawFn) -> MenuTables:
    """Draw a menu; a third of them as from a triple, with numbers that jump and placeholders."""
    columns = tuple(
        ColumnSettings(name=name, luminosity_cm2_s=luminosity, comment=draw(comments))
        for name, luminosity in draw(
            st.lists(
                st.tuples(st.sampled_from(["6e34", "day-1", "a.b", "X"]), st.floats(1e30, 1e36)),
                max_size=3,
                unique_by=(lambda pair: pair[0], lambda pair: pair[1]),
            )
        )
    )
    prescales = st.one_of(st.integers(0, 2**32 - 1), st.tuples(*[st.integers(0, 1000) for _ in columns]))
    lines = tuple(
        LineSettings(
            name=name,
            logic=draw(logics),
            prescale=draw(prescales if columns else st.integers(0, 9)),
            masked=draw(st.booleans()),
            comment=draw(comments),
        )
        for name in draw(st.lists(names, min_size=1, max_size=5, unique=True))
    )
    inputs, outputs = {}, {}
    if draw(st.sampled_from([True, False, False])):
        inputs = {name: 3 * k for k, name in enumerate(draw(st.permutations([*INPUT_NAMES[:9], *ABSENT])))}
        outputs = {line.name: 2 * k + 1 for k, line in enumerate(lines)} | {"oup099": 99, "oup120": 120}
    return MenuTables(
        name=draw(st.sampled_from(["menu", "Run-2026.b"])),
        prescale_by=draw(st.sampled_from(["hash", "counter"])),
        absent=ABSENT,
        timing=draw(timings),
        column=columns,
        inputs=inputs,
        outputs=outputs,
        line=lines,
    )


@given(menus())
def test_toml_to_menu_to_toml(tmp_path_factory: pytest.TempPathFactory, tables: MenuTables):
    """All of it comes back: comments, masks, columns, numbers, timing; and so does the hash."""
    folder = tmp_path_factory.mktemp("menu")
    path = folder / "menu.toml"
    seen = []
    for _ in range(2):
        path.write_text(to_toml(L1Menu(tables, (), 0)) if not seen else to_toml(seen[-1]), encoding="utf-8")
        seen.append(L1Menu.load(path))
        assert seen[-1].tables == tables
    assert seen[0].hash == seen[1].hash


@given(menus())
def test_toml_to_triple_to_menu(tmp_path_factory: pytest.TempPathFactory, tables: MenuTables):
    """The three files carry names, numbers and logic; prescales and timing they cannot."""
    folder = tmp_path_factory.mktemp("menu")
    (folder / "menu.toml").write_text(to_toml(L1Menu(tables, (), 0)), encoding="utf-8")
    menu = L1Menu.load(folder / "menu.toml")
    write_triple(to_triple(menu), folder / "menu.alg")
    other = L1Menu.load(folder / "menu.alg")
    assert other.line_names == menu.line_names
    assert other.sums == menu.sums
    assert other.tables.inputs.items() >= tables.inputs.items()
    assert not tables.outputs or other.tables.outputs == tables.outputs
