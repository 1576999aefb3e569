"""What the chain costs: CPU time per event of each stage, one thread, beside a reference measured in the same run.

``.venv/bin/python -m benchmarks.chain [--json FILE]``. The reference is numpy sorting a million random doubles: it
says how fast this machine is at this moment, and the ratio holds where the times do not. No stream here: the functions
of the stages are called one after the other on the blocks of the demo, as its processes would.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import chain
from daq.run_directory import EVENTS, TRIGGER_WORDS
from daq.source.mix import MixSource
from daq.spool import write_part
from daq.stream.wire.codec import Block, Codec

BLOCKS, ROUNDS = 48, 5


def cpu_seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the CPU time of one call, and its result."""
    begin = time.process_time()
    result = work()
    return time.process_time() - begin, result


def reference() -> float:
    """Return the CPU time of the reference [s]."""
    values = np.random.default_rng(1).random(1_000_000)
    return min(cpu_seconds(lambda: np.sort(values))[0] for _ in range(3))


def one_round(settings: chain.RunSettings, directory: Path) -> dict[str, tuple[float, int]]:
    """Return {stage: (CPU seconds, events that it worked on)} for the blocks of a run."""
    composed, source = chain.Chain.of(settings), MixSource(settings)
    run = chain.run_file(settings, source)
    make, l1, hlt = chain.BlockMaker(source, run), composed.l1_stage(), composed.hlt_stage()
    codec, state = Codec(run=settings.run, menu_hash=run.menu_hash), None
    costs: dict[str, tuple[float, int]] = {}

    def book(stage: str, work: Callable[[], Any], events: int) -> Any:
        seconds, result = cpu_seconds(work)
        before = costs.get(stage, (0.0, 0))
        costs[stage] = before[0] + seconds, before[1] + events
        return result

    def hop(block: Block) -> Block:
        def there_and_back() -> Block:
            encoded = codec.encode(block)
            return codec.decode((*encoded.frames, encoded.schema), peer="benchmark")

        result: Block = book("codec, both ends, a hop", there_and_back, len(block.events))
        return result

    done = []
    for number in range(run.n_blocks):
        block = hop(book("source", lambda n=number: make(n), run.block_range(number)[1]))
        block, state = book("L1", lambda b=block, s=state: l1(b, s), block.n_events)
        block = hop(block)
        done.append(hop(book("HLT, of L1-accepted", lambda b=block: hlt(b), len(block.events))))
    kept = sum(len(block.events) for block in done)
    book("spool, of kept, with fsync", lambda: write_part(directory, done, run.bit_names), kept)
    return costs


def main() -> None:
    """Print the table; write it as JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the table here")
    target = parser.parse_args().json
    chain.warm_up()
    settings = chain.load_run(chain.ROOT / "configs" / "runs" / "demo.toml", events=BLOCKS * 1024)
    rounds, references = [], []
    with tempfile.TemporaryDirectory() as folder:
        for name in (EVENTS, TRIGGER_WORDS):
            (Path(folder) / name).mkdir()
        one_round(settings, Path(folder))  # the first round pays for pages and caches
        for _ in range(ROUNDS):
            references.append(reference())
            rounds.append(one_round(settings, Path(folder)))
    sort_ns = statistics.median(references) * 1e3  # per element of the million
    table = []
    for stage in rounds[0]:
        costs = [1e6 * costs[stage][0] / costs[stage][1] for costs in rounds]
        events = rounds[0][stage][1]
        table.append(
            {
                "stage": stage,
                "events": events,
                "cpu_us_per_event": statistics.median(costs),
                "min": min(costs),
                "max": max(costs),
                "ratio_to_sorting_one_number": 1e3 * statistics.median(costs) / sort_ns,
            }
        )
    total = sum(row["cpu_us_per_event"] * row["events"] for row in table) / (BLOCKS * 1024)
    print(f"{'stage':28} {'events':>7} {'CPU us/event':>13} {'min':>6} {'max':>6} {'x sort':>7}")
    for row in table:
        print(
            f"{row['stage']:28} {row['events']:7d} {row['cpu_us_per_event']:13.2f} {row['min']:6.2f} {row['max']:6.2f} "
            f"{row['ratio_to_sorting_one_number']:7.0f}"
        )
    print(f"all stages: {total:.1f} us of CPU a generated event; sorting: {sort_ns:.0f} ns a number")
    if target is not None:
        record = {"rounds": ROUNDS, "sort_ns_per_number": sort_ns, "cpu_us_per_generated_event": total, "stages": table}
        target.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
