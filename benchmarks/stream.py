"""What the stream carries: events a second end to end, CPU of each stage, memory, latency, beside a bare transfer.

``.venv/bin/python -m benchmarks.stream [--events N] [--json FILE] [--only replay|live|pace|growth|workers]``

End to end means: source, L1, HLT, spool as processes of their own, every part flushed to disk before its blocks are
forgotten, /metrics and status on, the standard mix with beam background (configs/runs/standard.toml).

* *replayed*: the source takes prepared blocks, renumbers them and sends them; nothing is generated.
* *live*: the source generates.
* *bare pyzmq*: one process sends the same bodies to another one, which looks at nothing. The ratio to it, and the CPU
  time an event, hold where the rates do not: other work on the machine takes from all of them alike.
* *ceiling*: the cores divided by the CPU time that all processes spent on an event: what could be reached if no core
  ever waited.
* *latency* at a real pace of 30,000 collisions a second, in blocks of 256: from the last collision of a block (and from
  each collision) to the decision of the HLT on it.

The load average and the time of sorting a number (numpy, a million of them; 11 ns on an idle core here) stand beside
the figures.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import zmq

import chain
from daq.run_directory import RunFile, read_run
from daq.settings import RunSettings
from daq.source.mix import MixSource
from daq.stream.loops import run_ordered_stage, run_source, run_spool, run_stage
from daq.stream.node import Node, Place
from daq.stream.supervision.nursery import serve
from daq.stream.supervision.supervisor import supervise
from daq.stream.wire.codec import Block, Codec, Encoded, as_received

PREPARED_EVENTS = 262_144
CONFIG = chain.ROOT / "configs" / "runs" / "standard.toml"
_LATENCIES = "latencies.f8"
_MADE = "made_ns"


# ---- the processes of a run that is measured


class Replayed:
    """The source of prepared blocks, over and over, with the numbers and times of the blocks of the run."""

    def __init__(self, prepared: list[Block], run: RunFile):
        self._prepared, self._run = prepared, run
        self._turn_ns = prepared[-1].notes["end_ns"]

    def interval_ns(self, number: int) -> tuple[int, int]:
        """Return the time that a block stands for [ns]."""
        turn, place = divmod(number, len(self._prepared))
        notes = self._prepared[place].notes
        return notes["begin_ns"] + turn * self._turn_ns, notes["end_ns"] + turn * self._turn_ns

    def __call__(self, number: int) -> Block:
        """Return a block of the run."""
        turn, place = divmod(number, len(self._prepared))
        block, (first, count) = self._prepared[place], self._run.block_range(number)
        begin_ns, end_ns = self.interval_ns(number)
        events = block.events if count == block.n_events else block.events.take(np.arange(count))
        numbers = np.arange(first, first + count, dtype=np.uint64)
        events = events.replaced({"event": numbers, "time_ns": events["time_ns"] + turn * self._turn_ns})
        return Block(number, first, count, events, notes={"begin_ns": begin_ns, "end_ns": end_ns})

    def lost(self, number: int) -> Block:
        """Return a block that came too late."""
        raise RuntimeError(f"block {number} is late, in a run at full speed")


class Stamped:
    """Blocks with the moment at which their last collision happened: when the source could first have sent them."""

    def __init__(self, maker: chain.BlockMaker):
        self.interval_ns, self.lost, self._maker = maker.interval_ns, maker.lost, maker

    def __call__(self, number: int) -> Block:
        """Return a block of the run."""
        made_ns = time.monotonic_ns()
        block = self._maker(number)
        return replace(block, notes=block.notes | {_MADE: made_ns})


def prepare(settings: RunSettings) -> list[Block]:
    """Return blocks as they come off the wire."""
    few = settings.model_copy(update={"events": PREPARED_EVENTS})
    source = MixSource(few)
    run = chain.run_file(few, source)
    make = chain.BlockMaker(source, run)
    return [as_received(make(number)) for number in range(run.n_blocks)]


def nursery(kind: str) -> None:
    """Be the nursery of a measured run: the prepared blocks lie in pages that all processes share."""
    prepared: list[Block] = []

    def warm_up() -> None:
        chain.warm_up()
        if kind == "replay":
            prepared.extend(prepare(chain.load_run(CONFIG)))

    def run_node(place: Place) -> None:
        from monitors.exporter import serve as serve_metrics

        node = Node(place)
        node.metrics_url = serve_metrics(node.statistics, place.role, place.slot)
        composed = chain.Chain.of(node.run.settings)
        match place.role:
            case "source" if kind == "replay":
                run_source(node, Replayed(prepared, node.run))
            case "source":
                run_source(node, Stamped(chain.BlockMaker(MixSource(node.run.settings), node.run)))
            case "l1":
                run_ordered_stage(node, composed.l1_stage())
            case "hlt":
                run_stage(node, _timed(composed.hlt_stage(), place) if kind == "pace" else composed.hlt_stage())
            case "spool":
                run_spool(node)

    serve(run_node, warm_up)


def _timed(stage: chain.HltStage, place: Place) -> Any:
    """Return the stage, which notes for each block when it was decided: (number, seconds since the last collision)."""
    path = place.run_directory / f"{place.name}.{_LATENCIES}"

    def timed(block: Block) -> Block:
        result = stage(block)
        if _MADE not in block.notes:  # it came too late: nothing was decided on
            return result
        row = np.array([block.number, (time.monotonic_ns() - block.notes[_MADE]) * 1e-9])
        with path.open("ab") as file:
            file.write(row.tobytes())
        return result

    return timed


# ---- measuring


def sort_ns() -> float:
    """Return what sorting a number costs now [ns of CPU]: the best of three."""
    values = np.random.default_rng(1).random(1_000_000)

    def once() -> float:
        begin = time.process_time()
        np.sort(values)
        return (time.process_time() - begin) * 1e3

    return min(once() for _ in range(3))


def run_once(kind: str, events: int, *, workers: int = 1, **stream: Any) -> dict[str, Any]:
    """Carry a run through and return what it cost."""
    settings = chain.load_run(CONFIG, events=events, workers=workers)
    settings = settings.model_copy(update={"stream": settings.stream.model_copy(update=stream)})
    source = MixSource(settings)
    peak_mb: dict[str, float] = {}

    def watch(status: dict[str, Any]) -> None:
        for process in status["processes"]:
            if process["pid"]:
                peak_mb[process["role"]] = max(peak_mb.get(process["role"], 0.0), _resident_mb(process["pid"]))

    command = [sys.executable, "-c", f"from benchmarks.stream import nursery; nursery({kind!r})"]
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder:
        directory = Path(folder) / "run"
        begin_sort = sort_ns()
        summary = supervise(
            directory,
            chain.run_file(settings, source),
            nursery_command=command,
            delivered_fb=source.delivered_fb,
            on_status=watch,
        )
        latencies = _latencies(directory, read_run(directory), source) if kind == "pace" else None
    cpu_us = {role: 1e6 * seconds / events for role, seconds in summary["cpu_s"].items()}
    total = sum(cpu_us.values())
    return {
        "kind": kind,
        "events": events,
        "workers": workers,
        "events_per_s": summary["events_per_s"],
        "cpu_us_per_event": cpu_us,
        "cpu_us_total": total,
        "ceiling_per_s": os.cpu_count() * 1e6 / total if total else 0.0,
        "slowest_stage": summary["slowest_stage"],
        "spooled": summary["spooled"],
        "lost_blocks": summary["lost_blocks"],
        "resident_mb": peak_mb,
        "load": os.getloadavg()[0],
        "sort_ns": 0.5 * (begin_sort + sort_ns()),
        "latency_ms": latencies,
    }


def _resident_mb(pid: int) -> float:
    """Return the most memory that a process ever had, shared pages included [MB]; 0 if it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return next((int(line.split()[1]) / 1e3 for line in lines if line.startswith("VmHWM")), 0.0)


