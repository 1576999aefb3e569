"""HepMC event files: HepMC3 (Asciiv3) and HepMC2 (IO_GenEvent) text, plain or gzip.

The libraries read numbers with C's leniency: a file cut in the middle gives fewer events, a garbled number gives 0.
This reader counts instead: the listing must be closed, each event must have the particles that it announces, every
number must be one. Formats: Buckley et al., "The HepMC3 event record library for Monte Carlo event generators",
Comput. Phys. Commun. 260 (2021) 107310; Dobbs and Hansen, "The HepMC C++ Monte Carlo event record", Comput. Phys.
Commun. 134 (2001) 41.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from daq.source.formats.text import CM, FINAL, GEV, Collector, FinalState, Position, TextFile
from daq.source.particles import Particles

_ORIGIN: Position = (0.0, 0.0, 0.0)
_RUN_LINES = frozenset("ANTW")  # attributes, weight names, tools and weights of the run
_LISTINGS = {"HepMC::Asciiv3": 3, "HepMC::IO_GenEvent": 2}


@dataclass(slots=True)
class _Event:
    """An event while its lines are read, in the units of the file.

    A vertex without a position has that of the vertex its incoming particles come from, at last that of the event.
    """

    version: int
    n_particles: int = 0
    n_vertices: int = 0
    gev: float = 1.0
    cm: float = 0.1
    weight: float = 1.0
    position: Position = _ORIGIN
    final: list[tuple[int, float, float, float, float, int]] = field(default_factory=list)  # the last: its vertex
    born_at: list[int] = field(default_factory=list)  # vertex of particle 1, 2, ..; 0: none
    at: dict[int, Position | None] = field(default_factory=dict)
    before: dict[int, list[int]] = field(default_factory=dict)  # vertices that the incoming particles come from
    orphans: int = 0  # HepMC2: incoming particles still to come at the present vertex

    def where(self, vertex: int) -> Position:
        """Return the position of a vertex."""
        seen = {0}
        waiting = [vertex]
        while waiting:
            here = waiting.pop(0)
            if here in seen:
                continue
            seen.add(here)
            position = self.at[here]
            if position is not None:
                return position
            waiting += self.before.get(here, [])
        return self.position

    def particles(self) -> list[FinalState]:
        """Return the final-state particles in GeV and cm."""
        places = {vertex: self.where(vertex) for vertex in {row[-1] for row in self.final}}
        out: list[FinalState] = []
        for pdg, px, py, pz, energy, vertex in self.final:
            x, y, z = places[vertex]
            momentum = (px * self.gev, py * self.gev, pz * self.gev, energy * self.gev)
            out.append((pdg, *momentum, x * self.cm, y * self.cm, z * self.cm))
        return out


def read_hepmc(path: Path, chunk: int) -> Iterator[Particles]:
    """Yield the final-state particles (status 1) of a HepMC file, at most ``chunk`` events at a time.

    The weight is the first weight of the event. Momenta come in GeV and vertices in cm, whatever the units of the file.

    Raises
    ------
    InputError
        With the line, if the file is cut, garbled, or not HepMC.
    """
    file = TextFile(path)
    collector = Collector(path)
    version: int | None = None  # none: outside of a listing
    listings = 0
    event: _Event | None = None
    for text in file:
        words = text.split()
        if not words or words[0] == "HepMC::Version":
            continue
        is_mark = words[0].startswith("HepMC::")
        if event and words[0] != "E" and not is_mark:
            _parse(file, event, words)
            continue
        if event:
            _close(file, event, collector)
            event = None
            if len(collector) == chunk:
                yield collector.flush()
        if is_mark:
            version = _mark(file, words[0], version)
            listings += version is not None
        elif version is None:
            raise file.error("not HepMC text: lines must stand between START_EVENT_LISTING and END_EVENT_LISTING")
        elif words[0] == "E":
            event = _Event(version)
            _parse(file, event, words)
        elif words[0] not in _RUN_LINES:
            raise file.error(f"unknown line '{words[0][:20]}'")
    if version or not listings:
        raise file.error("the file ends without END_EVENT_LISTING: it is cut short, or not HepMC")
    if len(collector):
        yield collector.flush()


def _mark(file: TextFile, word: str, version: int | None) -> int | None:
    """Return the version of the listing that starts here, or none where one ends."""
    name, _, mark = word.rpartition("-")
    if mark == "START_EVENT_LISTING" and version is None and name in _LISTINGS:
        return _LISTINGS[name]
    if mark == "END_EVENT_LISTING" and version is not None and _LISTINGS.get(name) == version:
        return None
    raise file.error(f"no listing of that kind can start or end here: {word[:60]}")


def _parse(file: TextFile, event: _Event, words: list[str]) -> None:
    """Take one line into the event."""
    try:
        _LINES[event.version][words[0]](event, words)
    except KeyError:
        raise file.error(f"unknown line or reference: {' '.join(words)[:60]}") from None
    except (ValueError, IndexError):
        raise file.error(f"not a complete {words[0]} line: {' '.join(words)[:60]}") from None


def _close(file: TextFile, event: _Event, collector: Collector) -> None:
    """Hand over a finished event."""
    if len(event.born_at) != event.n_particles:
        raise file.error(f"the event before has {len(event.born_at)} particles, but announced {event.n_particles}")
    # HepMC3 leaves out the lines of vertices that say nothing.
    if len(event.at) > event.n_vertices or (event.version == 2 and len(event.at) < event.n_vertices):
        raise file.error(f"the event before has {len(event.at)} vertices, but announced {event.n_vertices}")
    collector.add(event.particles(), event.weight)


def _exactly(words: list[str], count: int) -> None:
    if len(words) != count:
        raise ValueError


def _position(words: list[str]) -> Position | None:
    """Return x, y, z of four words, or None where all four are 0: HepMC's way to say that there is no position."""
    _exactly(words, 4)
    x, y, z, time = map(float, words)
    return (x, y, z) if x or y or z or time else None


