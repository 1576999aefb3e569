"""Bits of files: one column a bit, true or false, to and from planes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from daq.errors import InputError
from daq.jit import Array
from triggers.files.tables import Rows, first_line
from triggers.files.values import flags


def read_planes(rows: Rows, names: Sequence[str]) -> Array:
    """Return the (bits, ceil(N / 64)) uint64 planes of the columns ``names``; those that are not there are 0.

    Raises
    ------
    InputError
        If a column holds anything but true and false, or 1 and 0.
    """
    planes = np.zeros((len(names), -(-rows.size // 64) * 8), dtype=np.uint8)
    for plane, name in zip(planes, names, strict=True):
        if rows.has(name):
            packed = np.packbits(flags(rows, name), bitorder="little")
            plane[: packed.size] = packed
    return planes.view("<u8")


_ROW_GROUP = 262_144  # rows


class BitWriter:
    """A Parquet file that grows by blocks of events; see `writing`."""

    def __init__(self, path: Path, names: Sequence[str]):
        self._path, self._names = path, tuple(names)
        self._kept: list[Any] | None = None
        self._writer: Any = None
        self._waiting: list[Any] = []  # for a whole row group: each costs a description of all columns in the footer

    def write(self, rows: Rows, kept: Sequence[str], planes: Array) -> None:
        """Append the columns ``kept`` of the rows as they are, and the planes of the bits as columns.

        Raises
        ------
        InputError
            If a kept column has another type than before, or the name of a bit.
        """
        fields = [pa.field(name, rows[name].type) for name in kept]
        if self._kept is None:
            self._open(rows, fields)
        elif fields != self._kept:
            rule = f"event columns differ from those of the files before ({_described(self._kept)})"
            raise InputError(rule, file=rows.file, value=_described(fields))
        # A plane is what Arrow calls the buffer of a boolean column: bit k of byte b is row 8 b + k.
        little = np.ascontiguousarray(planes, dtype="<u8")
        bits = [pa.Array.from_buffers(pa.bool_(), rows.size, [None, pa.py_buffer(plane)]) for plane in little]
        columns = [*(rows[name] for name in kept), *bits]
        self._waiting.append(pa.RecordBatch.from_arrays(columns, schema=self._writer.schema))
        if sum(batch.num_rows for batch in self._waiting) >= _ROW_GROUP:
            self._flush()

    def _open(self, rows: Rows, fields: list[Any]) -> None:
        self._kept = fields
        if both := [field.name for field in fields if field.name in self._names]:
            raise InputError("is a bit of the menu as well as a column of the file", file=rows.file, key=both[0])
        schema = pa.schema([*fields, *(pa.field(name, pa.bool_()) for name in self._names)])
        self._writer = pq.ParquetWriter(self._path, schema, compression="zstd", write_statistics=False)

    def _flush(self) -> None:
        self._writer.write_table(pa.Table.from_batches(self._waiting), row_group_size=_ROW_GROUP)
        self._waiting = []

    def finish(self) -> None:
        """Write what waits, and the end of the file."""
        if self._waiting:
            self._flush()
        self._writer.close()

    def abandon(self) -> None:
        """Close the file as it is."""
        if self._writer is not None:
            with suppress(OSError, pa.ArrowException):
                self._writer.close()


def _described(fields: Sequence[Any]) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in fields) or "none"


@contextmanager
def writing(path: Path, names: Sequence[str]) -> Iterator[BitWriter]:
    """Give a writer of the bits ``names``; the file appears whole, in place of an older one, or not at all.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    part = path.with_name(f".part-{os.getpid()}-{path.name}")
    writer = BitWriter(part, names)
    try:
        yield writer
        writer.finish()
        part.replace(path)
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"cannot be written: {getattr(error, 'strerror', None) or first_line(error)}", file=path
        ) from None
    finally:
        writer.abandon()
        part.unlink(missing_ok=True)
