"""What counting the lines costs `darkline rates`: CPU time per event, beside a reference measured in the same run.

``.venv/bin/python -m benchmarks.rates [--menu MENU] [--json FILE]``. Counted are the decisions of a menu on the
standard mix, and 175 lines of which each fires at random in 1 event of 16, so that no line is empty: the most that
counting can cost with equal weights. The reference is numpy sorting a million random doubles.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np

import chain
from benchmarks.chain import cpu_seconds, reference
from daq.event import Array
from daq.source.mix import MixSource
from triggers.bits import planes_of_flags
from triggers.ecl.cells import EclTable
from triggers.gdl.menu import L1Menu
from triggers.inputs import input_planes
from triggers.lines import Decisions, MenuLines
from triggers.rates import Differences, LineCounts

EVENTS, ROUNDS, LINES, PROCESSES = 8192, 21, 175, 7


def costs(work: Any, rounds: int = ROUNDS) -> float:
    """Return the median CPU time of one event [ns]; the first call pays for compilation."""
    work()
    return 1e9 * statistics.median(cpu_seconds(work)[0] for _ in range(rounds)) / EVENTS


def counting(what: str, decisions: Decisions, processes: Array, weight: Array) -> list[dict[str, Any]]:
    """Return the rows of the table for the decisions of one menu."""
    names = [str(k) for k in range(decisions.raw.shape[0])]
    counts, differences = LineCounts(len(names), PROCESSES), Differences(names, names)
    other = Decisions(decisions.raw, np.roll(decisions.accepted, 1, axis=1))
    return [
        {"what": f"{what}: counts", "ns": costs(lambda: counts.add(decisions, processes, weight))},
        {"what": f"{what}: difference", "ns": costs(lambda: differences.add(decisions, other, weight))},
    ]


def main() -> None:
    """Print the table; write it as JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--menu", default="physics", help="menu on the standard mix")
    parser.add_argument("--json", type=Path, help="also write the table here")
    arguments = parser.parse_args()
    sort_ns = 1e3 * reference()
    settings = chain.load_run(chain.ROOT / "configs" / "runs" / "demo.toml", events=EVENTS)
    source, lines = MixSource(settings), MenuLines(L1Menu.load(arguments.menu), seed=1)
    batch, table = source.block(0, EVENTS), EclTable.for_beams(settings.beam)
    inputs, _ = input_planes(batch, batch.size, table)
    decided = lines.decide(inputs, batch["run"], batch["event"])
    processes = planes_of_flags(batch["process"] == np.arange(PROCESSES)[:, None])
    rng = np.random.default_rng(1)
    fires = planes_of_flags(rng.random((LINES, EVENTS)) < 1 / 16)
    of_menu = f"{lines.menu.name}, {len(lines.menu.lines)} lines"
    rows = [
        {"what": "source", "ns": costs(lambda: source.block(0, EVENTS), 3)},
        {"what": "input bits", "ns": costs(lambda: input_planes(batch, batch.size, table), 3)},
        {"what": f"{of_menu}: decisions", "ns": costs(lambda: lines.decide(inputs, batch["run"], batch["event"]))},
        *counting(of_menu, decided, processes, np.ones(EVENTS)),
        *counting(f"random, {LINES} lines", Decisions(fires, fires), processes, np.ones(EVENTS)),
        *counting(f"random, {LINES} lines, weighted", Decisions(fires, fires), processes, rng.random(EVENTS)),
    ]
    print(f"{'':45} {'ns/event':>9} {'x sort':>7}")
    for row in rows:
        row["ratio_to_sorting_one_number"] = row["ns"] / sort_ns
        print(f"{row['what']:45} {row['ns']:9.1f} {row['ratio_to_sorting_one_number']:7.1f}")
    print(f"sorting: {sort_ns:.1f} ns a number")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({"sort_ns": sort_ns, "rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
