"""Parquet files of particles: one row an event, one list column a field."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from daq.errors import InputError
from daq.event import Array
from daq.source.formats.parquet import open_parquet, parquet_chunks
from daq.source.formats.text import check_finite
from daq.source.particles import Particles

REQUIRED = ("pdg", "px", "py", "pz", "energy")
_VERTEX = ("x", "y", "z")
_EVENT = ("weight", "mass_gev", "ctau_cm")


def read_particle_table(path: Path, chunk: int) -> Iterator[Particles]:
    """Yield the particles of a Parquet file, at most ``chunk`` events at a time.

    Raises
    ------
    InputError
        If the file is cut, a column is missing or not a list of numbers, or the lists of an event differ in length.
    """
    file = open_parquet(path)
    names = file.schema_arrow.names
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        raise InputError(f"must have the columns {', '.join(REQUIRED)}", file=path, key=f"no column {missing[0]}")
    if any(name in names for name in _VERTEX) and not all(name in names for name in _VERTEX):
        raise InputError("must have all of x, y, z or none", file=path, key="columns", value=names)
    known = [name for name in (*REQUIRED, *_VERTEX, *_EVENT) if name in names]
    done = 0
    for table in parquet_chunks(file, path, known, chunk):
        particles = particles_of(table, path, done)
        done += len(particles)
        yield particles


def particles_of(table: pa.Table, path: Path, first_event: int = 0) -> Particles:
    """Return the particles of a table with the columns of `particle_table`; the errors of `read_particle_table`."""
    arrays: dict[str, Array] = {}
    counts: dict[str, Array] = {}
    for name in table.column_names:
        column = table.column(name).combine_chunks()
        if name in _EVENT:
            arrays[name] = _values(column, name, path)
            continue
        if not (pa.types.is_list(column.type) or pa.types.is_large_list(column.type)):
            raise InputError("must be a list column, one row an event", file=path, key=name, value=str(column.type))
        counts[name] = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
        arrays[name] = _values(column.flatten(), name, path)
        if (rows := np.flatnonzero(counts[name] != counts["pdg"])).size:
            key = f"event {first_event + int(rows[0])}, {name}"
            raise InputError("must have as many entries as pdg", file=path, key=key)
    particles = Particles.build(np.append(0, np.cumsum(counts["pdg"])), **arrays)
    check_finite(particles, path, first_event)
    return particles


def _values(column: pa.Array, name: str, path: Path) -> Array:
    """Return a column without nulls as numbers."""
    if not (pa.types.is_integer(column.type) or (name != "pdg" and pa.types.is_floating(column.type))):
        kind = "integers" if name == "pdg" else "numbers"
        raise InputError(f"must hold {kind}", file=path, key=name, value=str(column.type))
    if column.null_count:
        raise InputError("must not hold nulls", file=path, key=name)
    values: Array = column.to_numpy(zero_copy_only=False)
    return values


def particle_table(particles: Particles) -> pa.Table:
    """Return particles as an Arrow table.

    Momenta, energies and vertices are stored in 32 bits (a relative 6e-8, far below any resolution); the process
    number is not stored, for its names belong to a run.
    """
    offsets = pa.array(particles.offsets)
    columns = {"pdg": pa.ListArray.from_arrays(offsets, pa.array(particles.pdg))}
    for name in (*REQUIRED[1:], *_VERTEX):
        values = pa.array(getattr(particles, name).astype(np.float32))
        columns[name] = pa.ListArray.from_arrays(offsets, values)
    return pa.table(columns | {name: pa.array(getattr(particles, name)) for name in _EVENT})


def write_particle_table(path: Path, particles: Particles) -> None:
    """Write `particle_table` as Parquet."""
    pq.write_table(particle_table(particles), path, compression="zstd", compression_level=9)
