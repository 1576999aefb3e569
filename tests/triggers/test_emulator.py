"""The L1 as a whole: the same decisions in any blocks, bits under their names, nothing lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from daq.event import EventBatch, Outcome
from daq.jit import Array
from daq.settings import BeamSettings
from tests.batches import random_batch
from tests.triggers.vectors import sample_batch
from triggers.bits import flags_of
from triggers.emulator import L1Emulator, L1Result
from triggers.gdl.menu import L1Menu

BATCH = sample_batch()
MENU = L1Menu.load("physics")
EMULATOR = L1Emulator(MENU, seed=1, beam=BeamSettings())


def named(words: Array, names: tuple[str, ...]) -> dict[str, Array]:
    """Return the bits of words by name."""
    return {name: flags_of(words, i) for i, name in enumerate(names)}


@pytest.fixture(scope="module")
def whole() -> L1Result:
    """Return the decisions on all sample events in one block."""
    return EMULATOR.process(BATCH)


@given(st.lists(st.integers(0, BATCH.size), max_size=5))
@settings(max_examples=25)
def test_any_cut_into_blocks_gives_the_same_decisions(cuts: list[int]):
    """One block or several, also empty ones: bits, outcomes, dead time and the state at the end agree."""
    state = None
    parts = []
    for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), BATCH.size], strict=True):
        parts.append(EMULATOR.process(BATCH.take(np.arange(begin, end)), state))
        state = parts[-1].state
    reference = EMULATOR.process(BATCH)
    for field in ("inputs", "ftdl", "psnm", "outcome", "malformed"):
        assert_array_equal(np.concatenate([getattr(part, field) for part in parts]), getattr(reference, field))
    for cause, dead_ns in reference.dead_ns.items():
        assert_array_equal(np.concatenate([part.dead_ns[cause] for part in parts]), dead_ns)
    assert_array_equal(parts[-1].state, reference.state)


def test_input_bits_stand_under_their_names(whole: L1Result):
    """ECL, CDC and KLM bits are where ``input_names`` says: the counts there are those of the batch."""
    bits = named(whole.inputs, MENU.input_names)
    assert_array_equal(bits["ecl_active"], np.diff(BATCH["tc.offsets"]) > 0)
    assert_array_equal(bits["t2_1"], np.diff(BATCH["trk2d.offsets"]) == 2)
    assert_array_equal(bits["klm_hit"], np.diff(BATCH["klm_track_sectors.offsets"]) > 0)
    assert_array_equal(bits["cdc_active"], BATCH["cdc_t0"] != 0)
    assert not bits["veto"].any()


def test_lines_are_what_the_fact_sheet_says(whole: L1Result):
    """Booleans of the Belle II menu 0036, written out with the input bits."""
    bits = named(whole.inputs, MENU.input_names)
    lines = named(whole.ftdl, MENU.line_names)
    two_tracks = bits["t2_1"] | bits["t2_2"] | bits["t2_3"]
    expected = {
        "fff": bits["t2_2"] | bits["t2_3"],
        "ffo": two_tracks & bits["cdc_open90"] & ~bits["bha_veto"],
        "ff": two_tracks & ~bits["bha_veto"],
        "hie": bits["ehigh"] & ~bits["bha_veto"],
        "c4": (bits["clst_2"] | bits["clst_3"]) & ~bits["bha_veto"],
        "stt": bits["typ"] & ~bits["bha_veto"],
        "mu_pair": two_tracks & (bits["klm_0"] | bits["klm_1"] | bits["klm_2"]),
        "eclmumu": bits["ecl_mumu"] & ~bits["bha_veto"],
        "bha3d": bits["ecl_3dbha"],
    } | {f"lml{k}": bits[f"ecl_lml_{k}"] for k in (0, 1, 2, 4, 6, 7, 12, 13)}
    assert set(expected) == set(lines)
    for name, fired in expected.items():
        assert fired.any(), name
        assert_array_equal(lines[name], fired, err_msg=name)


def test_accept_is_the_or_of_the_prescaled_lines(whole: L1Result):
    """Prescaled bits are a part of the raw ones; an event without any is rejected, one with any kept or dead."""
    raw, passed = named(whole.ftdl, MENU.line_names), named(whole.psnm, MENU.line_names)
    for line in MENU.lines:
        assert not (passed[line.name] & ~raw[line.name]).any()
        if line.prescale == 1:
            assert_array_equal(passed[line.name], raw[line.name])
    accepted = np.any(list(passed.values()), axis=0)
    assert_array_equal(whole.outcome == Outcome.L1_REJECTED, ~accepted)
    assert (whole.outcome == Outcome.L1_DEAD_SPACING).any()
    assert_array_equal(whole.dead_ns["spacing"], np.where(whole.outcome == Outcome.KEPT, 200, 0))


def test_more_lines_than_a_word_holds(tmp_path: Path):
    """Line 64 and up stand in the second word."""
    path = tmp_path / "wide.toml"
    lines = [f'[[line]]\nname = "line{k}"\nlogic = "{MENU.input_names[k % 47]}"\n' for k in range(130)]
    path.write_text('name = "wide"\n' + "".join(lines), encoding="utf-8")
    menu = L1Menu.load(path)
    result = L1Emulator(menu, seed=1, beam=BeamSettings()).process(BATCH)
    assert result.ftdl.shape == (BATCH.size, 3)
    for k in range(130):
        assert_array_equal(flags_of(result.ftdl, k), flags_of(result.inputs, k % 47))


@given(st.integers(0, 2**32 - 1), st.integers(0, 100))
@settings(max_examples=25)
def test_no_event_crashes_the_trigger_and_malformed_ones_are_kept(seed: int, size: int):
    """Random bit patterns in every array: a decision for each event, and whatever cannot be is flagged and goes on."""
    rng = np.random.default_rng(seed)
    arrays = random_batch(size, rng).arrays() | {"run": np.zeros(size), "time_ns": np.arange(size) * 10**6}
    arrays["trk2d.phi0"] = rng.choice([0.0, 1.0, 1e30, np.nan, -np.inf], arrays["trk2d.phi0"].size)
    result = EMULATOR.process(EventBatch(size, arrays))
    assert result.inputs.shape == (size, -(-len(MENU.input_names) // 64))
    assert result.ftdl.shape == result.psnm.shape == (size, 1)
    assert set(result.outcome[result.malformed].tolist()) <= {Outcome.KEPT}
    for event in range(size):
        objects = slice(*arrays["trk2d.offsets"][event : event + 2])
        if not (np.abs(arrays["trk2d.phi0"][objects]) <= 1.0).all():
            assert result.malformed[event]


def test_the_sample_is_sound(whole: L1Result):
    """No event of the reference is malformed."""
    assert not whole.malformed.any()
