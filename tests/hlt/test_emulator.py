"""The emulator: pure, independent of the block, and not to be upset by any event."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from daq.event import EventBatch, TimType
from daq.jit import Array
from daq.settings import BeamSettings
from hlt.emulator import L1_SUMMARY, HltEmulator, HltResult
from hlt.menu import HltMenu, Line
from tests.hlt import hostile
from tests.hlt.vectors import BEAM, SAMPLE, events_of, l1_of
from triggers.columns import ColumnSettings


def menu_of(*lines: Line, **settings_of_menu: object) -> HltMenu:
    """Return a menu of a few lines."""
    return HltMenu.model_validate({"name": "test", "line": lines, **settings_of_menu})


def sample() -> tuple[EventBatch, dict[str, Array], pl.DataFrame]:
    """Return the sample of reference events on the stream's types, its L1 bits, and its table."""
    vectors = pl.read_parquet(SAMPLE)
    events = {name: array for name, array in events_of(vectors).items() if name != "trknn.offsets"}
    n = len(vectors)
    return EventBatch(n, events | {"event": np.arange(n), "run": np.ones(n)}), l1_of(vectors), vectors


def assert_same(one: HltResult, two: HltResult) -> None:
    """Compare two results array by array."""
    for field in fields(HltResult):
        assert_array_equal(getattr(one, field.name), getattr(two, field.name), err_msg=field.name)


def bit(words: Array, line: int) -> Array:
    """Return the (N,) bool of one line."""
    return (words[:, line // 64] >> np.uint64(line % 64) & np.uint64(1)).astype(bool)


def test_lines_follow_the_reference_variables():
    """Menu lines on single-precision events fire where their cuts hold on the reference's own variables.

    Single precision may move a number across a cut: at most one event in a hundred, and none for most lines.
    """
    batch, l1, vectors = sample()
    menu = HltMenu.load("physics")
    result = HltEmulator(menu, seed=1, beam=BEAM).process(batch, l1)
    expected = {
        "single_photon_45_115": (vectors["nEsinglePhotonBarrel"] == 1) & (vectors["nVetoClust"] <= 1),
        "single_muon": vectors["singleMuon"] == 1,
        "displaced_vertex": vectors["displacedVertex"] == 1,
        "three_photon": vectors["neutClust045GeVAcc"] >= 3,
        "two_tracks_low_p": (vectors["nTrkLoose"] == 2)
        & (vectors["maximumPCMS"].fill_nan(None) < 0.8).fill_null(False)
        & (vectors["eexx"] == 0),
        "ee2leg": vectors["ee2leg"] == 1,
        "l1_random": vectors["l1_trigger_random"] == 1,
        "l1_bha3d": vectors["bha3d"] == 1,
        "l1_bhapur_lml1": vectors["bhapur_lml1"] == 1,
        "l1_trigger": vectors["true"] == 1,
    }
    for name, series in expected.items():
        found, wanted = bit(result.raw, menu.line_names.index(name)), series.to_numpy()
        assert wanted.any(), name
        assert (found != wanted).sum() <= 3, name
    assert_array_equal(result.prescaled & ~result.raw, 0)
    assert not result.over_cap.any()
    assert_array_equal(result.accept, (result.prescaled != 0).any(axis=1))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 299), max_size=40))
def test_decisions_do_not_depend_on_the_block(chosen):
    """Any choice of events, in any order, decides as in the whole; processing changes no input."""
    batch, l1, _ = sample()
    emulator = HltEmulator(HltMenu.load("physics"), seed=5, beam=BEAM)
    before = {name: array.copy() for name, array in batch.arrays().items()}
    whole = emulator.process(batch, l1)
    for name, array in batch.arrays().items():
        assert_array_equal(array, before[name], err_msg=name)
    rows = np.array(chosen, dtype=np.int64)
    part = emulator.process(batch.take(rows), {name: column[rows] for name, column in l1.items()})
    assert_same(part, HltResult(*(getattr(whole, field.name)[rows] for field in fields(HltResult))))


