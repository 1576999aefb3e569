"""The L1 on recorded events: what is there whole is decided again, of the rest what its words allow.

Decided again are the raw lines of the events that are there, and prescale and mask of all events. Dead time is not
applied again: it came from all accepted events of the recorded run, of which few are there. An event that was lost to
it stays lost, and the dead time that was noted stays noted (docs/decisions/0016-recorded-events.md).
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from daq.event import Array, Outcome
from daq.run_directory import RunFile
from daq.settings import RunSettings
from daq.source.recorded import UNKNOWN, RecordedSource, Rows
from daq.stream.wire.codec import Block
from triggers.bits import planes_of, words_of
from triggers.emulator import L1Emulator
from triggers.gdl.menu import L1Menu

_DEAD = tuple(outcome for outcome in Outcome if outcome.name.startswith("L1_DEAD_"))


@dataclass(frozen=True, slots=True)
class Inherited:
    """Which lines of a menu are those of the recording run, so that its raw words say what they would."""

    n_before: int
    """Lines of the recording menu."""
    now: Array
    """(M,) int64: lines of the menu that are the same as ..."""
    before: Array
    """... these of the recording menu."""
    is_all: bool
    """Every line of the menu is among them."""

    @classmethod
    def of(cls, recorded: RunFile, settings: RunSettings, menu: L1Menu) -> Inherited:
        """Compare a menu with that of the recording run: a line is the same if its logic is, on the same inputs."""
        said: dict[str, Any] = recorded.about["l1"]
        names: list[str] = list(said["lines"])
        pairs = [
            (now, names.index(line.name))
            for now, line in enumerate(menu.lines)
            if said["logic"].get(line.name) == line.logic
        ]
        if not _same_inputs(recorded, settings, menu):
            pairs = []
        now, before = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
        return cls(len(names), now, before, len(pairs) == len(menu.lines))

    def raw_planes(self, words: Array, n_lines: int) -> Array:
        """Return the planes of a menu of ``n_lines`` from recorded raw words; 0 for a line that is not inherited."""
        planes = np.zeros((n_lines, -(-words.shape[0] // 64)), dtype=np.uint64)
        planes[self.now] = planes_of(words, self.n_before)[self.before]
        return planes


def _same_inputs(recorded: RunFile, settings: RunSettings, menu: L1Menu) -> bool:
    """Tell whether the input bits mean what they meant: quirks, veto windows, and beams (for the CM frame)."""
    before, now = recorded.settings.beam, settings.beam
    beams = ("electron_gev", "positron_gev", "crossing_mrad")
    veto = menu.timing.model_dump(mode="json")["veto"]
    return (
        recorded.settings.l1.quirks == settings.l1.quirks
        and json.dumps(veto, sort_keys=True) == json.dumps(recorded.about["l1"]["timing"]["veto"], sort_keys=True)
        and all(getattr(before, name) == getattr(now, name) for name in beams)
    )


class RecordedL1Stage:
    """An ordered stage as `stages.L1Stage`; its state is that of prescales by counter.

    The source sends blocks of all events, those that are not there whole with nothing in them. What is recorded of
    them, this stage looks up itself.
    """

    def __init__(self, emulator: L1Emulator, inherited: Inherited, source: RecordedSource, *, section_ns: int):
        self._emulator, self._inherited, self._source, self._section_ns = emulator, inherited, source, section_ns

    def __call__(self, block: Block, state: list[int] | None) -> tuple[Block, list[int]]:
        """Return the block with the events that L1 accepts now, and the state that the next block starts from."""
        began = time.perf_counter()
        lines, rows = self._emulator.lines, self._source.rows(block.first_event, block.n_events)
        n_lines = len(lines.menu.lines)
        row = (rows.events["event"] - np.uint64(block.first_event)).astype(np.int64)
        events = block.events.take(row)
        result = self._emulator.process(events)
        raw = words_of(self._inherited.raw_planes(rows.raw, n_lines), block.n_events)
        raw[row] = result.ftdl
        counters = np.array(state or np.zeros(n_lines), dtype=np.int64)
        run, event = block.events["run"], block.events["event"]
        psnm = words_of(lines.prescaled(planes_of(raw, n_lines), run, event, counters), block.n_events)
        fires = np.bitwise_or.reduce(psnm, axis=1) != 0
        outcome = self._outcomes(rows, row, fires, result.malformed)
        accepted = np.flatnonzero(outcome[row] == Outcome.KEPT)
        kept = row[accepted]
        section = (block.events["time_ns"] // self._section_ns).astype(np.uint32)
        latency_us = (time.perf_counter() - began) * 1e6 / max(1, len(events))
        tables = {
            "all.outcome": outcome,
            "all.l1_words": psnm,
            "all.l1_raw_words": raw,
            "all.process": rows.process,
            "all.weight": rows.weight,
            "kept.l1": psnm[kept],
            "kept.l1_raw": raw[kept],
            "kept.l1_malformed": result.malformed[accepted],
            "kept.l1_latency_us": np.full(kept.size, latency_us, dtype=np.float32),
            "kept.section": section[kept],
        }
        dead = self._source.dead(block.first_event, block.n_events)
        notes = block.notes | {"sections": _sections(section, outcome, dead)}
        by_counter = lines.menu.prescale_by == "counter"
        after = [int(count) for count in counters] if by_counter else []
        alive = events.take(accepted)
        return Block(block.number, block.first_event, block.n_events, alive, tables, notes), after

    def _outcomes(self, rows: Rows, row: Array, fires: Array, malformed: Array) -> Array:
        """Return what becomes of each event, given whether a line fires on it, and which of ``row`` cannot be."""
        before = rows.outcome
        fired_before = rows.prescaled.any(axis=1)
        is_there = np.zeros(before.size, dtype=np.bool_)
        is_there[row] = True
        outcome = np.array(before)
        was_dead = np.isin(before, _DEAD)
        accepted = fires.copy()
        accepted[row] |= malformed
        redone = is_there & ~was_dead
        outcome[redone] = np.where(accepted[redone], Outcome.KEPT, Outcome.L1_REJECTED)
        # What only passed by a line that is silent now is rejected now: whatever became of it after that line.
        known = is_there | self._inherited.is_all
        lost = (was_dead | (before == Outcome.HLT_REJECTED)) & ~redone & fired_before & ~accepted & known
        outcome[lost] = Outcome.L1_REJECTED
        assert not (outcome == UNKNOWN).any()  # what has no outcome in the books is there whole
        return outcome


def _sections(section: Array, outcome: Array, dead: dict[str, list[int]]) -> dict[str, list[int]]:
    """Return the rows by luminosity section, as `stages.L1Stage` notes them; the dead time is the recorded one."""
    numbers = np.union1d(section, np.array(dead.get("section", []), dtype=np.int64)).astype(np.int64)
    accepted = np.isin(outcome, (Outcome.KEPT, Outcome.HLT_REJECTED))
    columns = {"generated": section, "l1_accepted": section[accepted]}
    rows = {n: np.bincount(np.searchsorted(numbers, each), minlength=numbers.size) for n, each in columns.items()}
    for name, values in dead.items():
        if name != "section":
            rows[name] = np.zeros(numbers.size, dtype=np.int64)
            rows[name][np.searchsorted(numbers, dead["section"])] = values
    return {"section": numbers.tolist(), **{name: values.tolist() for name, values in rows.items()}}
