"""A toy run: a source and two stages that are quick, deterministic and simple enough to be predicted."""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from daq.event import EventBatch, Outcome
from daq.run_directory import RunFile
from daq.settings import HltSettings, L1Settings, RunSettings, StreamSettings
from daq.spool import Manifest
from daq.stream import loops
from daq.stream.loops import run_ordered_stage, run_source, run_spool, run_stage
from daq.stream.node import Node, Place
from daq.stream.supervision.nursery import serve
from daq.stream.supervision.supervisor import supervise
from daq.stream.wire.codec import Block, Encoded
from daq.stream.wire.contract import LOST
from daq.stream.wire.transport import Inlet

ROOT = Path(__file__).resolve().parents[3]
BLOCK_NS = 10_000_000
WORK_S = float(os.environ.get("TOY_WORK_S", "0.002"))  # what a block costs in L1: long enough to be killed in mid-run
OBJECTS = int(os.environ.get("TOY_OBJECTS", "2"))


def toy_run(n_events: int = 12_000, *, workers: int = 2, **stream: float) -> RunFile:
    """Return the run.json of a toy run."""
    quick = {"block_events": 64, "blocks_per_part": 4, "window_blocks": 16, "lease_s": 20.0, "status_s": 0.05}
    settings = RunSettings(
        name="toy",
        events=n_events,
        workers=workers,
        l1=L1Settings(menu="toy"),
        hlt=HltSettings(menu="toy"),
        stream=StreamSettings(**{**quick, **stream}),
    )
    return RunFile(settings=settings, n_events=n_events, menu_hash=0xD0D0, bit_names={"l1": ("even", "third")})


class ToyMaker:
    """The source of a toy run."""

    def __init__(self, run: RunFile):
        self.run = run

    def interval_ns(self, number: int) -> tuple[int, int]:
        """Return the time that a block stands for."""
        return number * BLOCK_NS, (number + 1) * BLOCK_NS

    def __call__(self, number: int) -> Block:
        """Return a block."""
        return make_block(self.run, number)

    def lost(self, number: int) -> Block:
        """Return a block without its events."""
        block = self(number)
        return replace(block, events=EventBatch(0, {}), notes={**block.notes, LOST: True})


def make_block(run: RunFile, number: int) -> Block:
    """Return events that follow from their numbers."""
    first, count = run.block_range(number)
    event = np.arange(first, first + count, dtype=np.uint64)
    offsets = np.arange(count + 1, dtype=np.int32) * OBJECTS
    energy = np.repeat(event, OBJECTS).astype(np.float32) * 0.5
    arrays = {
        "run": np.full(count, run.settings.run),
        "event": event,
        "time_ns": event * 1000,
        "clusters.offsets": offsets,
        "clusters.energy_gev": energy,
    }
    notes = {"begin_ns": number * BLOCK_NS, "end_ns": (number + 1) * BLOCK_NS}
    return Block(number, first, count, EventBatch(count, arrays), notes=notes)


def l1(block: Block, before: list[int] | None) -> tuple[Block, list[int]]:
    """Accept even events and those divisible by 3; every 7th accept of the *run* is lost in dead time (the state)."""
    if block.notes.get(LOST):
        outcome = np.full(block.n_events, Outcome.L1_DEAD_BUSY, dtype=np.uint8)
        tables = {
            "all.outcome": outcome,
            "all.l1_words": np.zeros((outcome.size, 1), dtype=np.uint64),
            "kept.l1": np.zeros((0, 1), dtype=np.uint64),
        }
        sections = {"section": [0], "generated": [block.n_events], "dead_ns_buffer": [0], "dead_ns_busy": [BLOCK_NS]}
        return replace(block, tables=tables, notes={**block.notes, "sections": sections}), before or [0]
    time.sleep(WORK_S)
    event = block.events["event"]
    bits = (event % 2 == 0).astype(np.uint64) | (event % 3 == 0).astype(np.uint64) << np.uint64(1)
    accepted = bits != 0
    count = np.cumsum(accepted) + (before[0] if before else 0)
    outcome = np.where(accepted, Outcome.KEPT, Outcome.L1_REJECTED).astype(np.uint8)
    outcome[accepted & (count % 7 == 0)] = Outcome.L1_DEAD_BUFFER
    kept = outcome == Outcome.KEPT
    tables = {"all.outcome": outcome, "all.l1_words": bits[:, None], "kept.l1": bits[kept][:, None]}
    dead_ns = int((outcome == Outcome.L1_DEAD_BUFFER).sum()) * 1000
    sections = {"section": [0], "generated": [block.n_events], "dead_ns_buffer": [dead_ns], "dead_ns_busy": [0]}
    notes = {**block.notes, "sections": sections}
    return replace(block, events=block.events.take(kept), tables=tables, notes=notes), [int(count[-1])]


