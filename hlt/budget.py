"""Latency budgets: how long events take, line by line, and what becomes of those that take too long.

Two things are measured. Every block: its time divided by its events, which is what an event costs. And one event in so
many, the same ones for any block and worker: the time to decide it alone, which is what an event has to wait (on an
emulator mostly the fixed price of a call), and the time that the cut of each line takes on it. Cuts are so short that
the clock would show only itself, so each runs on many copies of the event; what lines share (variables, parts of cuts)
belongs to the event, or is counted for each of them.

An event is over budget if its block was, if it was alone, or if a line of the menu was on it. By default this is only
flagged. With the policies ``accept`` and ``reject`` decisions depend on time, and are no longer those of a second run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from daq.event import EventBatch
from daq.jit import Array, kernel, read_only
from daq.latency import LatencyNote, histogram
from hlt.emulator import HltEmulator, HltResult
from hlt.program import CutProgram
from triggers.prescale import keeps, line_keys

Clock = Callable[[], int]
"""Returns a time that never runs backwards [ns]."""
_COPIES = 512


@dataclass(frozen=True, slots=True)
class Measured:
    """A block decided under budgets."""

    result: HltResult
    """The decisions, after the policy for events over budget."""
    block_us: float
    """Time of the block for each of its events [us]."""
    event_us: Array
    """(N,) float32: time of each sampled event alone [us], NaN for all others."""
    note: LatencyNote
    """What goes into the books of the run."""


class Meter:
    """An emulator whose work is timed.

    Parameters
    ----------
    emulator : HltEmulator
        Its menu holds the budgets, the policy and the sampled fraction.
    seed : int
        Which events are sampled is a hash of (seed, run, event).
    clock : Clock
        Such as `time.perf_counter_ns`.
    """

    def __init__(self, emulator: HltEmulator, *, seed: int, clock: Clock):
        self._emulator, self._clock = emulator, clock
        self._budget, self._line_budgets_us = emulator.menu.budget, np.array(emulator.menu.line_budgets_us)
        self._key = line_keys("hlt", ["latency sample"], seed)[0]
        self._cuts = [CutProgram([line.cut], emulator.menu.variables) for line in emulator.menu.line]

    def process(self, batch: EventBatch, l1: Mapping[str, Array], always: Array) -> Measured:
        """Decide about the events of a block and time it; see `HltEmulator.process`.

        ``always`` (N,) bool are events that are kept whatever lines and clock say, as those over the cap are.
        """
        began = self._clock()
        result = self._emulator.process(batch, l1)
        block_us = (self._clock() - began) / 1e3 / max(1, batch.size)
        over = np.full(batch.size, block_us > self._budget.event_us)
        event_us = np.full(batch.size, np.nan, dtype=np.float32)
        sampled, line_ns = self._sampled(batch), []
        for row in sampled:
            event_us[row], took_ns = self._alone(batch, l1, row)
            line_ns.append(took_ns)
            over[row] |= event_us[row] > self._budget.event_us or (took_ns > 1e3 * self._line_budgets_us).any()
        by_lines = result.accept | always
        accept = by_lines
        if self._budget.policy == "accept":
            accept = by_lines | over
        elif self._budget.policy == "reject":
            accept = by_lines & ~(over & ~always & ~result.over_cap)
        note: LatencyNote = {
            "over_budget": [int(over.sum())],
            "decided": [int((accept & ~by_lines).sum()), int((by_lines & ~accept).sum())],
            "over_cap": [int(result.over_cap.sum())],
        }
        note["block_bins"], note["block_counts"] = histogram(np.full(min(1, batch.size), block_us), batch.size)
        if line_ns:
            note["event_bins"], note["event_counts"] = histogram(event_us[sampled])
            took = np.array(line_ns)
            note["line_ns"] = np.rint(took.sum(axis=0)).astype(np.int64).tolist()
            note["line_max_ns"] = np.rint(took.max(axis=0)).astype(np.int64).tolist()
            note["line_over"] = (took > 1e3 * self._line_budgets_us).sum(axis=0).tolist()
        return Measured(replace(result, accept=accept, over_budget=over), block_us, event_us, note)

    def _sampled(self, batch: EventBatch) -> Array:
        """Return the rows of the events that are timed alone."""
        chosen = np.empty(batch.size, dtype=np.bool_)
        _choose(self._key, np.uint64(self._budget.sample), read_only(batch["run"]), read_only(batch["event"]), chosen)
        return np.flatnonzero(chosen)

    def _alone(self, batch: EventBatch, l1: Mapping[str, Array], row: int) -> tuple[float, Array]:
        """Return the time to decide one event alone [us], and that of the cut of each line on it [ns]."""
        event, bits = batch.take(np.array([row])), {name: column[row : row + 1] for name, column in l1.items()}
        began = self._clock()
        self._emulator.process(event, bits)
        alone_us = (self._clock() - began) / 1e3
        copies = np.repeat(self._emulator.observe(event, bits).table, _COPIES)
        line_ns = np.empty(len(self._cuts))
        for line, cut in enumerate(self._cuts):
            began = self._clock()
            cut.evaluate(copies, _COPIES)
            line_ns[line] = (self._clock() - began) / _COPIES
        return alone_us, line_ns


@kernel
def _choose(key: Any, sample: Any, run: Array, event: Array, chosen: Array) -> None:
    for i in range(chosen.size):
        chosen[i] = keeps(key, sample, run[i], event[i])
