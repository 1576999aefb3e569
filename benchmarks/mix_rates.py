"""What the menus of a run send out on its mix: rates of every L1 and HLT line by process, at one or more luminosities.

``.venv/bin/python -m benchmarks.mix_rates [CONFIG] [--hlt MENU] [--luminosity L ...] [--events N] [--markdown FILE]``.
The collisions of the run, without its signals, are made at each luminosity and go through the chain as in a run; the
prescale columns follow from the luminosity. Rates are per second of the run, so dead time is taken off; their errors
are those of the counts. ``--markdown`` writes the tables of docs/standard-mix.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import chain
from daq.event import Outcome
from daq.jit import Array
from daq.source.mix import MixSource
from daq.stream.wire.codec import as_received
from triggers.bits import flags_of

LUMINOSITIES = (6e34, 6e35)
GROUPS = {"isr_": "isr", "two_photon_": "two_photon"}
"""Processes that share a column of the tables, by the beginning of their names."""


@dataclass(frozen=True, slots=True)
class Level:
    """What one trigger level sends out."""

    name: str
    column: str | None
    prescale: dict[str, int]
    kept: Array
    """(lines, groups): events that the line keeps, after its prescale."""
    out: Array
    """(groups,): events that any line keeps."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Counts of a mix at one luminosity."""

    luminosity_cm2_s: float
    seconds: float
    groups: tuple[str, ...]
    collisions: Array
    """(groups,)."""
    dead: int
    """Events that the L1 lost."""
    levels: tuple[Level, Level]

    def hz(self, count: Any) -> str:
        """Return a rate with its error."""
        rate, error = count / self.seconds, np.sqrt(count) / self.seconds
        digits = 0 if error >= 1 or not count else 1 if error >= 0.1 else 2
        return f"{rate:,.{digits}f} +- {error:,.{digits}f}"

    def whole_hz(self, count: Any) -> str:
        """Return a rate for a table of many: two digits at least, nothing for none."""
        rate = count / self.seconds
        return "" if not count else f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"


def measure(settings: chain.RunSettings, luminosity: float) -> Rates:
    """Count the events of a run at a luminosity."""
    beam = settings.beam.model_copy(update={"luminosity_cm2_s": luminosity})
    settings = settings.model_copy(update={"beam": beam})
    composed, source = chain.Chain.of(settings), MixSource(settings)
    run, l1_stage, hlt_stage, state = chain.run_file(settings, source), composed.l1_stage(), composed.hlt_stage(), None
    make = chain.BlockMaker(source, run)
    names = tuple(
        next((group for prefix, group in GROUPS.items() if name.startswith(prefix)), name)
        for name in source.process_names
    )
    groups = tuple(dict.fromkeys(names))
    group_of = np.array([groups.index(name) for name in names])
    lines = composed.l1.line_names, composed.hlt.line_names
    kept = [np.zeros((len(level), len(groups)), dtype=np.int64) for level in lines]
    out = [np.zeros(len(groups), dtype=np.int64) for _ in lines]
    collisions, dead = np.zeros(len(groups), dtype=np.int64), 0
    for number in range(run.n_blocks):
        block, state = l1_stage(as_received(make(number)), state)
        collisions += np.bincount(group_of[block.tables["all.process"]], minlength=len(groups))
        outcome = block.tables["all.outcome"]
        dead += int(((outcome >= Outcome.L1_DEAD_SPACING) & (outcome <= Outcome.L1_DEAD_INJECTION)).sum())
        for level, table in enumerate(("kept.l1", "kept.hlt")):
            if level == 1:
                block = hlt_stage(block)
            group = group_of[block.events["process"]]
            out[level] += np.bincount(group, minlength=len(groups))
            for line in range(len(lines[level])):
                fired = flags_of(block.tables[table], line)
                kept[level][line] += np.bincount(group[fired], minlength=len(groups))
    begin_ns, end_ns = source.interval_ns(0, run.n_events)
    columns = composed.l1_column, composed.hlt_column
    prescales = composed.l1.prescales(columns[0]), composed.hlt.prescales(columns[1])
    l1, hlt = (
        Level(menu, columns[k], dict(zip(lines[k], prescales[k], strict=True)), kept[k], out[k])
        for k, menu in enumerate((composed.l1.name, composed.hlt.name))
    )
    return Rates(luminosity, (end_ns - begin_ns) * 1e-9, groups, collisions, dead, (l1, hlt))