def test_read_only_columns_decide_the_same():
    """Columns cut out of a received frame cannot be written to; nothing needs to."""
    batch, l1, _ = sample()
    emulator = HltEmulator(HltMenu.load("physics"), seed=5, beam=BEAM)
    frozen = {name: array.copy() for name, array in batch.arrays().items()}
    for array in frozen.values():
        array.flags.writeable = False
    assert_same(emulator.process(EventBatch(batch.size, frozen), l1), emulator.process(batch, l1))


def test_an_empty_block_gives_an_empty_result():
    """No events, no rows; the words keep their width."""
    result = HltEmulator(HltMenu.load("physics"), seed=1, beam=BeamSettings()).process(EventBatch(0, {}), {})
    assert result.raw.shape == result.prescaled.shape == (0, 1)
    assert result.accept.shape == result.over_cap.shape == (0,)


def test_events_without_objects_are_rejected_but_for_the_pass_through_lines():
    """Nothing in the detector: only a line that asks for nothing keeps the event."""
    emulator = HltEmulator(menu_of(Line(name="photon", cut="nEsinglePhotonBarrel == 1")), seed=1, beam=BeamSettings())
    assert not emulator.process(EventBatch(3, {}), {}).accept.any()
    emulator = HltEmulator(menu_of(Line(name="bhabha", cut="bha3d")), seed=1, beam=BeamSettings())
    assert_array_equal(emulator.process(EventBatch(2, {}), {"bha3d": np.array([True, False])}).accept, [True, False])


@pytest.mark.parametrize(("setting", "counted_as_random"), [("random", True), ("none", False)])
def test_an_event_without_an_l1_summary(setting, counted_as_random):
    """It has no bit, and is a random trigger or none, as the menu says; the neighbours keep theirs."""
    lines = [Line(name=name, cut=name) for name in ("l1_trigger_random", "l1_trigger_poisson", "bha3d", "true")]
    emulator = HltEmulator(menu_of(*lines, no_l1_summary=setting), seed=1, beam=BEAM)
    batch = EventBatch(4, {"tim_type": np.array([TimType.RANDOM, TimType.POISSON] * 2)})
    has_summary = np.array([True, True, False, False])
    result = emulator.process(batch, {"bha3d": np.ones(4, dtype=bool), L1_SUMMARY: has_summary})
    for line, without in enumerate([counted_as_random, False, False, True]):
        expected = [[True, False, True, True][line], [False, True, True, True][line], without, without]
        assert_array_equal(bit(result.raw, line), expected)


def test_the_column_of_the_menu_sets_the_prescales():
    """By name, or by the luminosity of the beam; raw results are the same."""
    batch, l1, _ = sample()
    columns = [{"name": name, "luminosity_cm2_s": value} for name, value in (("low", 1e34), ("high", 1e36))]
    lines = [Line(name="a", cut="", prescale=(1, 0)), Line(name="b", cut="", prescale=3)]
    menu = menu_of(*lines, column=tuple(ColumnSettings(**column) for column in columns))
    named = {name: HltEmulator(menu, seed=1, beam=BEAM, column=name).process(batch, l1) for name in ("low", "high")}
    assert bit(named["low"].prescaled, 0).all()
    assert not bit(named["high"].prescaled, 0).any()
    assert_array_equal(bit(named["low"].prescaled, 1), bit(named["high"].prescaled, 1))
    assert_array_equal(named["low"].raw, named["high"].raw)
    for luminosity, name in ((5e33, "low"), (2e34, "high")):
        beam = BEAM.model_copy(update={"luminosity_cm2_s": luminosity})
        assert_same(HltEmulator(menu, seed=1, beam=beam).process(batch, l1), named[name])


def test_counters_go_from_block_to_block():
    """A menu by counter keeps the first event that passes and each n-th; without counters each block begins anew."""
    batch, l1, _ = sample()
    menu = menu_of(Line(name="all", cut="", prescale=7), prescale_by="counter")
    emulator = HltEmulator(menu, seed=1, beam=BEAM)
    whole = emulator.process(batch, l1)
    assert_array_equal(np.flatnonzero(whole.accept), np.arange(0, batch.size, 7))
    counters = np.zeros(1, dtype=np.int64)
    parts = [
        emulator.process(batch.take(rows), {name: column[rows] for name, column in l1.items()}, counters)
        for rows in np.split(np.arange(batch.size), [10, 11, 150])
    ]
    assert_array_equal(np.concatenate([part.accept for part in parts]), whole.accept)


