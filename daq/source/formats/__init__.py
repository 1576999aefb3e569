"""Files of users: particles of a generator (HepMC, HEPEVT, Parquet), reconstructed events (ROOT trees, Parquet).

Readers give chunks of whole events. A file that is cut or garbled is an `InputError`, wherever the damage is: nothing
is read in part without a word. The one exception is HEPEVT, see `daq.source.formats.hepevt`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from daq.errors import InputError
from daq.source.formats.event_table import level_of_columns
from daq.source.formats.hepevt import read_hepevt
from daq.source.formats.hepmc import read_hepmc
from daq.source.formats.hepmc_write import write_hepmc
from daq.source.formats.parquet import open_parquet
from daq.source.formats.particle_table import read_particle_table, write_particle_table
from daq.source.particles import Particles

Level = Literal["particles", "reconstruction", "events"]
"""What the events of a file are: generated particles; tracks and clusters; these with the L1 primitives as well."""

HEPMC = (".hepmc", ".hepmc3", ".hepmc2", ".hepmc.gz", ".hepmc3.gz", ".hepmc2.gz")
HEPEVT = (".hepevt", ".hepevt.gz")
PARQUET = (".parquet",)
ROOT = (".root",)
_CHUNK = 1024


def ends_with(path: Path, endings: Sequence[str]) -> bool:
    """Tell whether the file name has one of the endings."""
    return path.name.lower().endswith(tuple(endings))


def level_of(path: Path, columns: Mapping[str, object] | None = None) -> Level:
    """Tell what the events of a file are, from its name and, for Parquet, from its columns.

    Raises
    ------
    InputError
        If the file is missing or of no known format, or if nothing tells what its columns are.
    """
    _must_exist(path)
    if ends_with(path, (*HEPMC, *HEPEVT)):
        return "particles"
    if not ends_with(path, (*PARQUET, *ROOT)):
        raise _unknown_format(path, (*HEPMC, *HEPEVT, *PARQUET, *ROOT))
    if ends_with(path, PARQUET):
        names = open_parquet(path).schema_arrow.names
        if "pdg" in names:
            return "particles"
        if not columns and (found := level_of_columns(names)):
            return found
    if columns:
        return "reconstruction"
    raise InputError("must say which columns are tracks and clusters", file=path, key="[replay.columns]")


def read_particles(path: Path, chunk: int = _CHUNK) -> Iterator[Particles]:
    """Yield the final-state particles of a HepMC, HEPEVT or Parquet file, at most ``chunk`` events at a time.

    Raises
    ------
    InputError
        With file, line or event, and rule, if the file is missing, cut, garbled or of another format.
    """
    _must_exist(path)
    for endings, read in ((HEPMC, read_hepmc), (HEPEVT, read_hepevt), (PARQUET, read_particle_table)):
        if ends_with(path, endings):
            return read(path, chunk)
    raise _unknown_format(path, (*HEPMC, *HEPEVT, *PARQUET))


def read_sample(path: Path) -> Particles:
    """Return all events of a file of particles; errors as of `read_particles`, and if there are none."""
    parts = list(read_particles(path))
    if not parts:
        raise InputError("holds no events", file=path)
    return Particles.concatenate(parts)


def write_particles(path: Path, particles: Particles) -> None:
    """Write particles as Parquet or HepMC3, as the name says; the file appears whole or not at all.

    Parquet stores momenta and vertices in 32 bits, HepMC3 in full; neither stores the process number.

    Raises
    ------
    InputError
        If the name says no format that can be written, or the file cannot be.
    """
    writable = (".hepmc", ".hepmc3", ".hepmc.gz", ".hepmc3.gz")
    if not ends_with(path, (*PARQUET, *writable)):
        raise _unknown_format(path, (*PARQUET, *writable))
    part = path.with_name(f".part-{os.getpid()}-{path.name}")  # the ending stays: it decides on compression
    try:
        if ends_with(path, PARQUET):
            write_particle_table(part, particles)
        else:
            write_hepmc(part, particles)
        part.replace(path)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror or error}", file=path) from None
    finally:
        part.unlink(missing_ok=True)


def _must_exist(path: Path) -> None:
    if not path.is_file():
        raise InputError("not a file" if path.exists() else "no such file", file=path)


def _unknown_format(path: Path, endings: Sequence[str]) -> InputError:
    return InputError(f"unknown format; the name must end in one of {', '.join(endings)}", file=path)
