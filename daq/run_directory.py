"""The directory of a run: what lies where, and who may write into it.

::

    run.json            all that is needed to repeat the run (`RunFile`)
    manifest.jsonl      the ledger: one line for each durable block (daq/spool.py)
    events/             kept events, one Parquet file a part
    trigger_words/      outcome, L1 words, process and weight of every event, one Parquet file a part
    sections.parquet    luminosity and dead time by luminosity section (daq/summary.py)
    summary.json        the books of the run, and whether they balance
    log.jsonl           state changes, deaths, restarts, wire errors: one JSON object a line
    status.json         state, blocks done, and each process of the run
    lost_blocks.txt     blocks whose collisions the source could not hand over (runs at a pace)
    input/              of a replay: its events as they were read from files, or where they are recorded
    differences.json    of a replay of recorded events: what is decided otherwise than it was
    report/             figures and pages made from the run

A directory that exists is never written over unless that is asked for, and then only if it is one of ours.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import structlog
from pydantic import Field

from daq.errors import InputError
from daq.settings import RunSettings, Settings, parse, read_json

RUN, MANIFEST, SECTIONS, SUMMARY, LOG, STATUS, LOST_BLOCKS = (
    "run.json", "manifest.jsonl", "sections.parquet", "summary.json", "log.jsonl", "status.json", "lost_blocks.txt",
)  # fmt: skip
DIFFERENCES = "differences.json"
EVENTS, TRIGGER_WORDS, INPUT, REPORT = "events", "trigger_words", "input", "report"


class RunFile(Settings):
    """What run.json says."""

    settings: RunSettings
    n_events: int = Field(ge=0)
    """Events to generate; a replay knows them only once its files are read."""
    ranges: tuple[tuple[int, int], ...] = ()
    """Their numbers, [begin, end) each, rising and apart; empty: 0 to ``n_events``."""
    menu_hash: int = Field(ge=0, lt=2**64)
    """Hash of all that decides; blocks of another one are refused."""
    bit_names: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Names of the bits of a kept table, lowest first: ``bit_names["l1"]`` names those of ``kept.l1``."""
    about: dict[str, Any] = Field(default_factory=dict)
    """Anything else worth keeping: menus, process names, versions. It decides nothing."""

    @property
    def n_blocks(self) -> int:
        """Return the number of blocks of the run; the last one may be shorter."""
        size = self.settings.stream.block_events
        return len(_blocks_of(self.ranges, size)) if self.ranges else -(-self.n_events // size)

    def block_range(self, number: int) -> tuple[int, int]:
        """Return (first event, number of events) of a block."""
        if self.ranges:
            return _blocks_of(self.ranges, self.settings.stream.block_events)[number]
        first = number * self.settings.stream.block_events
        return first, min(self.settings.stream.block_events, self.n_events - first)

    def part_blocks(self, number: int) -> range:
        """Return the blocks of the part that block ``number`` belongs to; the last part may be shorter.

        A part has no gap in its event numbers: where ranges leave one, another part begins.
        """
        size = self.settings.stream.blocks_per_part
        first = number // size * size
        part = range(first, min(first + size, self.n_blocks))
        if not self.ranges:
            return part
        blocks = _blocks_of(self.ranges, self.settings.stream.block_events)
        begins = [n for n in part if n == first or sum(blocks[n - 1]) != blocks[n][0]]
        begin = max(n for n in begins if n <= number)
        return range(begin, min((n for n in begins if n > number), default=part.stop))


@lru_cache(maxsize=8)
def _blocks_of(ranges: tuple[tuple[int, int], ...], size: int) -> tuple[tuple[int, int], ...]:
    """Return (first event, number of events) of each block: ranges, cut where blocks of the whole run would end."""
    return tuple(
        (max(begin, first), min(end, first + size) - max(begin, first))
        for begin, end in ranges
        for first in range(begin // size * size, end, size)
    )


def read_run(directory: Path) -> RunFile:
    """Read run.json; raise `InputError` if it is missing or wrong."""
    path = directory / RUN
    return parse(read_json(path, if_missing="not the directory of a run"), RunFile, file=path)


def is_taken(directory: Path, *, overwrite: bool = False) -> bool:
    """Return whether a run is there that ``overwrite`` may lose; raise `InputError` if something else is in the way."""
    if not directory.exists() or (directory.is_dir() and not any(directory.iterdir())):
        return False
    if not overwrite:
        raise InputError("exists already (--overwrite to lose it, --resume to go on with it)", file=directory)
    read_run(directory)  # what is not a run of ours is not ours to delete
    return True


def create(directory: Path, run: RunFile, *, overwrite: bool = False) -> None:
    """Make the directory of a new run.

    Raises
    ------
    InputError
        If it exists and is not empty, unless ``overwrite`` is given and it holds a run.
    """
    try:
        if is_taken(directory, overwrite=overwrite):
            _clear(directory)
        for name in (EVENTS, TRIGGER_WORDS):
            (directory / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot be made: {error}", file=directory) from None
    write_json(directory / RUN, run.model_dump(mode="json"))


def reopen(directory: Path, run: RunFile) -> None:
    """Make sure that ``run`` is the run of this directory; raise `InputError` if it is not."""
    before = read_run(directory)
    for name in RunFile.model_fields.keys() - {"about"}:
        if getattr(before, name) != getattr(run, name):
            raise InputError("differs from the run that is to be resumed", file=directory / RUN, key=name)


def _clear(directory: Path) -> None:
    with lock(directory):
        for name in (EVENTS, TRIGGER_WORDS, INPUT, REPORT):
            if (directory / name).exists():
                shutil.rmtree(directory / name)
        for name in (
            MANIFEST,
            SECTIONS,
            SUMMARY,
            DIFFERENCES,
            LOG,
            STATUS,
            LOST_BLOCKS,
            RUN,
        ):  # run.json last: until then it is a run
            (directory / name).unlink(missing_ok=True)


@contextmanager
def lock(directory: Path) -> Iterator[None]:
    """Hold the directory for one supervisor; raise `InputError` if another one has it."""
    fd = os.open(directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError("a run is going on in it", file=directory) from None
        yield
    finally:
        os.close(fd)


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file in one step: readers see the old or the new one, never half of it."""
    write_durably(path, (json.dumps(value, indent=1) + "\n").encode())


def write_durably(path: Path, content: bytes) -> None:
    """Put a file in its place in one step, flushed to disk; if the disk does not take it, nothing is left behind.

    A file whose flush failed is written anew by whoever tries again: what the system still holds of it may be counted
    as written although it is not.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_directory(path.parent)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def sync_directory(path: Path) -> None:
    """Make renames in a directory durable."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class _LogFile:
    """Appends lines; opened for each, since they are rare and several processes write.

    A line that the disk does not take goes to standard error: a full disk ends no process.
    """

    def __init__(self, path: Path):
        self._path = path

    def msg(self, line: str) -> None:
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            print(f"{self._path}: {error}: {line}", file=sys.stderr)

    info = warning = error = msg


def open_log(directory: Path, process: str) -> Any:
    """Return a logger that appends JSON lines to log.jsonl, each with time, level and process."""
    return structlog.wrap_logger(
        _LogFile(directory / LOG),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        process=process,
    )
