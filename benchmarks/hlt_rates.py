"""What an HLT menu sends out: rates of its lines on the mix of a run, for each of its prescale columns.

``.venv/bin/python -m benchmarks.hlt_rates MENU [--config RUN] [--events N] [--seed S] [--json FILE]``. The collisions
of the run, without its signals, go through its L1 once, and the accepted ones through the HLT with each column. Rates
are those at the luminosity of the column (of the run, if the menu has no columns); errors are those of the counts, and
dead time is not taken off. Raw: before the prescale. Alone: kept by this line and no other.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

import chain
from daq.source.mix import MixSource
from daq.stream.codec import as_received
from hlt.emulator import HltEmulator, HltResult
from hlt.menu import HltMenu
from triggers.bits import flags_of

KINDS = ("raw", "kept", "alone")


class Counts:
    """Events of a menu in one of its columns, by line."""

    def __init__(self, n_lines: int):
        self.out = 0
        self.lines = np.zeros((len(KINDS), n_lines), dtype=np.int64)

    def add(self, result: HltResult) -> None:
        """Count the events of a block."""
        raw, kept = (
            np.stack([flags_of(words, line) for line in range(self.lines.shape[1])])
            for words in (result.raw, result.prescaled)
        )
        alone = kept & (kept.sum(axis=0) == 1)
        self.lines += np.stack([flags.sum(axis=1) for flags in (raw, kept, alone)])
        self.out += int(result.accept.sum())


def rates(menu: HltMenu, settings: chain.RunSettings) -> dict[str, Any]:
    """Return rates and their errors [Hz] by column, and within it by line."""
    composed, source, beam = chain.Chain.of(settings), MixSource(settings), settings.beam
    run, l1_stage, state, l1_accepted = chain.run_file(settings, source), composed.l1_stage(), None, 0
    make = chain.BlockMaker(source, run)
    columns = {column.name: column.luminosity_cm2_s for column in menu.column} or {None: beam.luminosity_cm2_s}
    emulators = {name: HltEmulator(menu, seed=settings.seed, beam=beam, column=name) for name in columns}
    counts = {name: Counts(len(menu.line)) for name in columns}
    for number in range(run.n_blocks):
        block, state = l1_stage(as_received(make(number)), state)
        l1_accepted += len(block.events)
        bits = chain.l1_bits(block.tables["kept.l1"], block.tables["kept.l1_raw"], composed.l1.line_names)
        for name, emulator in emulators.items():
            counts[name].add(emulator.process(block.events, bits))
    time_s = source.interval_ns(0, run.n_events)[1] / 1e9

    def in_column(name: str | None, luminosity: float) -> dict[str, Any]:
        to_hz = luminosity / beam.luminosity_cm2_s / time_s

        def rate(n: int) -> tuple[float, float]:
            return float(n * to_hz), float(np.sqrt(n) * to_hz)

        lines = {
            line: {"prescale": prescale, **{kind: rate(n) for kind, n in zip(KINDS, numbers, strict=True)}}
            for line, prescale, numbers in zip(menu.line_names, menu.prescales(name), counts[name].lines.T, strict=True)
        }
        return {
            "luminosity_cm2_s": luminosity, "l1": rate(l1_accepted), "out": rate(counts[name].out), "lines": lines
        }  # fmt: skip

    return {"menu": menu.name, "columns": {str(name): in_column(name, value) for name, value in columns.items()}}


def main() -> None:
    """Print the tables; write them as JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("menu", help="name in configs/menus/hlt, or a path")
    parser.add_argument("--config", type=Path, default=chain.ROOT / "configs" / "runs" / "demo.toml")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="also write the tables here")
    asked = parser.parse_args()
    settings = chain.load_run(asked.config, events=asked.events, seed=asked.seed)
    settings = settings.model_copy(update={"source": settings.source.model_copy(update={"signals": ()})})
    record = rates(HltMenu.load(asked.menu), settings)
    for name, column in record["columns"].items():
        l1, out = ("{:.0f} +- {:.0f} Hz".format(*column[kind]) for kind in ("l1", "out"))
        print(f"\ncolumn {name}, {column['luminosity_cm2_s']:.3g} cm-2 s-1: L1 {l1}, out {out}")
        print(f"{'line':32} {'prescale':>8}" + "".join(f" {kind + ' Hz':>16}" for kind in KINDS))
        for line, numbers in column["lines"].items():
            columns = "".join(" {:8.1f} +-{:5.1f}".format(*numbers[kind]) for kind in KINDS)
            print(f"{line:32} {numbers['prescale']:8d}{columns}")
    if asked.json is not None:
        asked.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