def _latencies(directory: Path, run: RunFile, source: MixSource) -> dict[str, dict[str, float]]:
    """Return quantiles [ms] of the time to the decision, from the last collision of a block and from each."""
    rows = np.concatenate([np.fromfile(path).reshape(-1, 2) for path in directory.glob(f"*.{_LATENCIES}")])
    blocks, seconds = rows[:, 0].astype(int), rows[:, 1]
    waits = []
    for number, after_s in zip(blocks, seconds, strict=True):
        first, count = run.block_range(number)
        _, end_ns = source.interval_ns(first, count)
        waits.append((end_ns - source.beam.stamp(first, count)["time_ns"]) * 1e-9 / _speed(run) + after_s)
    return {
        "block": _quantiles(seconds),
        "collision": _quantiles(np.concatenate(waits)),
    }


def _speed(run: RunFile) -> float:
    return run.settings.stream.speed or 1.0


def _quantiles(seconds: np.ndarray[Any, Any]) -> dict[str, float]:
    return {f"p{q:g}": float(1e3 * np.quantile(seconds, q / 100)) for q in (50, 99, 99.9)}


def bare_transfer(seconds: float = 3.0) -> dict[str, float]:
    """Return events a second, and CPU of both ends an event, of the same bodies through a bare pair of sockets."""
    settings = chain.load_run(CONFIG)
    codec = Codec(run=settings.run, menu_hash=0)
    encoded = [codec.encode(block) for block in prepare(settings)[:64]]
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.Process(target=_drain, args=(f"ipc://{folder}/bare", theirs))
        process.start()
        context: zmq.Context[Any] = zmq.Context()
        socket = context.socket(zmq.PUSH)
        socket.setsockopt(zmq.SNDHWM, 16)
        socket.bind(f"ipc://{folder}/bare")
        ours.recv()
        cpu, begin, blocks = time.process_time(), time.monotonic(), 0
        while time.monotonic() - begin < seconds:
            _send(socket, encoded[blocks % len(encoded)])
            blocks += 1
        socket.send_multipart([b""])
        received_cpu = ours.recv()
        wall = time.monotonic() - begin
        cpu = time.process_time() - cpu
        socket.close()
        context.term()
        process.join()
    events = blocks * settings.stream.block_events
    return {"events_per_s": events / wall, "cpu_us_per_event": 1e6 * (cpu + received_cpu) / events}


