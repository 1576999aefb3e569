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
from tests.triggers.gdl.plain import PlainL1
from tests.triggers.vectors import sample_batch
from triggers.bits import flags_of
from triggers.emulator import L1Emulator, L1Result
from triggers.gdl.menu import L1Menu
from triggers.prescale import keeps, line_keys

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


VETOED = """
name = "vetoed"
prescale_by = "{by}"
[timing]
minimum_spacing_ns = 90
[timing.buffer]
window_accepts = 3
window_ns = 1500
fifo_depth = 2
readout_ns = 400
[timing.veto.ler]
full_us = 10.0
end_us = 30.0
gate_begin_us = 9.0
gate_length_us = 3.0
[timing.veto.her]
full_us = 0.0
end_us = 25.0
[[line]]
name = "hie"
logic = "ehigh and !bha_veto and !veto"
prescale = 3
[[line]]
name = "fffv"
logic = "nf >= 3"
prescale = 2
[[line]]
name = "c4"
logic = "nc >= 4 and !veto"
[[line]]
name = "off"
logic = "ehigh"
prescale = 0
[[line]]
name = "vetout"
logic = "veto and elow"
prescale = 7
[[line]]
name = "masked"
logic = "elow or veto"
masked = true
"""
WITHOUT_VETO = {"hie", "c4"}  # lines that the veto holds


@pytest.mark.parametrize("by", ["hash", "counter"])
def test_outcomes_are_those_of_a_simulation_event_by_event(tmp_path: Path, by: str):
    """Veto, prescales, spacing, window and FIFO together, in any blocks: every outcome, every bit, the same state."""
    path = tmp_path / "menu.toml"
    path.write_text(VETOED.format(by=by), encoding="utf-8")
    menu = L1Menu.load(path)
    seen: set[int] = set()
    for seed in range(12):
        seen |= compare_with_simulation(menu, by, np.random.default_rng(seed))
    assert seen == set(Outcome) - {Outcome.HLT_REJECTED, Outcome.L1_DEAD_BUSY}


def compare_with_simulation(menu: L1Menu, by: str, rng: np.random.Generator) -> set[int]:
    """Fail unless the sample at random times after injections ends as the plain simulation has it; return outcomes."""
    cuts = rng.integers(0, BATCH.size, rng.integers(0, 5)).tolist()
    since = rng.integers(0, 5000, BATCH.size)  # ticks since the injection, up to 39 us
    columns = {
        "t_injection_us": (since * 4000 / 508_887).astype("f4"),
        "injection_ring": rng.integers(0, 3, BATCH.size),
        "bunch": rng.integers(0, 1280, BATCH.size),
        "time_ns": np.cumsum(rng.integers(0, 200, BATCH.size)),
    }
    batch = EventBatch(BATCH.size, BATCH.arrays() | columns)
    plain = PlainL1(menu.timing)
    veto = [plain.vetoed(*row) for row in zip(since.tolist(), columns["injection_ring"], columns["bunch"], strict=True)]

    emulator = L1Emulator(menu, seed=1, beam=BeamSettings())
    open_bits = named(emulator.process(BATCH).inputs, menu.input_names)  # no injections there
    energetic = open_bits["elow"].tolist()
    fires = {
        "hie": (open_bits["ehigh"] & ~open_bits["bha_veto"]).tolist(),
        "fffv": (open_bits["t2_2"] | open_bits["t2_3"]).tolist(),
        "c4": (open_bits["clst_2"] | open_bits["clst_3"]).tolist(),
        "vetout": [low and on for low, on in zip(energetic, veto, strict=True)],
    }
    keys = dict(zip(menu.line_names, line_keys("l1", menu.line_names, 1), strict=True))
    prescale = dict(zip(menu.line_names, menu.prescales(), strict=True))
    counts = {(line, held): 0 for line in fires for held in (False, True)}

    def passes(line: str, event: int, *, is_held: bool) -> bool:
        if by == "hash":
            return bool(keeps(keys[line], prescale[line], BATCH["run"][event], BATCH["event"][event]))
        counts[line, is_held] += 1
        return counts[line, is_held] % prescale[line] == 0

    expected, passed = [], []
    for i, now in enumerate(columns["time_ns"].tolist()):
        through = {False: set(), True: set()}
        for line in fires:
            is_held = veto[i] and line in WITHOUT_VETO
            if fires[line][i] and passes(line, i, is_held=is_held):
                through[is_held].add(line)
        expected.append(plain.event(now, fired=bool(through[False]), held=bool(through[True])))
        passed.append(through[False])

    state, parts = None, []
    for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), BATCH.size], strict=True):
        parts.append(emulator.process(batch.take(np.arange(begin, end)), state))
        state = parts[-1].state
    assert_array_equal(np.concatenate([part.outcome for part in parts]), np.array(expected, dtype=np.uint8))
    bits = named(np.concatenate([part.psnm for part in parts]), menu.line_names)
    assert [{line for line, flags in bits.items() if flags[i]} for i in range(BATCH.size)] == passed
    raw = named(np.concatenate([part.ftdl for part in parts]), menu.line_names)
    assert_array_equal(raw["masked"], np.array(energetic) | np.array(veto))
    assert_array_equal(state, emulator.process(batch).state)
    return {int(outcome) for outcome in expected}


def test_lines_of_a_menu_with_columns(tmp_path: Path):
    """The luminosity or the name chooses the prescales, and nothing else of the lines."""
    path = tmp_path / "columns.toml"
    columns = "".join(f'[[column]]\nname = "{name}"\nluminosity_cm2_s = {name}\n' for name in ("6e34", "6e35"))
    path.write_text(f'name = "x"\n{columns}[[line]]\nname = "a"\nlogic = "elow"\nprescale = [1, 0]\n', encoding="utf-8")
    menu = L1Menu.load(path)
    for luminosity, column, is_on in ((1e34, None, True), (5e35, None, False), (1e34, "6e35", False)):
        emulator = L1Emulator(menu, seed=1, beam=BeamSettings(luminosity_cm2_s=luminosity), column=column)
        result = emulator.process(BATCH)
        assert result.psnm.any() == is_on
        assert result.ftdl.any()


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