def _units(event: _Event, words: list[str]) -> None:
    _exactly(words, 3)
    event.gev, event.cm = GEV[words[1]], CM[words[2]]


def _ignore(event: _Event, words: list[str]) -> None:
    """Skip a line that says nothing about particles."""


def _event_3(event: _Event, words: list[str]) -> None:  # E number vertices particles [@ x y z t]
    int(words[1])
    event.n_vertices, event.n_particles = int(words[2]), int(words[3])
    if len(words) > 4:
        if words[4] != "@":
            raise ValueError
        event.position = _position(words[5:]) or _ORIGIN


def _weights_3(event: _Event, words: list[str]) -> None:  # W first second ..
    event.weight = float(words[1])


def _vertex_3(event: _Event, words: list[str]) -> None:  # V id status [incoming,..] [@ x y z t]
    vertex = int(words[1])
    int(words[2])
    if vertex >= 0 or vertex in event.at or words[3][0] != "[" or words[3][-1] != "]":
        raise ValueError
    incoming = [int(word) for word in words[3][1:-1].split(",") if word]
    event.before[vertex] = [_birth(event, particle) for particle in incoming]
    if len(words) > 4 and words[4] != "@":
        raise ValueError
    event.at[vertex] = _position(words[5:]) if len(words) > 4 else None


def _birth(event: _Event, particle: int) -> int:
    """Return the vertex of a particle that was listed before."""
    if not 1 <= particle <= len(event.born_at):
        raise KeyError(particle)
    return event.born_at[particle - 1]


def _particle_3(event: _Event, words: list[str]) -> None:  # P id parent pdg px py pz energy mass status
    _exactly(words, 10)
    parent = int(words[2])
    # A negative parent is a vertex; a positive one is a particle that decays at a vertex without a line of its own.
    vertex = _birth(event, parent) if parent > 0 else parent
    if int(words[1]) != len(event.born_at) + 1:
        raise ValueError
    if vertex and vertex not in event.at:
        raise KeyError(vertex)
    event.born_at.append(vertex)
    pdg, px, py, pz, energy, _, status = int(words[3]), *map(float, words[4:9]), int(words[9])
    if status == FINAL:
        event.final.append((pdg, px, py, pz, energy, vertex))


def _event_2(event: _Event, words: list[str]) -> None:
    # E number interactions scale alphaQCD alphaQED process vertex vertices beam beam nRandom [..] nWeights [..]
    after_random = 12 + int(words[11])
    n_weights = int(words[after_random])
    _exactly(words, after_random + 1 + n_weights)
    event.n_vertices = int(words[8])
    if n_weights:
        event.weight = float(words[after_random + 1])


def _vertex_2(event: _Event, words: list[str]) -> None:  # V id number x y z ctau orphans outgoing nWeights [..]
    vertex = int(words[1])
    if vertex >= 0 or vertex in event.at or len(event.born_at) != event.n_particles:
        raise ValueError
    event.at[vertex] = _position(words[3:7])
    event.orphans, outgoing = int(words[7]), int(words[8])
    _exactly(words, 10 + int(words[9]))
    event.n_particles += event.orphans + outgoing


def _particle_2(event: _Event, words: list[str]) -> None:
    # P id pdg px py pz energy mass status theta phi endVertex nFlow [..]
    _exactly(words, 13 + 2 * int(words[12]))
    int(words[1])
    if len(event.born_at) == event.n_particles:
        raise ValueError  # more particles than the vertex announced
    vertex = 0 if event.orphans else next(reversed(event.at))
    event.orphans = max(event.orphans - 1, 0)
    event.born_at.append(vertex)
    event.before.setdefault(int(words[11]), []).append(vertex)
    pdg, px, py, pz, energy, _, status = int(words[2]), *map(float, words[3:8]), int(words[8])
    if status == FINAL:
        event.final.append((pdg, px, py, pz, energy, vertex))


_Line = Callable[[_Event, list[str]], None]
_LINES: dict[int, dict[str, _Line]] = {
    3: {"E": _event_3, "U": _units, "W": _weights_3, "V": _vertex_3, "P": _particle_3, "A": _ignore},
    2: {"E": _event_2, "U": _units, "V": _vertex_2, "P": _particle_2},
}
_LINES[2] |= dict.fromkeys("NCHF", _ignore)  # weight names, cross-section, heavy ion, parton densities
