"""What the text formats of generators share: lines with numbers, and a collector of final-state particles."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

import numpy as np

from daq.errors import InputError
from daq.event import OFFSET
from daq.source.particles import Particles

Position = tuple[float, float, float]
FinalState = tuple[int, float, float, float, float, float, float, float]
"""pdg, px, py, pz, energy [GeV], x, y, z [cm]."""

GEV = {"GEV": 1.0, "MEV": 1e-3}
CM = {"CM": 1.0, "MM": 0.1}
FINAL = 1  # status code of a final-state particle, in HepMC and HEPEVT


class TextFile:
    """The lines of a text file, plain or gzip; remembers the line number for the error message."""

    def __init__(self, path: Path):
        self.path = path
        self.line = 0

    def __iter__(self) -> Iterator[str]:
        """Yield the lines with their line ends; raise `InputError` if the file is cut inside its compressed data."""
        try:
            with self._open() as file:
                for raw in file:
                    self.line += 1
                    yield raw.decode()
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InputError(f"the gzip data is damaged or cut short: {error}", file=self.path) from None
        except UnicodeDecodeError:
            raise self.error("not text") from None
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror or error}", file=self.path) from None

    def _open(self) -> IO[bytes]:
        with self.path.open("rb") as file:
            is_gzip = file.read(2) == b"\x1f\x8b"
        return cast("IO[bytes]", gzip.open(self.path)) if is_gzip else self.path.open("rb")

    def error(self, rule: str) -> InputError:
        """Return the error of the present line, to be raised."""
        return InputError(rule, file=self.path, key=f"line {self.line}")


class Collector:
    """Gathers events until a chunk is full."""

    def __init__(self, path: Path):
        self._path = path
        self._done = 0
        self._clear()

    def _clear(self) -> None:
        self._rows: list[FinalState] = []
        self._ends: list[int] = [0]
        self._weights: list[float] = []

    def __len__(self) -> int:
        return len(self._weights)

    def add(self, particles: list[FinalState], weight: float) -> None:
        """Append one event."""
        self._rows += particles
        self._ends.append(len(self._rows))
        self._weights.append(weight)

    def flush(self) -> Particles:
        """Return the gathered events and start anew; raise `InputError` if a number is not finite."""
        table = np.array(self._rows, dtype=np.float64).reshape(-1, len(Particles.PARTICLE_FIELDS))
        columns = dict(zip(Particles.PARTICLE_FIELDS, table.T, strict=True))
        offsets = np.array(self._ends, dtype=OFFSET)
        particles = Particles.build(offsets, weight=np.array(self._weights), **columns)
        check_finite(particles, self._path, self._done)
        self._done += len(self)
        self._clear()
        return particles


def check_finite(particles: Particles, path: Path, first_event: int) -> None:
    """Raise `InputError`, with the event counted from 0 in the file, unless all numbers are finite."""
    for name in Particles.PARTICLE_FIELDS + Particles.EVENT_FIELDS:
        wrong = np.flatnonzero(~np.isfinite(getattr(particles, name)))
        if wrong.size:
            row = int(wrong[0])
            if name in Particles.PARTICLE_FIELDS:
                row = int(np.searchsorted(particles.offsets, row, side="right")) - 1
            value = float(getattr(particles, name)[wrong[0]])
            raise InputError("must be finite", file=path, key=f"event {first_event + row}, {name}", value=value)
