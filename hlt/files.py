"""Events for the HLT from files, and its results as a file.

A file is Parquet or Arrow IPC (file or stream, told apart by their first bytes) with either the flat columns of
`hlt.flat`, or the columns of the event model as a spool writes them. Rows are read in chunks, so memory does not grow
with the file; results appear under their name only when they are complete.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from daq.errors import EventError, InputError
from daq.event import Array, EventBatch
from daq.source.formats.event_table import RECONSTRUCTED, check_events, level_of_columns, must_have_fields
from daq.source.formats.parquet import open_parquet, parquet_chunks
from hlt.flat import CLUSTER_COLUMNS, FLAT, L1_COLUMNS, TRACK_COLUMNS, FlatError, from_flat

Kind = Literal["flat", "events"]
ENDINGS = (".parquet", ".arrow", ".ipc", ".feather")
_CHUNK = 4096
_IDENTITY = ("event_id", "run", "event")
_L1_BITS = ("bha3d", "bhapur", "lml1", "fpre", "raw_bhapur")


@dataclass(frozen=True, slots=True)
class Events:
    """Some rows of a file as the arrays that the HLT reads."""

    size: int
    arrays: dict[str, Array]
    """Arrays of the event model by name, floats in the precision of the file."""
    l1: dict[str, Array]
    """(N,) bool by name of the L1 bit, as `hlt.variables.filter_variables` takes them."""
    identity: dict[str, pa.Array]
    """``event_id``, ``run`` and ``event`` as the file has them."""

    def __getitem__(self, name: str) -> Array:
        return self.arrays[name]


@dataclass(frozen=True, slots=True)
class EventFile:
    """One file of events, opened."""

    path: Path
    kind: Kind
    n_events: int
    identity: pa.Schema
    """The columns that name an event."""

    def events(self, chunk: int = _CHUNK) -> Iterator[Events]:
        """Yield the rows in order, at most ``chunk`` at a time; raise `InputError` where they are wrong.

        A file without rows gives one `Events` without rows.
        """
        first = 0
        tables = _tables(self.path, self.kind, chunk)
        while True:
            with _broken(self.path):
                table = next(tables, None)
                if table is None:
                    return
                events = _flat(table, self.path) if self.kind == "flat" else _spooled(table, self.path, first)
            yield events
            first += events.size


def find_files(inputs: Sequence[Path]) -> list[Path]:
    """Return the files of the inputs: of a directory its Parquet and Arrow files by name, else the file itself.

    Of a run directory these are the parts that its manifest counts.

    Raises
    ------
    InputError
        If there is no such file, or none in a directory.
    """
    from daq.run_directory import EVENTS, RUN
    from daq.spool import event_parts

    files: list[Path] = []
    for path in inputs:
        run = next((place for place in (path, path.parent) if (place / RUN).is_file()), None)
        if not path.is_dir():
            found = [path]
        elif run is not None and path in (run, run / EVENTS):
            found = event_parts(run)
        else:
            found = sorted(file for file in path.iterdir() if file.suffix in ENDINGS and not file.name.startswith("."))
        if not found:
            raise InputError(f"holds no file of events ({', '.join(ENDINGS)})", file=path)
        files += found
    return files


def open_events(path: Path) -> EventFile:
    """Open a file and tell what its columns are.

    Raises
    ------
    InputError
        If it is missing, cut short, of another format, or lacks columns (which are named).
    """
    with _broken(path):
        schema, n_events = _schema(path)
        names = schema.names
    identity = pa.schema([schema.field(name) for name in _IDENTITY if names.count(name) == 1])
    is_spool = level_of_columns(names) is not None
    if twice := [name for name in _wanted("events" if is_spool else "flat") if names.count(name) > 1]:
        raise InputError("there are several columns of this name", file=path, key=min(twice))
    if is_spool:
        return EventFile(path, "events", n_events, identity)
    if not {*TRACK_COLUMNS, *CLUSTER_COLUMNS}.intersection(names):
        rule = "holds neither the flat columns (event_id, trk_d0, ..., clu_energy, ...) nor the event model"
        raise InputError(f"{rule} (tracks, clusters, ...)", file=path)
    # A file may come without any word of the first level, but not with a part of it.
    is_needed = {*FLAT} if any(name in names for name in L1_COLUMNS) else {*FLAT}.difference(L1_COLUMNS)
    missing = [name for name in FLAT if name in is_needed and name not in names]
    if missing:
        raise InputError(f"lacks {', '.join(missing)}", file=path, key="columns")
    return EventFile(path, "flat", n_events, identity)


def _flat(table: pa.Table, path: Path) -> Events:
    try:
        arrays, l1 = from_flat(table)
    except FlatError as error:
        raise InputError(error.rule, file=path, key=error.key, value=error.value) from None
    return Events(table.num_rows, arrays, l1, _identity(table, path))


def _spooled(table: pa.Table, path: Path, first: int) -> Events:
    for group in RECONSTRUCTED:
        must_have_fields(table.schema.field(group).type, group, path)
        if table.column(group).null_count:
            raise InputError("must not be null", file=path, key=group)
    try:
        batch = EventBatch.from_arrow(table)
    except EventError as error:
        raise InputError(error.rule, file=path, key=error.key, value=error.value) from None
    check_events(batch, path, first)
    l1 = {}
    for name in _L1_BITS:
        if f"l1_{name}" in table.column_names:
            column = table.column(f"l1_{name}")
            if column.type != pa.bool_() or column.null_count:
                raise InputError("must be boolean, without nulls", file=path, key=f"l1_{name}", value=str(column.type))
            l1[name] = column.to_numpy()
    return Events(table.num_rows, batch.arrays(), l1, _identity(table, path))


def _identity(table: pa.Table, path: Path) -> dict[str, pa.Array]:
    """Return the columns that name an event, whole numbers all of them."""
    out = {}
    for name in _IDENTITY:
        if name not in table.column_names:
            continue
        column = table.column(name).combine_chunks()
        if not pa.types.is_integer(column.type) or column.null_count:
            raise InputError("must be a whole number, without nulls", file=path, key=name, value=str(column.type))
        out[name] = column
    if "event" in out:  # a spool: the number in the run is the identifier
        out = {"event_id": out["event"]} | out
    elif "event_id" not in out:
        raise InputError("lacks event_id (or event)", file=path, key="columns")
    return out


# ---- tables of any format


def _schema(path: Path) -> tuple[pa.Schema, int]:
    """Return the columns of a file and its number of rows."""
    if not path.is_file():
        raise InputError("not a file" if path.exists() else "no such file", file=path)
    if _starts_with(path, b"PAR1"):
        file = open_parquet(path)
        return file.schema_arrow, file.metadata.num_rows
    reader = _ipc(path)
    return reader.schema, sum(batch.num_rows for batch in _batches(reader))


def _tables(path: Path, kind: Kind, chunk: int) -> Iterator[pa.Table]:
    schema, n_rows = _schema(path)
    wanted = [name for name in schema.names if name in _wanted(kind)]
    if n_rows == 0:
        yield schema.empty_table().select(wanted)
        return
    if _starts_with(path, b"PAR1"):
        yield from parquet_chunks(open_parquet(path), path, wanted, chunk)
        return
    for batch in _batches(_ipc(path)):
        table = pa.Table.from_batches([batch]).select(wanted)
        table.validate(full=True)  # nothing has looked at the offsets of the lists yet
        for first in range(0, table.num_rows, chunk):
            yield table.slice(first, chunk)


def _wanted(kind: Kind) -> set[str]:
    if kind == "flat":
        return {*FLAT, *_IDENTITY}
    return {*_IDENTITY, "tim_type", "tracks", "clusters", "trknn", *(f"l1_{name}" for name in _L1_BITS)}


def _ipc(path: Path) -> Any:
    source = pa.memory_map(str(path))
    return pa.ipc.open_file(source) if _starts_with(path, b"ARROW1") else pa.ipc.open_stream(source)


def _batches(reader: Any) -> Iterator[Any]:
    if isinstance(reader, pa.ipc.RecordBatchFileReader):
        return (reader.get_batch(i) for i in range(reader.num_record_batches))
    return iter(reader)


def _starts_with(path: Path, magic: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(magic)) == magic


@contextmanager
def _broken(path: Path) -> Iterator[None]:
    """Say of what Arrow cannot read that it is the file."""
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = str(error).split("\n", maxsplit=1)[0]
        raise InputError(f"not a whole Parquet or Arrow file: {reason}", file=path) from None


# ---- results


class ResultFile:
    """A Parquet file that appears whole, when its ``with`` block ends well, or not at all."""

    def __init__(self, path: Path, inputs: Iterable[Path]):
        if path.is_dir():
            raise InputError("is a directory", file=path)
        if path.exists() and any(path.samefile(other) for other in inputs):
            raise InputError("is also an input", file=path)
        if not path.parent.is_dir():
            raise InputError("no such directory", file=path.parent)
        self._path, self._partial = path, path.with_name(f".{path.name}.{os.getpid()}.partial")
        self._writer: pq.ParquetWriter | None = None

    def write(self, columns: dict[str, Any]) -> None:
        """Append rows; all calls have the same columns."""
        table = pa.table(columns)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._partial, table.schema, compression="zstd")
        self._writer.write_table(table)

    def __enter__(self) -> ResultFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            if self._writer is not None:
                self._writer.close()
            if kind is None:
                self._partial.replace(self._path)
        except OSError as problem:
            error = problem
        finally:
            self._partial.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise InputError(f"cannot be written: {error.strerror or error}", file=self._path) from None


def number_of(identity: dict[str, pa.Array], size: int) -> tuple[Array, Array]:
    """Return (run, event) numbers as unsigned; without them run 0 and the ``event_id``.

    Prescales are a function of these two; a negative number is taken bit by bit.
    """
    run = identity.get("run")
    event = identity["event"] if "event" in identity else identity["event_id"]
    runs = np.zeros(size, dtype=np.uint32) if run is None else run.to_numpy().astype(np.uint32)
    return runs, event.to_numpy().astype(np.int64, copy=False).astype(np.uint64)
