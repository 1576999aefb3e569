"""Tables in Parquet or Arrow IPC (Feather) files, read some rows at a time and never trusted.

Arrow's readers check the frame of a file. What is in the frame (offsets that run backwards or point beyond the data,
say) is checked here, in full, before anything else looks at it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from daq.errors import InputError
from daq.run_directory import MANIFEST
from daq.spool import event_parts

ENDINGS = (".parquet", ".arrow", ".feather", ".ipc")
"""What files with a table are called in a folder."""
EVENT_NUMBERS = ("event", "event_id")
"""Columns with the number of the event, the first one that a file has counts."""

_BUFFER_BYTES = 1 << 20  # of each Parquet column that is read; without, a whole row group is held


@dataclass(frozen=True, slots=True)
class Rows:
    """Consecutive rows of a file, valid Arrow data."""

    file: Path
    first: int
    """Number of the first row in the file, from 0."""
    batch: Any
    """The columns that were asked for and that the file has."""

    @property
    def size(self) -> int:
        """Return the number of rows."""
        return int(self.batch.num_rows)

    def has(self, name: str) -> bool:
        """Return whether there is a column of this name."""
        return name in self.batch.schema.names

    def __getitem__(self, name: str) -> Any:
        return self.batch.column(name)

    def error(self, rule: str, key: str, *, row: int | None = None, value: object = None) -> InputError:
        """Return the error that says what is wrong with a column, and in which of these rows."""
        where = ""
        if row is not None:
            numbers = (self[name] for name in EVENT_NUMBERS if self.has(name))
            event = next((column[row].as_py() for column in numbers if pa.types.is_integer(column.type)), None)
            where = f"row {self.first + row}, " if event is None else f"row {self.first + row} (event {event}), "
        return InputError(rule, file=self.file, key=f"{where}{key}", value=value)


class Table(Protocol):
    """A file with a table."""

    @property
    def path(self) -> Path:
        """Where it is."""

    @property
    def schema(self) -> Any:
        """Names and types of its columns."""

    @property
    def size(self) -> int | None:
        """How many rows it says that it has, None if it says nothing."""

    def batches(self, names: Sequence[str], count: int) -> Iterator[Any]:
        """Yield the columns, as they are in the file, at most ``count`` rows at a time."""


class _ParquetTable:
    def __init__(self, path: Path):
        self.path = path
        self._file = pq.ParquetFile(path, buffer_size=_BUFFER_BYTES, page_checksum_verification=True)
        self.schema = self._file.schema_arrow
        self.size: int | None = self._file.metadata.num_rows

    def batches(self, names: Sequence[str], count: int) -> Iterator[Any]:
        for batch in self._file.iter_batches(batch_size=count, columns=list(names)):
            _validate(batch)
            yield batch


class _ArrowTable:
    def __init__(self, path: Path):
        self.path = path
        self._map = pa.memory_map(str(path))
        self.schema = pa.ipc.open_file(self._map).schema
        self.size: int | None = None

    def batches(self, names: Sequence[str], count: int) -> Iterator[Any]:
        options = pa.ipc.IpcReadOptions(included_fields=[self.schema.get_field_index(name) for name in names])
        reader = pa.ipc.open_file(self._map, options=options)
        for number in range(reader.num_record_batches):
            batch = reader.get_batch(number)
            _validate(batch)
            for first in range(0, batch.num_rows, count):
                yield batch.slice(first, count)


def _validate(batch: Any) -> None:
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            column.validate(full=True)
        except pa.ArrowInvalid as error:
            raise InputError(f"not valid Arrow data: {first_line(error)}", key=name) from None
    batch.validate()  # and the columns are equally long


_KINDS: dict[bytes, Callable[[Path], Table]] = {b"PAR1": _ParquetTable, b"ARROW1": _ArrowTable}
"""First bytes of a file -> what it is."""


def _decode_names(fields: Iterable[Any]) -> None:
    """Raise an error if a name, however far inside, is no text: Arrow decodes each only when it is asked for."""
    for field in fields:
        _ = field.name
        _decode_names(field.type.field(k) for k in range(field.type.num_fields))


def open_table(path: Path) -> Table:
    """Open a Parquet or Arrow IPC file; which of them it is, its first bytes say.

    Raises
    ------
    InputError
        If it is missing, neither of them, or not whole.
    """
    with reading(path):
        with path.open("rb") as file:
            begin = file.read(8)
        kind = next((kind for magic, kind in _KINDS.items() if begin.startswith(magic)), None)
        if kind is not None:
            table: Table = kind(path)
            _decode_names(table.schema)
            return table
    if not begin:
        raise InputError("is empty", file=path)
    rule = "an Arrow stream cannot be told from one that is cut: write an Arrow IPC file"
    raise InputError(rule if begin.startswith(b"\xff\xff\xff\xff") else "neither Parquet nor Arrow IPC", file=path)


def read_rows(table: Table, names: Sequence[str], count: int) -> Iterator[Rows]:
    """Yield those of the columns ``names`` that the table has, at most ``count`` rows at a time; none is one time too.

    Raises
    ------
    InputError
        If the data is damaged, not valid, or if there are two columns of a name.
    """
    given = list(table.schema.names)
    wanted = [name for name in dict.fromkeys(names) if name in given]
    if twice := [name for name in wanted if given.count(name) > 1]:
        raise InputError("the file has two columns of this name", file=table.path, key=twice[0])
    first = 0
    batches = table.batches(wanted, count)
    while True:
        with reading(table.path):
            batch = next(batches, None)
        if batch is None:
            break
        yield Rows(table.path, first, batch)
        first += batch.num_rows
    if first == 0:
        types = [table.schema.field(name).type for name in wanted]
        yield Rows(table.path, 0, pa.RecordBatch.from_arrays([pa.nulls(0, kind) for kind in types], wanted))
    if table.size is not None and first != table.size:
        raise InputError(f"{first} of {table.size} rows can be read", file=table.path)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Say of whatever goes wrong that the file cannot be read: hostile bytes make Arrow raise errors of many kinds."""
    try:
        yield
    except InputError as error:
        raise InputError(error.rule, file=path, key=error.key, value=error.value) from None
    except FileNotFoundError:
        raise InputError("no such file", file=path) from None
    except IsADirectoryError:
        raise InputError("a folder, not a file", file=path) from None
    except Exception as error:
        raise InputError(f"cannot be read: {first_line(error)}", file=path) from None


def first_line(error: Exception) -> str:
    """Return what an error says, in one line."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def find_files(paths: Sequence[Path]) -> list[Path]:
    """Return the files of the paths: of a run directory its spooled events, of another folder its tables by name.

    Raises
    ------
    InputError
        If a path does not exist, or a folder holds no table.
    """
    files: list[Path] = []
    for path in paths:
        if not path.is_dir():
            files.append(path)
            continue
        if (path / MANIFEST).exists():
            found, rule = event_parts(path), "the run kept no event"
        else:
            inside = (entry for entry in path.iterdir() if not entry.name.startswith("."))
            found = sorted(entry for entry in inside if entry.suffix.lower() in ENDINGS)
            rule = f"no file in it that ends in {', '.join(ENDINGS)}"
        if not found:
            raise InputError(rule, file=path)
        files += found
    return files