def test_an_event_of_too_many_pairs_is_kept_and_flagged():
    """Pairs are tracks of opposite charge, and tracks with clusters that are matched to them."""
    batch, l1, vectors = sample()
    charge, matches = vectors["trk_charge"], vectors["trk_clusters"].list.eval(pl.element().list.len().sum())
    fitted = vectors["trk_has_fit"]
    expected = []
    for row in range(batch.size):
        charges = [q for q, is_fitted in zip(charge[row], fitted[row], strict=True) if is_fitted]
        matched = matches[row][0] or 0
        expected.append(charges.count(1) * charges.count(-1) + matched > 3)
    result = HltEmulator(menu_of(Line(name="none", cut="false"), max_pairs=3), seed=1, beam=BEAM).process(batch, l1)
    assert 0 < sum(expected) < batch.size
    assert_array_equal(result.over_cap, expected)
    assert_array_equal(result.accept, expected)


def test_an_event_over_the_cap_is_kept_and_flagged():
    """Too many tracks or clusters: kept with no line set, flagged, and the neighbours decide as ever."""
    batch, l1, _ = sample()
    free = HltMenu.load("physics")
    capped = free.model_copy(update={"max_tracks": 3, "max_clusters": 5})
    whole = HltEmulator(free, seed=1, beam=BEAM).process(batch, l1)
    result = HltEmulator(capped, seed=1, beam=BEAM).process(batch, l1)
    over = (np.diff(batch["tracks.offsets"]) > 3) | (np.diff(batch["clusters.offsets"]) > 5)
    assert over.any()
    assert not over.all()
    assert_array_equal(result.over_cap, over)
    assert result.accept[over].all()
    assert not result.raw[over].any()
    assert_array_equal(result.raw[~over], whole.raw[~over])
    assert_array_equal(result.accept[~over], whole.accept[~over])


def test_a_reject_line_overrules():
    """With accept mode off one reject line is enough to drop an event."""
    batch, l1, vectors = sample()
    lines = (Line(name="all_events", cut=""), Line(name="bhabha", cut="ee2leg", reject=True))
    result = HltEmulator(menu_of(*lines), seed=1, beam=BEAM).process(batch, l1)
    assert_array_equal(result.accept, vectors["ee2leg"].to_numpy() == 0)


@pytest.mark.parametrize("seed", range(5))
def test_hostile_events_are_decided(seed):
    """NaN, infinities, no curvature, singular covariances, indices out of range: decided, and again the same."""
    batch = hostile.hostile_batch(seed)
    result = hostile.decide(batch)
    assert result.accept.shape == (batch.size,)
    assert_same(result, hostile.decide(batch))


def test_hostile_neighbours_change_no_decision():
    """A good event decides the same whatever stands before and after it in memory."""
    good, l1, _ = sample()
    bad = hostile.hostile_batch(7)
    mixed = EventBatch.concatenate([bad, good, bad])
    emulator = HltEmulator(HltMenu.load("physics"), seed=1, beam=BEAM)
    padded = {
        name: np.concatenate([np.zeros(bad.size, bool), column, np.zeros(bad.size, bool)])
        for name, column in l1.items()
    }
    whole, alone = emulator.process(mixed, padded), emulator.process(good, l1)
    inside = slice(bad.size, bad.size + good.size)
    assert_same(HltResult(*(getattr(whole, field.name)[inside] for field in fields(HltResult))), alone)


def test_kernels_stay_inside_their_arrays(tmp_path, request):
    """With bounds checks compiled in, hostile events raise nothing: no kernel reads or writes outside its arrays."""
    cache = request.config.cache.mkdir("hlt_bounds_check")  # its own: checked and unchecked code look alike to numba
    environment = os.environ | {"NUMBA_BOUNDSCHECK": "1", "XDG_CACHE_HOME": str(cache)}
    environment.pop("NUMBA_CACHE_DIR", None)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.hlt.hostile"],
        cwd=Path(__file__).parents[2],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
