"""Events that a run has recorded, with what it decided about all others: a source for `darkline replay`.

`Origin` says where they are: in the directory of a run, or in a file that ``darkline cut`` made of one. Events keep
run and event number, time and injections, so that whatever hashes or windows them gives the same result again. Of a
run, the events that it kept are there whole; of the others it wrote down outcome and L1 words alone.
"""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from daq.errors import InputError, RunError
from daq.event import COLUMNS, GROUPS, OFFSET, SCALARS, Array, EventBatch, Outcome
from daq.run_directory import EVENTS, INPUT, MANIFEST, RUN, TRIGGER_WORDS, RunFile, read_run, write_json
from daq.settings import BeamSettings, Settings, parse, read_json
from daq.source.beam import Beam
from daq.source.catalogue import NB_CM2
from daq.source.formats.event_table import check_events, event_batch
from daq.spool import BlockRecord, part_path, read_manifest

ORIGIN = "origin.json"
CUT = "cut.parquet"
CUT_KEY = b"darkline.cut"
UNKNOWN = 255
"""Outcome of an event of which the books of its run say nothing."""
_NEEDED = (
    ("process_names",), ("cross_sections_nb",), ("l1", "name"), ("l1", "lines"), ("l1", "logic"),
    ("l1", "timing", "veto"), ("hlt", "lines"),
)  # fmt: skip
"""What of `RunFile.about` a replay of the run goes by."""
_TOP = tuple(dict.fromkeys(column.group or column.path for column in COLUMNS))


class Clock(Settings):
    """The beam clock of the run that recorded the events: when each of its events was, and how much was delivered."""

    beam: BeamSettings
    rate_hz: float
    seed: int
    run: int
    n_events: int
    luminosity_fb: float | None = None
    """Luminosity that the files of a replay stood for; None if unknown, or for a mix."""
    is_mix: bool

    @classmethod
    def of(cls, directory: Path, run: RunFile) -> Clock:
        """Return the clock of the run in a directory: of a replay of recorded events, that of the first recording."""
        if (directory / INPUT / ORIGIN).exists():
            return read_origin(directory).clock
        settings = run.settings
        is_mix = settings.source.kind == "mix"
        rate_hz = settings.replay.rate_hz
        if is_mix:
            rate_hz = sum(run.about["cross_sections_nb"]) * NB_CM2 * settings.beam.luminosity_cm2_s
        return cls(
            beam=settings.beam,
            rate_hz=rate_hz,
            seed=settings.seed,
            run=settings.run,
            n_events=run.n_events,
            luminosity_fb=None if is_mix else settings.replay.luminosity_fb,
            is_mix=is_mix,
        )

    def ticking(self) -> Beam:
        """Return the clock itself."""
        return Beam(self.beam, rate_hz=self.rate_hz, seed=self.seed, run=self.run)


class Origin(Settings):
    """Where recorded events are, and what run they are of."""

    kind: Literal["run", "cut"]
    path: str
    """Directory of the run; of a cut, the file that was given."""
    run: RunFile
    """run.json of the run that recorded them."""
    clock: Clock

    def write(self, folder: Path) -> None:
        """Write it into the folder ``input`` of a replay."""
        write_json(folder / ORIGIN, self.model_dump(mode="json"))


def read_origin(directory: Path) -> Origin:
    """Return the origin of the events of a replay; raise `InputError` if it cannot be read."""
    path = directory / INPUT / ORIGIN
    return parse(read_json(path, if_missing="not a replay of recorded events"), Origin, file=path)


def origin_of_run(directory: Path, *, must_be_recorded: bool = True) -> Origin:
    """Return the run of a directory as an origin.

    Raises
    ------
    InputError
        If it is none, or of a version that did not write down what a replay needs; or if nothing of it is durable,
        unless that need not be.
    """
    run = read_run(directory)
    if must_be_recorded and (not (directory / MANIFEST).exists() or not _manifest(directory)):
        raise InputError("nothing is recorded: the run has no block that is durable", file=directory / MANIFEST)
    _check_about(run, directory / RUN)
    return Origin(kind="run", path=str(directory.resolve()), run=run, clock=Clock.of(directory, run))


def _manifest(directory: Path) -> list[BlockRecord]:
    try:
        return read_manifest(directory)
    except RunError as error:
        raise InputError(str(error)) from None


def _check_about(run: RunFile, file: Path) -> None:
    """Raise `InputError` unless run.json says of the menus and processes what a replay needs."""
    for keys in _NEEDED:
        said: Any = run.about
        for key in keys:
            if not isinstance(said, dict) or key not in said:
                raise InputError("must be there to replay the run", file=file, key=".".join(("about", *keys)))
            said = said[key]


