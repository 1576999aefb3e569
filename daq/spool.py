"""What is kept: Parquet parts, the manifest that says which of them count, and a reader for both.

A *part* is a fixed range of consecutive blocks. Its kept events become ``events/block=NNNNNNNN.parquet`` (no file if
there are none) and the words of all its events ``trigger_words/block=NNNNNNNN.parquet``, named by the first block.
Names and content depend on the run alone, so a part that is written twice overwrites itself. Each file is written
beside its place, flushed to disk, and renamed; then the manifest gets one line for each block of the part. A part
counts when all its lines are there: what a crash leaves behind is cut off at the next start.
"""

from __future__ import annotations

import errno
import fcntl
import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np
import polars as pl
import pyarrow as pa
import xxhash

from daq.errors import RunError
from daq.event import Array, EventBatch, Outcome
from daq.latency import LatencyNote
from daq.run_directory import EVENTS, MANIFEST, TRIGGER_WORDS, sync_directory, write_durably

OUTCOME_COUNTS: dict[Outcome, str] = {
    outcome: "spooled" if outcome is Outcome.KEPT else outcome.name.lower() for outcome in Outcome
}
"""Outcome -> name of its count in the manifest."""


class BlockRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the manifest: a durable block."""

    block: int
    first_event: int
    n_events: int
    counts: dict[str, int]
    """Events by outcome: l1_rejected, l1_dead_<cause>, hlt_rejected, spooled; their sum is ``n_events``."""
    begin_ns: int
    end_ns: int
    """Time that the block stands for, [begin, end) since run start."""
    l1_state: list[int] | None = None
    """L1 state after the block."""
    sections: dict[str, list[int]] = {}
    """Rows by luminosity section: ``section``, and what L1 counts in it (events, ``dead_ns_<cause>``)."""
    hlt: LatencyNote = {}
    """What the HLT measured; empty where there is none."""
    part: int
    part_blocks: int
    """First block of the part, and how many blocks it has."""
    events_xxh3: str | None
    words_xxh3: str
    """Digests of the two files of the part; None if there is no file because no event was kept."""


class Spoolable(Protocol):
    """What the spool needs of a block; see `daq.stream.wire.codec.Block`."""

    @property
    def number(self) -> int: ...
    @property
    def first_event(self) -> int: ...
    @property
    def n_events(self) -> int: ...
    @property
    def events(self) -> EventBatch: ...
    @property
    def tables(self) -> dict[str, Array]: ...
    @property
    def notes(self) -> dict[str, Any]: ...


def part_path(directory: Path, folder: str, part: int) -> Path:
    """Return where the file of a part lies; ``folder`` is ``events`` or ``trigger_words``."""
    return directory / folder / f"block={part:08d}.parquet"


# ---- writing


def write_part(
    directory: Path, blocks: Sequence[Spoolable], bit_names: Mapping[str, Sequence[str]]
) -> list[BlockRecord]:
    """Make the part of these consecutive blocks durable; return the lines for the manifest, which is not touched.

    Raises
    ------
    RunError
        If the outcomes of a block do not agree with the events that are left of it.
    """
    for block in blocks:
        _check(block)
    part = blocks[0].number
    kept = [block for block in blocks if len(block.events)]
    files: dict[str, bytes] = {TRIGGER_WORDS: _parquet(_trigger_words(blocks))}
    if kept:
        files[EVENTS] = _parquet(event_table(kept, bit_names))
    digests = {folder: xxhash.xxh3_64_hexdigest(content) for folder, content in files.items()}
    for folder, content in files.items():
        write_durably(part_path(directory, folder, part), content)
    return [
        BlockRecord(
            block=block.number,
            first_event=block.first_event,
            n_events=block.n_events,
            counts=_counts(block),
            begin_ns=block.notes["begin_ns"],
            end_ns=block.notes["end_ns"],
            l1_state=block.notes.get("l1_state"),
            sections=block.notes.get("sections", {}),
            hlt=block.notes.get("hlt", {}),
            part=part,
            part_blocks=len(blocks),
            events_xxh3=digests.get(EVENTS),
            words_xxh3=digests[TRIGGER_WORDS],
        )
        for block in blocks
    ]


def _check(block: Spoolable) -> None:
    kept = np.flatnonzero(block.tables["all.outcome"] == Outcome.KEPT)
    if not np.array_equal(block.events["event"], np.uint64(block.first_event) + kept.astype(np.uint64)):
        raise RunError(f"block {block.number}: events do not agree with outcomes ({len(block.events)}, {kept.size})")


def _counts(block: Spoolable) -> dict[str, int]:
    by_outcome = np.bincount(block.tables["all.outcome"], minlength=len(Outcome)).tolist()
    return {name: by_outcome[outcome] for outcome, name in OUTCOME_COUNTS.items()}


def _trigger_words(blocks: Sequence[Spoolable]) -> pa.Table:
    """Return what is kept of every event: one column for each table of all events, or for each word of a row of it."""
    first = blocks[0].first_event
    columns = {
        "event": np.arange(first, first + sum(block.n_events for block in blocks), dtype=np.uint64),
        "outcome": _stacked(blocks, "all.outcome"),
    }
    for name in blocks[0].tables:
        label = name.removeprefix("all.")
        if label == name or label in columns:
            continue
        values = _stacked(blocks, name)
        if values.ndim == 1:
            columns[label] = values
        else:
            columns |= {f"{label.removesuffix('s')}_{i}": np.ascontiguousarray(row) for i, row in enumerate(values.T)}
    return pa.table(columns)


def event_table(blocks: Sequence[Spoolable], bit_names: Mapping[str, Sequence[str]]) -> pa.Table:
    """Return the kept events of blocks as a part holds them: the event model, then one column a kept table or bit."""
    table = EventBatch.concatenate(block.events for block in blocks).to_arrow()
    for name in sorted(blocks[0].tables):
        if not name.startswith("kept."):
            continue
        values, label = _stacked(blocks, name), name.removeprefix("kept.")
        if label in bit_names:
            for column, bit in zip(bit_names[label], _bits(values), strict=False):
                table = table.append_column(f"{label}_{column}", pa.array(bit))
        else:
            table = table.append_column(label, pa.array(values))
    return table


def _stacked(blocks: Iterable[Spoolable], name: str) -> Array:
    return np.concatenate([block.tables[name] for block in blocks])


def _bits(words: Array) -> Iterator[Array]:
    """Yield one bool array for each bit of (N, W) words, bit i of word w being bit 64 w + i of the line."""
    for word in range(words.shape[1]):
        for bit in range(64):
            yield (words[:, word] >> np.uint64(bit)) & np.uint64(1) != 0


def _parquet(table: pa.Table) -> bytes:
    frame = pl.DataFrame(table)
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd", compression_level=1)
    return buffer.getvalue()


def remove_temporaries(directory: Path) -> None:
    """Remove what a killed spool left half written."""
    for folder in (EVENTS, TRIGGER_WORDS):
        for leftover in (directory / folder).glob(".*.tmp"):
            leftover.unlink()


# ---- the manifest


class Manifest:
    """The manifest in the hand of the one spool that may write it.

    Opening waits for a predecessor that still holds it, and cuts off a part whose lines are not all there.
    """

    def __init__(self, directory: Path):
        self._fd = os.open(directory / MANIFEST, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        sync_directory(directory)
        _, self._size = _parse((directory / MANIFEST).read_bytes(), directory / MANIFEST)
        os.ftruncate(self._fd, self._size)

    def append(self, records: Sequence[BlockRecord]) -> None:
        """Add all blocks of a part, durably; raise `OSError` if the disk does not take them all, and add none."""
        lines = b"".join(msgspec.json.encode(record) + b"\n" for record in records)
        try:
            write_all(self._fd, lines)
            os.fsync(self._fd)
        except OSError:
            os.ftruncate(self._fd, self._size)
            raise
        self._size += len(lines)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)


def write_all(fd: int, content: bytes) -> None:
    """Write all bytes in one call; a disk with room for some of them only is full, which is an `OSError`."""
    if os.write(fd, content) != len(content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def read_manifest(directory: Path) -> list[BlockRecord]:
    """Return the durable blocks of a run, by number; empty if there are none yet.

    Raises
    ------
    RunError
        If a line is damaged that is not at the end, or a block stands there twice.
    """
    path = directory / MANIFEST
    records, _ = _parse(path.read_bytes() if path.exists() else b"", path)
    records.sort(key=lambda record: record.block)
    for one, other in pairwise(records):
        if one.block == other.block:
            raise RunError(f"{path}: block {one.block} stands there twice")
    return records


def _parse(content: bytes, path: Path) -> tuple[list[BlockRecord], int]:
    """Return the records of all whole parts, and the bytes that they take."""
    decoder = msgspec.json.Decoder(BlockRecord)
    records: list[BlockRecord] = []
    n_whole = size = position = 0
    lines = content.split(b"\n")[:-1]  # what follows the last newline is torn
    for number, line in enumerate(lines, start=1):
        try:
            records.append(decoder.decode(line))
        except msgspec.MsgspecError as error:
            if number < len(lines):
                raise RunError(f"{path}: line {number}: {error}") from None
            break
        position += len(line) + 1
        if len(records) - n_whole == records[-1].part_blocks:
            n_whole, size = len(records), position
    return records[:n_whole], size


# ---- reading


def event_parts(directory: Path) -> list[Path]:
    """Return the Parquet files of the kept events, in event order; only those that the manifest counts."""
    parts = dict.fromkeys(record.part for record in read_manifest(directory) if record.events_xxh3 is not None)
    return [part_path(directory, EVENTS, part) for part in parts]


def trigger_word_parts(directory: Path) -> list[Path]:
    """Return the Parquet files of the trigger words, in event order; only those that the manifest counts."""
    parts = dict.fromkeys(record.part for record in read_manifest(directory))
    return [part_path(directory, TRIGGER_WORDS, part) for part in parts]
