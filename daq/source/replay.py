"""Events of users' files, each sent through the chain exactly once.

`stage` reads all files to their ends before anything else happens, so that a bad file is found before a run begins, and
writes what it read as one Parquet file in which any range of events is found quickly. `ReplaySource` reads only that.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from daq.errors import InputError
from daq.event import EventBatch, InjectionRing
from daq.settings import ReplaySettings, RunSettings
from daq.source import formats
from daq.source.assembly import assemble
from daq.source.background import BeamBackground
from daq.source.beam import Beam
from daq.source.formats import Level
from daq.source.formats.event_table import COLUMNS, INJECTION, event_batch, read_event_table
from daq.source.formats.particle_table import particle_table, particles_of
from daq.source.primitives import add_primitives

_STAGED = "staged.parquet"
_LEVEL = b"darkline.level"
_ROW_GROUP = 1024  # events; what is read at least to get one
_ROWS_AT_A_TIME = (
    65_536  # of a user's table: a basket of a ROOT file is unpacked whole, however few of its rows we want
)


@dataclass(frozen=True, slots=True)
class StagedInfo:
    """What was staged."""

    n_events: int
    level: Level


def stage(files: Sequence[Path], settings: RunSettings, directory: Path) -> StagedInfo:
    """Read all files and store their events, in the order of the files, under ``directory``.

    Raises
    ------
    InputError
        If a file is bad in any way, the files are of different levels, or there are no events. Nothing is left behind.
    """
    level = _level_of_all(files, settings.replay)
    if settings.source.background is not None and level != "particles":
        raise InputError(f"is laid over particles, but the files hold {level}", key="[source.background]")
    is_new = not directory.exists()
    directory.mkdir(parents=True, exist_ok=True)
    part = directory / f".part-{os.getpid()}-{_STAGED}"
    try:
        n_events = _write(part, level, _tables(files, level, settings.replay))
        part.replace(directory / _STAGED)
    except BaseException:
        part.unlink(missing_ok=True)
        if is_new:
            directory.rmdir()
        raise
    return StagedInfo(n_events, level)


def _level_of_all(files: Sequence[Path], replay: ReplaySettings) -> Level:
    """Return the level of the files, or that of the settings if it fits them."""
    if not files:
        raise InputError("must name at least one file", key="replay")
    levels = {path: formats.level_of(path, replay.columns) for path in files}
    level = levels[files[0]]
    for path, other in levels.items():
        if other != level:
            raise InputError(f"holds {other}, but {files[0]} holds {level}: replay them one by one", file=path)
    if replay.level in ("auto", level):
        return level
    if (replay.level, level) == ("reconstruction", "events"):
        return "reconstruction"  # the primitives are made anew
    raise InputError(f"the files hold {level}", key="[replay] level", value=replay.level)


def _tables(files: Sequence[Path], level: Level, replay: ReplaySettings) -> Iterator[pa.Table]:
    """Yield the events of all files as tables of the staged file."""
    for path in files:
        if level == "particles":
            yield from map(particle_table, formats.read_particles(path, _ROW_GROUP))
        else:
            for batch in _batches(path, level, replay):
                yield batch.to_arrow().select(COLUMNS[level])


def _batches(path: Path, level: Level, replay: ReplaySettings) -> Iterator[EventBatch]:
    if not replay.columns:
        return read_event_table(path, level, _ROW_GROUP)
    # uproot and awkward take a second to import, which replays of particles need not pay.
    from daq.source.formats.columns import read_mapped
    from daq.source.formats.tables import open_table

    return read_mapped(open_table(path, replay.tree), replay.columns, replay.group_by, _ROWS_AT_A_TIME)


def _write(path: Path, level: Level, tables: Iterator[pa.Table]) -> int:
    """Write tables in full row groups; return the number of events."""
    writer: pq.ParquetWriter | None = None
    waiting: list[pa.Table] = []
    n_events = n_waiting = 0
    try:
        for table in tables:
            if writer is None:
                writer = pq.ParquetWriter(
                    path, table.schema.with_metadata({_LEVEL: level.encode()}), compression="zstd"
                )
            waiting.append(table)
            n_waiting += table.num_rows
            n_events += table.num_rows
            if n_waiting >= _ROW_GROUP:
                joined = pa.concat_tables(waiting)
                n_full = n_waiting - n_waiting % _ROW_GROUP
                writer.write_table(joined.slice(0, n_full), row_group_size=_ROW_GROUP)
                waiting, n_waiting = [joined.slice(n_full)], n_waiting - n_full
        if writer is not None and n_waiting:
            writer.write_table(pa.concat_tables(waiting))
    finally:
        if writer is not None:
            writer.close()
    if writer is None or not n_events:
        raise InputError("the files hold no events", key="replay")
    return n_events


class ReplaySource:
    """The staged events of one run: a `Source`.

    Event k of the run is the k-th event of the files. What the detector and the primitives make of it depends on
    (settings, seed, run, k) alone.
    """

    process_names: tuple[str, ...] = ("replay",)
    cross_sections_nb: tuple[float, ...] = ()

    def __init__(self, settings: RunSettings, staged: Path):
        """Open what `stage` left in the directory ``staged``."""
        self._path = staged / _STAGED
        self._file = pq.ParquetFile(self._path)
        self._level = self._file.schema_arrow.metadata[_LEVEL].decode()
        self._settings = settings
        self._beam = Beam(settings.beam, rate_hz=settings.replay.rate_hz, seed=settings.seed, run=settings.run)
        self._background = BeamBackground.of(settings)
        self.n_events: int = self._file.metadata.num_rows

    def block(self, first: int, count: int) -> EventBatch:
        """Return ``count`` events from ``first`` on."""
        table, stamps = self._rows(first, count), self._beam.stamp(first, count)
        where = {"first_event": first, "seed": self._settings.seed, "run": self._settings.run}
        if self._level == "particles":
            return assemble(particles_of(table, self._path, first), stamps, self._background, **where)
        arrays = event_batch(table, self._path).arrays()
        if self._level == "events" and not self._beam.injections.is_on:
            # What the file recorded of injections stays with its events; where it has none, the clock speaks.
            recorded = arrays["injection_ring"] != InjectionRing.NONE
            stamps |= {name: np.where(recorded, arrays[name], stamps[name]) for name in INJECTION}
        batch = EventBatch(count, arrays | stamps)
        return batch if self._level == "events" else add_primitives(batch, **where)

    def _rows(self, first: int, count: int) -> pa.Table:
        if not 0 <= first <= first + count <= self.n_events:
            raise IndexError(f"events {first} to {first + count} of {self.n_events}")
        groups = range(first // _ROW_GROUP, -(-(first + count) // _ROW_GROUP))
        return self._file.read_row_groups(list(groups)).slice(first - groups.start * _ROW_GROUP, count)

    def interval_ns(self, first: int, count: int) -> tuple[int, int]:
        """Return the stretch [begin, end) of the run that belongs to these events."""
        return self._beam.interval_ns(first, count)

    def delivered_fb(self, begin_ns: int, end_ns: int) -> float | None:
        """Return the share of the files' luminosity that falls into the interval [fb-1]; None if they have none."""
        luminosity = self._settings.replay.luminosity_fb
        if luminosity is None:
            return None
        _, whole_ns = self.interval_ns(0, self.n_events)
        return luminosity * self._beam.delivered_fb(begin_ns, end_ns) / self._beam.delivered_fb(0, whole_ns)