def origin_of_cut(path: Path) -> Origin | None:
    """Return the origin that a file made by ``darkline cut`` names; None for any other file."""
    if path.suffix != ".parquet" or not path.is_file():
        return None
    try:
        metadata = pq.read_schema(path).metadata or {}
    except (pa.ArrowInvalid, OSError):
        return None  # the reader of users' files says what is wrong with it
    if CUT_KEY not in metadata:
        return None
    try:
        said = Origin.model_validate_json(metadata[CUT_KEY])
    except ValueError as error:
        rule = f"is of another version of darkline: {str(error).splitlines()[0]}"
        raise InputError(rule, file=path, key=CUT_KEY.decode()) from None
    _check_about(said.run, path)
    return said.model_copy(update={"kind": "cut", "path": str(path.resolve())})


class Rows(NamedTuple):
    """What is recorded of consecutive events."""

    first: int
    events: EventBatch
    """Those that are there whole, by number."""
    outcome: Array
    """(N,) uint8 of all."""
    process: Array
    weight: Array
    raw: Array
    """(N, W) uint64 words of the L1 lines before the prescale."""
    prescaled: Array


class RecordedSource:
    """Recorded events as a `daq.source.mix.Source`; numbers, times and luminosity are those of the recording run."""

    def __init__(self, origin: Origin, folder: Path):
        """Open the events; ``folder`` is the folder ``input`` of the replay, which holds the file of a cut."""
        self.origin = origin
        run = origin.run
        self.n_events = run.ranges[-1][1] if run.ranges else run.n_events
        self.process_names = tuple(run.about["process_names"])
        self.cross_sections_nb = tuple(run.about["cross_sections_nb"])
        self.records: _Run | _Cut = _Run(origin) if origin.kind == "run" else _Cut(origin, folder / CUT)
        self._clock, self._beam = origin.clock, origin.clock.ticking()
        self._section_ns = round(origin.clock.beam.section_s * 1e9)

    @property
    def ranges(self) -> tuple[tuple[int, int], ...]:
        """Return the numbers of the recorded events, [begin, end) each, rising and apart."""
        return self.records.ranges

    def check(self, progress: Callable[[int, int], None] = lambda done, total: None) -> None:
        """Read everything once; raise `InputError` for what is missing, damaged, or of another event model."""
        wanted = self.records.parts
        for done, part in enumerate(wanted, start=1):
            for rows in self.records.part(part):
                self._check_times(rows)
            progress(done, len(wanted))

    def _check_times(self, rows: Rows) -> None:
        if not rows.events.size:
            return
        stamps = self._beam.stamp(rows.first, rows.outcome.size)
        row = (rows.events["event"] - np.uint64(rows.first)).astype(np.int64)
        wrong = np.flatnonzero(rows.events["time_ns"] != stamps["time_ns"][row])
        if wrong.size or (rows.events["run"] != self._clock.run).any():
            at = int(wrong[0]) if wrong.size else 0
            number, time_ns = int(rows.events["event"][at]), int(rows.events["time_ns"][at])
            rule = "is not when the clock of the run has it: recorded by another version, or changed since"
            raise InputError(rule, file=self.origin.path, key=f"time_ns of event {number}", value=time_ns)

    def rows(self, first: int, count: int) -> Rows:
        """Return what is recorded of a range of events, which is in one block."""
        return self.records.rows(first, count)

    def dead(self, first: int, count: int) -> dict[str, list[int]]:
        """Return the dead time that was noted of such a range: ``section``, and a row each of ``dead_ns_<cause>``."""
        return self.records.dead(first, self.interval_ns(first, count), self._section_ns)

    def padded(self, first: int, count: int) -> EventBatch:
        """Return all events of a range; those that are not there whole have number and time, and nothing in them."""
        events = self.records.rows(first, count).events
        row = (events["event"] - np.uint64(first)).astype(np.int64)
        arrays: dict[str, Array] = dict(events.arrays())
        stamps = self._beam.stamp(first, count)
        for column in SCALARS:
            padded = stamps.get(column.path, np.zeros(count, dtype=column.dtype))
            padded[row] = arrays[column.path]
            arrays[column.path] = padded
        for name in (f"{group}.offsets" for group in GROUPS):
            objects = np.zeros(count, dtype=OFFSET)
            objects[row] = np.diff(arrays[name])
            arrays[name] = np.concatenate([np.zeros(1, dtype=OFFSET), np.cumsum(objects, dtype=OFFSET)])
        return EventBatch(count, arrays)

    def block(self, first: int, count: int) -> EventBatch:
        """Return ``count`` events from ``first``; raise `InputError` if they are not all there whole."""
        events = self.records.rows(first, count).events
        if events.size != count:
            there = set(events["event"].tolist())
            missing = next(number for number in range(first, first + count) if number not in there)
            raise InputError("was not kept by the run that recorded it", file=self.origin.path, key=f"event {missing}")
        return events

    def interval_ns(self, first: int, count: int) -> tuple[int, int]:
        """Return the stretch [begin, end) of the run that belongs to these events."""
        return self._beam.interval_ns(first, count)

    def delivered_fb(self, begin_ns: int, end_ns: int) -> float | None:
        """Return the luminosity that was delivered in the interval [fb-1]; None if it is unknown."""
        delivered = self._beam.delivered_fb(begin_ns, end_ns)
        if self._clock.is_mix:
            return delivered
        if self._clock.luminosity_fb is None:
            return None
        _, whole_ns = self.interval_ns(0, self._clock.n_events)
        return self._clock.luminosity_fb * delivered / self._beam.delivered_fb(0, whole_ns)