def _send(socket: zmq.Socket[Any], encoded: Encoded) -> None:
    socket.send_multipart(list(encoded.frames), copy=False)


def _drain(endpoint: str, pipe: Any) -> None:
    """Be the other end: receive until an empty message, and report the CPU time."""
    with zmq.Context() as context, context.socket(zmq.PULL) as socket:
        socket.setsockopt(zmq.RCVHWM, 16)
        socket.connect(endpoint)
        pipe.send(None)
        begin = time.process_time()
        while len(socket.recv_multipart(copy=False)) > 1:
            pass
        pipe.send(time.process_time() - begin)


# ---- the table


def _row(label: str, found: dict[str, Any]) -> str:
    cpu = "  ".join(f"{role} {us:.2f}" for role, us in found["cpu_us_per_event"].items())
    return (
        f"{label:26} {found['events_per_s']:9,.0f}/s  CPU {found['cpu_us_total']:5.2f} us = {cpu}; "
        f"ceiling {found['ceiling_per_s']:9,.0f}/s; slowest {found['slowest_stage']}; "
        f"most memory {max(found['resident_mb'].values()):.0f} MB; load {found['load']:.1f}, "
        f"sort {found['sort_ns']:.0f} ns"
    )


def main() -> None:
    """Print the table; write it as JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=2_000_000, help="of the replayed and of the live run")
    parser.add_argument("--only", choices=("replay", "live", "pace", "growth", "workers"), action="append")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    wanted = options.only or ["replay", "live", "pace", "growth", "workers"]
    bare = bare_transfer()
    print(f"{'bare pyzmq, same bodies':26} {bare['events_per_s']:9,.0f}/s  CPU {bare['cpu_us_per_event']:5.2f} us")
    found: list[dict[str, Any]] = []

    def measure(label: str, kind: str, events: int, **options: Any) -> dict[str, Any]:
        result = run_once(kind, events, **options) | {"label": label}
        result["of_bare"] = result["events_per_s"] / bare["events_per_s"]
        found.append(result)
        print(f"{_row(label, result)}; {result['of_bare']:.2f} of bare", flush=True)
        return result

    if "replay" in wanted:
        measure("replayed", "replay", options.events)
    if "live" in wanted:
        measure("live", "live", options.events)
    if "pace" in wanted:
        settings = chain.load_run(CONFIG)
        rate_hz = MixSource(settings).beam.rate_hz
        small = {"block_events": 256, "blocks_per_part": 64, "window_blocks": 256}
        paced = measure("30 kHz, real pace", "pace", 300_000, pace=f"x{30e3 / rate_hz:.9g}", **small)
        for what, quantiles in paced["latency_ms"].items():
            print(f"  from {what} to decision: " + ", ".join(f"{q} {ms:.1f} ms" for q, ms in quantiles.items()))
    if "growth" in wanted:
        for events in (100_000, 1_000_000, 10_000_000):
            measure(f"replayed, {events:,}", "replay", events)
    if "workers" in wanted:
        for workers in (1, 2, 3):
            measure(f"replayed, {workers} HLT", "replay", options.events, workers=workers)
    if options.json is not None:
        options.json.write_text(json.dumps({"bare": bare, "runs": found}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