def summary(rates: Rates) -> Iterator[tuple[str, ...]]:
    """Yield a table of the processes: collisions, L1 and HLT output [Hz]."""
    l1, hlt = rates.levels
    yield "process", "collisions", f"L1 {l1.name}", f"HLT {hlt.name}"
    for place, group in enumerate(rates.groups):
        yield group, *(rates.hz(counts[place]) for counts in (rates.collisions, l1.out, hlt.out))
    yield "all", *(rates.hz(counts.sum()) for counts in (rates.collisions, l1.out, hlt.out))


def matrix(rates: Rates, level: Level) -> Iterator[tuple[str, ...]]:
    """Yield a table of the lines of a level by process [Hz], after prescale."""
    yield "line", "prescale", "all", *rates.groups
    for (line, prescale), counts in zip(level.prescale.items(), level.kept, strict=True):
        yield line, str(prescale), rates.hz(counts.sum()), *(rates.whole_hz(count) for count in counts)


def plain(rows: Sequence[tuple[str, ...]]) -> str:
    """Return a table for a terminal."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = ([cell.rjust(width) for cell, width in zip(row, widths, strict=True)] for row in rows)
    return "\n".join("  ".join([first.strip().ljust(widths[0]), *rest]) for first, *rest in lines)


def markdown(rows: Sequence[tuple[str, ...]]) -> str:
    """Return a table in Markdown."""
    head, *body = ("| " + " | ".join(cell.replace("+-", "±") for cell in row) + " |" for row in rows)
    return "\n".join([head, "| --- |" + " --: |" * (len(rows[0]) - 1), *body])


def tables(rates: Rates, show: Any) -> Iterator[str]:
    """Yield headings and tables."""
    l1, hlt = rates.levels
    events = int(rates.collisions.sum())
    yield f"## At {rates.luminosity_cm2_s:.3g} cm-2 s-1"
    yield (
        f"{events:,} collisions, {rates.seconds:.2f} s; prescale columns {l1.column} (L1) and {hlt.column} (HLT);\n"
        f"{100 * rates.dead / events:.2f} % of the collisions are lost to dead time. Rates in Hz."
    )
    yield show(list(summary(rates)))
    for title, level in (("L1", l1), ("HLT", hlt)):
        yield f"### {title} lines of `{level.name}`, after prescale"
        yield show(list(matrix(rates, level)))


def main() -> None:
    """Print the tables; write them as Markdown if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, nargs="?", default=chain.ROOT / "configs" / "runs" / "standard.toml")
    parser.add_argument("--l1", help="L1 menu, instead of that of the run")
    parser.add_argument("--hlt", help="HLT menu, instead of that of the run")
    parser.add_argument("--luminosity", type=float, nargs="+", default=LUMINOSITIES, help="[cm-2 s-1]")
    parser.add_argument("--events", type=int, default=500_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--markdown", type=Path, help="write the tables here")
    asked = parser.parse_args()
    settings = chain.load_run(asked.config, events=asked.events, seed=asked.seed)
    menus = {
        level: getattr(settings, level).model_copy(update={"menu": menu})
        for level, menu in (("l1", asked.l1), ("hlt", asked.hlt))
        if menu is not None
    }
    source = settings.source.model_copy(update={"signals": ()})
    settings = settings.model_copy(update={"source": source, **menus})
    measured = [measure(settings, luminosity) for luminosity in asked.luminosity]
    for rates in measured:
        print("\n\n".join(tables(rates, plain)) + "\n")
    if asked.markdown is not None:
        text = "\n\n".join(part for rates in measured for part in tables(rates, markdown))
        asked.markdown.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