class _Run:
    """The records of a run directory. Every file is read whole and must have the digest of the manifest."""

    def __init__(self, origin: Origin):
        self._directory, run = Path(origin.path), origin.run
        self._n_words = -(-len(run.about["l1"]["lines"]) // 64)
        self._blocks = [record for record in _manifest(self._directory) if record.n_events]
        self._firsts = [record.first_event for record in self._blocks]
        self._members: dict[int, list[BlockRecord]] = {}
        for record in self._blocks:
            self._members.setdefault(record.part, []).append(record)
        self.parts = list(self._members)
        self.ranges = merged((r.first_event, r.first_event + r.n_events) for r in self._blocks)
        self._read = lru_cache(maxsize=2)(self._read_part)
        self._read_spool = lru_cache(maxsize=2)(self._read_decisions)

    def part(self, number: int) -> list[Rows]:
        """Return what is recorded in a part, one item a stretch of consecutive events."""
        spans = merged((r.first_event, r.first_event + r.n_events) for r in self._members[number])
        return [self._slice(number, begin, end - begin) for begin, end in spans]

    def rows(self, first: int, count: int) -> Rows:
        """Return what is recorded of a range of events, which is in one block."""
        return self._slice(self._block_of(first).part, first, count)

    def dead(self, first: int, span: tuple[int, int], section_ns: int) -> dict[str, list[int]]:
        """Return the dead time that was noted of a block, rows by section; of a part of it, by its time, the share.

        Approximate for a part of a block: its dead time is spread evenly over what the block has of a section.
        """
        record = self._block_of(first)
        named = {n: v for n, v in record.sections.items() if n == "section" or n.startswith("dead_ns_")}
        if span == (record.begin_ns, record.end_ns):
            return named
        for i, section in enumerate(named.get("section", [])):
            begin, end = max(record.begin_ns, section * section_ns), min(record.end_ns, (section + 1) * section_ns)
            low, high = (min(max(edge, begin), end) - begin for edge in span)
            for name in named.keys() - {"section"}:  # rounded so that the shares of a block add up to the whole
                whole = record.sections[name][i]
                share = whole * high // (end - begin) - whole * low // (end - begin)
                named[name] = [*named[name][:i], share, *named[name][i + 1 :]]
        return named

    def spooled(self, begin: int, end: int) -> pl.DataFrame:
        """Return what was decided about the kept events of a block from number ``begin`` to ``end``, a bit a column."""
        return self._read_spool(self._block_of(begin).part).filter(pl.col("event").is_between(begin, end - 1))

    def _read_decisions(self, part: int) -> pl.DataFrame:
        path = part_path(self._directory, EVENTS, part)
        frame = pl.read_parquet(io.BytesIO(_content(path, self._members[part][0].events_xxh3 or "")))
        return frame.select("event", *(name for name in frame.columns if name.startswith(("l1_", "hlt_"))))

    def _block_of(self, event: int) -> BlockRecord:
        return self._blocks[bisect_right(self._firsts, event) - 1]

    def _slice(self, part: int, first: int, count: int) -> Rows:
        numbers, events, columns = self._read(part)
        low = int(np.searchsorted(numbers, first))
        begin, end = np.searchsorted(events["event"], np.array([first, first + count], dtype=np.uint64))
        outcome, process, weight, raw, prescaled = (column[low : low + count] for column in columns)
        return Rows(first, events.take(np.arange(begin, end)), outcome, process, weight, raw, prescaled)

    def _read_part(self, part: int) -> tuple[Array, EventBatch, tuple[Array, ...]]:
        record = self._members[part][0]
        words_path = part_path(self._directory, TRIGGER_WORDS, part)
        words = pl.read_parquet(io.BytesIO(_content(words_path, record.words_xxh3)))
        labels = [[f"{name}_{i}" for i in range(self._n_words)] for name in ("l1_raw_word", "l1_word")]
        for name in ("event", "outcome", "process", "weight", *labels[0], *labels[1]):
            if name not in words.columns:
                raise InputError("no such column: the run is of another version", file=words_path, key=name)
        raw, prescaled = (_words(words, names) for names in labels)
        columns = (*(words[name].to_numpy() for name in ("outcome", "process", "weight")), raw, prescaled)
        numbers, events = words["event"].to_numpy(), EventBatch(0, {})
        path = part_path(self._directory, EVENTS, part)
        if record.events_xxh3 is not None:
            events = model_events(pq.read_table(io.BytesIO(_content(path, record.events_xxh3))), path)
        if not np.array_equal(events["event"], numbers[columns[0] == Outcome.KEPT]):
            raise InputError("does not hold the events that the trigger words call kept", file=path)
        return numbers, events, columns


class _Cut:
    """The records of a file that ``darkline cut`` made; it is small, and all its events are there whole."""

    parts = (0,)

    def __init__(self, origin: Origin, copied: Path):
        path = copied if copied.exists() else Path(origin.path)
        try:
            table = pq.read_table(path)
        except (pa.ArrowInvalid, OSError) as error:
            raise InputError(f"cannot be read: {error}", file=path) from None
        self._events = model_events(table, path)
        self._numbers = self._events["event"].astype(np.int64)
        if not self._numbers.size or (np.diff(self._numbers) <= 0).any():
            raise InputError("must hold events by rising number", file=path, key="event")
        n_words = -(-len(origin.run.about["l1"]["lines"]) // 64)
        names = ["was_outcome", *(f"was_{name}_{i}" for name in ("l1_raw_word", "l1_word") for i in range(n_words))]
        if missing := [name for name in names if name not in table.column_names]:
            raise InputError("no such column", file=path, key=missing[0])
        frame = pl.DataFrame(table.select(names))
        raw, prescaled = (_words(frame, names[k : k + n_words]) for k in (1, 1 + n_words))
        self._columns = frame["was_outcome"].to_numpy(), self._events["process"], self._events["weight"], raw, prescaled
        self.ranges = merged((int(number), int(number) + 1) for number in self._numbers)

    def part(self, _number: int) -> list[Rows]:
        """Return all that is in the file, one item a stretch of consecutive events."""
        return [self.rows(begin, end - begin) for begin, end in self.ranges]

    def rows(self, first: int, count: int) -> Rows:
        """Return what is recorded of a range of events."""
        low = int(np.searchsorted(self._numbers, first))
        outcome, process, weight, raw, prescaled = (column[low : low + count] for column in self._columns)
        return Rows(first, self._events.take(np.arange(low, low + count)), outcome, process, weight, raw, prescaled)

    def dead(self, _first: int, _span: tuple[int, int], _section_ns: int) -> dict[str, list[int]]:
        """Return no dead time: single events have none."""
        return {}

    def spooled(self, begin: int, end: int) -> pl.DataFrame:
        """Raise `LookupError`: a cut holds events, not what the HLT decided about them."""
        raise LookupError(f"events {begin}:{end}")


def model_events(table: pa.Table, path: Path) -> EventBatch:
    """Return the events of a table that must have every column of the event model."""
    for name in _TOP:
        if name not in table.column_names:
            raise InputError("no such column: the events are of another event model", file=path, key=name)
    for group in {column.group for column in COLUMNS if column.group and column.name}:
        kind = table.schema.field(group).type
        given = (
            {field.name for field in kind.value_type} if pa.types.is_large_list(kind) or pa.types.is_list(kind) else ()
        )
        missing = [column.path for column in COLUMNS if column.group == group and column.name not in given]
        if missing:
            raise InputError("no such field: the events are of another event model", file=path, key=missing[0])
    batch = event_batch(table, path)
    check_events(batch, path, 0)
    return batch


def merged(spans: Any) -> tuple[tuple[int, int], ...]:
    """Return spans [begin, end) by begin, those that touch or overlap made one."""
    found: list[tuple[int, int]] = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        elif end > begin:
            found.append((begin, end))
    return tuple(found)


def _content(path: Path, digest: str) -> bytes:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError("is missing, but the manifest counts it", file=path) from None
    if xxhash.xxh3_64_hexdigest(content) != digest:
        raise InputError("is not what the manifest says: damaged, or written over", file=path)
    return content


def _words(frame: pl.DataFrame, names: list[str]) -> Array:
    return np.ascontiguousarray(frame.select(names).to_numpy().astype(np.uint64))
