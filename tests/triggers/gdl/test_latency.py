"""Latency: where each input bit comes from, and what its way takes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daq.clock import TICK_NS
from triggers.gdl.latency import GDL_STEPS, path_of, slowest_paths, source_of
from triggers.gdl.settings import LatencySettings
from triggers.inputs import INPUT_NAMES

EXTERNAL = {
    *("veto", "injv", "revo", "her_kick", "ler_kick", "pseud_rand", "plsin", "poissonin", "nimin0", "nimin1"),
    *("nimin2", "nimin3"),
    *("passive_veto", "cdcecl_veto"),
}
ENDS = [*GDL_STEPS]


@pytest.mark.parametrize(
    ("bit", "steps"),
    [
        ("veto", []),
        ("no_such_bit", []),
        ("ecl_lml_1", ["ecl_cells", "ecl_bits"]),
        ("t2_1", ["cdc_segments", "cdc_2d", "grl_tracks"]),
        ("typ", ["cdc_segments", "cdc_2d", "cdc_neural", "grl_tracks"]),
        ("cdc_active", ["cdc_segments", "cdc_time"]),
        ("ts_0", ["cdc_segments", "cdc_2d", "grl_short", "grl_tracks"]),
        ("cdcecl_0", ["ecl_cells", "ecl_bits", "grl_match"]),  # 2000 ns, the 2D tracks 1900
        ("cdcklm_0", ["cdc_segments", "cdc_2d", "grl_match"]),
        ("samhem", ["cdc_segments", "cdc_2d", "cdc_3d", "grl_match"]),
        ("eklm_0", ["klm"]),
    ],
)
def test_the_way_of_a_bit(bit: str, steps: list[str]):
    """By default, where two sub-triggers meet, the slower one counts."""
    assert list(path_of(bit, LatencySettings()).steps) == steps + ENDS


def test_the_slower_sub_trigger_is_the_one_that_counts():
    """A match waits for both: which of them is the path depends on the settings."""
    slow_tracks = LatencySettings(cdc_2d_ns=700)
    assert path_of("cdcecl_0", slow_tracks).steps[:2] == ("cdc_segments", "cdc_2d")


def test_steps_are_whole_ticks():
    """Each step is rounded up to the clock, and the total is their sum."""
    path = path_of(
        "klm_hit", LatencySettings(klm_ns=8, gdl_align_ns=0, ftdl_ns=1, psnm_ns=7, decision_ns=16, accept_ns=0)
    )
    assert path.ticks == (2, 0, 1, 1, 3, 0)
    assert path.total_ns == pytest.approx(7 * TICK_NS)


@given(st.sampled_from(INPUT_NAMES), st.sampled_from([f for f in LatencySettings.model_fields if f != "budget_ns"]))
def test_a_slower_step_never_makes_a_path_faster(bit: str, step: str):
    """And it makes slower exactly the paths that have it, once it is the slowest."""
    before, after = (path_of(bit, LatencySettings(**change)) for change in ({}, {step: 50_000}))
    assert after.total_ns >= before.total_ns
    assert (after.total_ns > before.total_ns) == (step.removesuffix("_ns") in after.steps)


def test_a_line_takes_as_long_as_its_slowest_bit():
    """A line without a bit has no path."""
    paths = slowest_paths({"a": {"veto", "typ", "ehigh"}, "b": {"ehigh", "veto"}, "c": set()}, LatencySettings())
    assert {line: path.bit for line, path in paths.items()} == {"a": "typ", "b": "ehigh"}


def test_every_computed_bit_comes_from_somewhere():
    """Only what is of no sub-trigger comes from outside."""
    assert {bit for bit in INPUT_NAMES if source_of(bit) == "external"} <= EXTERNAL


@pytest.mark.parametrize("name", ["ftd_0010", "ftd_0021", "ftd_0036"])
def test_every_bit_of_the_menus_of_the_experiment_comes_from_somewhere(shared: Path, name: str):
    """But for placeholders and signals from outside."""
    text = (shared / "data" / "gdl" / f"{name}.inp").read_text(encoding="utf-8")
    bits = {line.split()[1] for line in text.splitlines()}
    unknown = {bit for bit in bits if source_of(bit) == "external"} - EXTERNAL
    assert all(bit.startswith("inp") for bit in unknown), unknown
