"""The stages of the stream: L1 and HLT on blocks, with the books of what became of each event."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from daq.clock import Injections
from daq.event import Array, EventBatch, Outcome
from daq.stream.wire.codec import Block
from daq.stream.wire.contract import LOST
from hlt.budget import Meter
from hlt.variables import L1_BITS
from triggers.bits import flags_of
from triggers.emulator import L1Emulator, L1Result
from triggers.gdl.deadtime import CAUSES, busy_time, dead_time


class L1Stage:
    """The L1 on blocks: keeps the accepted events, and books every event and its dead time by luminosity section."""

    def __init__(self, emulator: L1Emulator, section_ns: int, injections: Injections):
        self._emulator, self._section_ns, self._injections = emulator, section_ns, injections

    def __call__(self, block: Block, state: list[int] | None) -> tuple[Block, list[int]]:
        """Return the block with its L1-accepted events, and the state that the next block starts from."""
        began = time.perf_counter()
        result = self._emulator.process(block.events, None if state is None else np.array(state, dtype=np.int64))
        if block.notes.get(LOST):
            return self._lost(block, result)
        latency_us = (time.perf_counter() - began) * 1e6 / max(1, block.n_events)
        accepted = result.outcome == Outcome.KEPT
        kept = np.flatnonzero(accepted)
        tables = {
            "all.outcome": result.outcome,
            "all.l1_words": result.psnm,
            "all.l1_raw_words": result.ftdl,
            "all.process": block.events["process"],
            "all.weight": block.events["weight"],
            "kept.l1": result.psnm[kept],
            "kept.l1_raw": result.ftdl[kept],
            "kept.l1_malformed": result.malformed[kept],
            "kept.l1_latency_us": np.full(kept.size, latency_us, dtype=np.float32),
            "kept.section": (block.events["time_ns"][kept] // self._section_ns).astype(np.uint32),
        }
        notes = block.notes | {"sections": self._sections(block, result)}
        return _replace(block, block.events.take(kept), tables, notes), [int(number) for number in result.state]

    def _lost(self, block: Block, nothing: L1Result) -> tuple[Block, list[int]]:
        """Return a block whose collisions nobody could take: what they were is not known, so they weigh nothing."""
        n = block.n_events
        words = np.zeros((n, nothing.psnm.shape[1]), dtype=nothing.psnm.dtype)
        tables = {
            "all.outcome": np.full(n, Outcome.L1_DEAD_BUSY, dtype=nothing.outcome.dtype),
            "all.l1_words": words,
            "all.l1_raw_words": words,
            "all.process": np.zeros(n, dtype=block.events["process"].dtype),
            "all.weight": np.zeros(n, dtype=block.events["weight"].dtype),
            "kept.l1": nothing.psnm,
            "kept.l1_raw": nothing.ftdl,
            "kept.l1_malformed": nothing.malformed,
            "kept.l1_latency_us": np.zeros(0, dtype=np.float32),
            "kept.section": np.zeros(0, dtype=np.uint32),
        }
        interval = block.notes["begin_ns"], block.notes["end_ns"]
        section, generated, dead_ns = busy_time(n, interval=interval, section_ns=self._section_ns)
        empty = np.zeros_like(dead_ns)
        columns = {"generated": generated, "l1_accepted": empty, **{f"dead_ns_{cause}": empty for cause in CAUSES}}
        sections = {"section": section, **columns, "dead_ns_busy": dead_ns}
        notes = {name: note for name, note in block.notes.items() if name != LOST}
        notes["sections"] = {name: column.tolist() for name, column in sections.items()}
        return _replace(block, block.events, tables, notes), [int(number) for number in nothing.state]

    def _sections(self, block: Block, result: L1Result) -> dict[str, list[int]]:
        dead_in, dead = dead_time(
            result.blind,
            self._emulator.windows,
            self._injections,
            interval=(block.notes["begin_ns"], block.notes["end_ns"]),
            section_ns=self._section_ns,
            time_ns=block.events["time_ns"],
            vetoed=result.vetoed,
        )
        section = block.events["time_ns"] // self._section_ns
        numbers = np.union1d(section, dead_in)
        columns = {"generated": section, "l1_accepted": section[result.outcome == Outcome.KEPT]}
        rows = {
            name: np.bincount(np.searchsorted(numbers, each), minlength=numbers.size) for name, each in columns.items()
        }
        for cause in (*CAUSES, "busy"):
            rows[f"dead_ns_{cause}"] = np.zeros(numbers.size, dtype=np.int64)
            rows[f"dead_ns_{cause}"][np.searchsorted(numbers, dead_in)] = dead.get(cause, 0)
        return {"section": numbers.tolist(), **{name: values.tolist() for name, values in rows.items()}}


class HltStage:
    """The HLT on blocks of L1-accepted events."""

    def __init__(self, meter: Meter, l1_names: Sequence[str]):
        self._meter, self._l1_names = meter, l1_names

    def __call__(self, block: Block) -> Block:
        """Return the block with its HLT-accepted events."""
        l1 = l1_bits(block.tables["kept.l1"], block.tables["kept.l1_raw"], self._l1_names)
        # What cannot be is never thrown away unseen: events that L1 found malformed are kept whatever the lines say.
        measured = self._meter.process(block.events, l1, block.tables["kept.l1_malformed"])
        result = measured.result
        outcome = np.array(block.tables["all.outcome"])
        outcome[np.flatnonzero(outcome == Outcome.KEPT)[~result.accept]] = Outcome.HLT_REJECTED
        kept = np.flatnonzero(result.accept)
        tables = {name: table[kept] if name.startswith("kept.") else table for name, table in block.tables.items()}
        tables |= {
            "all.outcome": outcome,
            "kept.hlt": result.prescaled[kept],
            "kept.hlt_raw": result.raw[kept],
            "kept.hlt_latency_us": np.full(kept.size, measured.block_us, dtype=np.float32),
            "kept.hlt_event_latency_us": measured.event_us[kept],
            "kept.hlt_over_cap": result.over_cap[kept],
            "kept.hlt_over_budget": result.over_budget[kept],
        }
        return _replace(block, block.events.take(kept), tables, block.notes | {"hlt": measured.note})


def l1_bits(prescaled: Array, raw: Array, names: Sequence[str]) -> dict[str, Array]:
    """Return the L1 bits that the HLT looks at, (N,) bool by name, from the (N, W) words of the L1 lines ``names``."""
    bits = {}
    for name in L1_BITS:
        line = name.removeprefix("raw_")
        if line in names:
            bits[name] = flags_of(prescaled if name == line else raw, names.index(line))
    return bits


def _replace(block: Block, events: EventBatch, tables: dict[str, Array], notes: dict[str, Any]) -> Block:
    return Block(block.number, block.first_event, block.n_events, events, tables, notes)
