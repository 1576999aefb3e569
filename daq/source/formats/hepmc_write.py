"""HepMC3 text (Asciiv3) from final-state particles."""

from __future__ import annotations

import gzip
import io
import math
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, cast

import numpy as np

from daq.event import Array
from daq.source.formats.text import FINAL
from daq.source.particles import Particles

_ORIGIN = (0.0, 0.0, 0.0)
_PSEUDO_PARTICLE = 81  # the codes 81 to 100 are free for the use of generators


def write_hepmc(path: Path, particles: Particles) -> None:
    """Write HepMC3 text in GeV and cm, gzip if the name ends in ``.gz``; the same events give the same bytes.

    `Particles` holds no decay chain, but HepMC wants one: a pseudo-particle with the summed momentum decays at the
    origin, and one more for each other production vertex flies there.
    """
    with ExitStack() as stack:
        file: IO[bytes] = stack.enter_context(path.open("wb"))
        if path.suffix == ".gz":
            file = cast("IO[bytes]", stack.enter_context(gzip.GzipFile("", "wb", fileobj=file, mtime=0)))
        text = stack.enter_context(io.TextIOWrapper(file, encoding="ascii", newline="\n"))
        text.write("HepMC::Version 3.02.05\nHepMC::Asciiv3-START_EVENT_LISTING\n")
        for event in range(len(particles)):
            text.writelines(f"{line}\n" for line in _event_lines(particles, event))
        text.write("HepMC::Asciiv3-END_EVENT_LISTING\n\n")


def _event_lines(particles: Particles, event: int) -> Iterator[str]:
    """Yield the lines of one event; a weight of 32 bits is written as the number of 64 bits that it is."""
    rows = slice(int(particles.offsets[event]), int(particles.offsets[event + 1]))
    momenta = np.stack([getattr(particles, name)[rows] for name in ("px", "py", "pz", "energy")], axis=1)
    places = list(zip(*(getattr(particles, name)[rows].tolist() for name in "xyz"), strict=True))
    vertices = {place: -2 - i for i, place in enumerate(dict.fromkeys(p for p in places if p != _ORIGIN))}
    vertices[_ORIGIN] = -1
    yield f"E {event} {len(vertices)} {len(vertices) + len(places)}"
    yield "U GEV CM"
    yield f"W {float(particles.weight[event])!r}"
    yield _particle_line(1, 0, _PSEUDO_PARTICLE, momenta.sum(axis=0), 4)
    yield "V -1 0 [1]"
    for place, vertex in vertices.items():
        if vertex != -1:
            inside = [other == place for other in places]
            yield _particle_line(-vertex, -1, _PSEUDO_PARTICLE, momenta[inside].sum(axis=0), 2)
            yield f"V {vertex} 0 [{-vertex}] @ {' '.join(map(repr, place))} 0.0"
    for i, place in enumerate(places):
        pdg = int(particles.pdg[rows.start + i])
        yield _particle_line(len(vertices) + 1 + i, vertices[place], pdg, momenta[i], FINAL)


def _particle_line(number: int, parent: int, pdg: int, momentum: Array, status: int) -> str:
    px, py, pz, energy = momentum.tolist()
    mass = math.sqrt(max(energy**2 - px**2 - py**2 - pz**2, 0.0))
    return f"P {number} {parent} {pdg} {px!r} {py!r} {pz!r} {energy!r} {mass!r} {status}"