def hlt(block: Block) -> Block:
    """Keep events divisible by 4; a block that holds the event TOY_POISON kills the process."""
    event = block.events["event"]
    if "TOY_POISON" in os.environ and int(os.environ["TOY_POISON"]) in event:
        os._exit(1)
    kept = event % 4 == 0
    outcome = block.tables["all.outcome"].copy()
    outcome[(event[~kept] - np.uint64(block.first_event)).astype(np.int64)] = Outcome.HLT_REJECTED
    tables = {
        "all.outcome": outcome,
        "all.l1_words": block.tables["all.l1_words"],
        "kept.l1": block.tables["kept.l1"][kept],
        "kept.quarter": (event[kept] // 4).astype(np.float32),
    }
    return replace(block, events=block.events.take(kept), tables=tables)


def damage_first_copy(node: Node, number: int) -> None:
    """Let the process send a wrong checksum with a block, the first time."""
    encode = node.codec.encode

    def damaged(block: Block) -> Encoded:
        encoded = encode(block)
        if (block.number, block.attempt) != (number, 0):
            return encoded
        return encoded._replace(frames=(*encoded.frames[:2], bytes(8)))

    node.codec.encode = damaged


def die_at(point: str, marker: Path) -> None:
    """Let the process die by SIGKILL the first time that it comes to a point; a marker tells those who come after."""

    def dying(function: Any, *, after: bool) -> Any:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            result = function(*arguments, **options) if after else None
            if not marker.exists() and not any(isinstance(a, Path) and "block=00000000" in a.name for a in arguments):
                marker.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return result if after else function(*arguments, **options)

        return wrapped

    match point:
        case "half a file":
            os.fsync = dying(os.fsync, after=False)
        case "file flushed, not in its place":
            os.fsync = dying(os.fsync, after=True)
        case "part in its place, not in the manifest":
            Manifest.append = dying(Manifest.append, after=False)  # type: ignore[method-assign]
        case "part in the manifest, not told":
            Manifest.append = dying(Manifest.append, after=True)  # type: ignore[method-assign]
        case "part told":
            loops.Spool._tell = dying(loops.Spool._tell, after=True)  # type: ignore[method-assign]
        case "block made, not sent":
            ToyMaker.__call__ = dying(ToyMaker.__call__, after=True)  # type: ignore[method-assign]
        case "block taken, not passed on":
            Inlet.finish = dying(Inlet.finish, after=False)  # type: ignore[method-assign]
        case "block passed on":
            Inlet.finish = dying(Inlet.finish, after=True)  # type: ignore[method-assign]
        case _:
            raise ValueError(point)


def fail_while(marker: Path) -> None:
    """Let nothing be flushed to disk while a file exists."""
    flush = os.fsync

    def fsync(fd: int) -> None:
        if marker.exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        flush(fd)

    os.fsync = fsync


def run_node(place: Place) -> None:
    """Be one process of a toy run."""
    node = Node(place)
    role, _, point = os.environ.get("TOY_DIE", "").partition(":")
    if place.role == role:
        die_at(point, place.run_directory / "died")
    if place.role == "spool" and "TOY_DISK" in os.environ:
        fail_while(Path(os.environ["TOY_DISK"]))
    if os.environ.get("TOY_DAMAGE") == place.role:
        damage_first_copy(node, 10)
    if place.role == "source":
        run_source(node, ToyMaker(node.run))
    elif place.role == "l1":
        run_ordered_stage(node, l1)
    elif place.role == "hlt":
        run_stage(node, hlt)
    else:
        run_spool(node)


def delivered_fb(begin_ns: int, end_ns: int) -> float:
    """Return the luminosity of the toy collider."""
    return (end_ns - begin_ns) * 1e-12


def command(call: str) -> list[str]:
    """Return the command of a fresh interpreter that calls a function of this file."""
    return [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); from {__name__} import *; {call}"]


def nursery() -> None:
    """Be the nursery of a toy run."""
    serve(run_node, warm_up=lambda: hlt(l1(make_block(toy_run(), 0), None)[0]))


def carry_through(directory: Path, run: RunFile, **options: Any) -> dict[str, Any]:
    """Carry a toy run through and return its summary."""
    return supervise(directory, run, nursery_command=command("nursery()"), delivered_fb=delivered_fb, **options)
