"""Parquet files, opened and read in chunks; what is broken in them becomes an `InputError`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from daq.errors import InputError


def open_parquet(path: Path) -> pq.ParquetFile:
    """Open a Parquet file; raise `InputError` if it is none, or cut short."""
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"not a whole Parquet file: {_first_line(error)}", file=path) from None


def parquet_chunks(file: pq.ParquetFile, path: Path, columns: Sequence[str], chunk: int) -> Iterator[pa.Table]:
    """Yield the columns, at most ``chunk`` rows at a time; raise `InputError` where the data is damaged."""
    batches = file.iter_batches(batch_size=chunk, columns=list(columns))
    while True:
        try:
            batch = next(batches, None)
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"damaged Parquet data: {_first_line(error)}", file=path) from None
        if batch is None:
            return
        yield pa.Table.from_batches([batch])


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
