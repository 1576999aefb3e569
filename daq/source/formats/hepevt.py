"""HEPEVT text in HepMC's layout: ``E number particles``, then two lines a particle.

The first has status, PDG code, two mothers, two daughters, px, py, pz, energy, mass; the second x, y, z, t. GeV and mm,
as in the Fortran common block (Altarelli, Kleiss, Verzegnassi (eds.), "Z physics at LEP 1", CERN 89-08 (1989), vol. 3,
p. 327). The format has no weights, and no mark at its end: a file cut just between two events cannot be told from a
shorter one; compressed with gzip it can.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from daq.source.formats.text import CM, FINAL, Collector, FinalState, TextFile
from daq.source.particles import Particles


def read_hepevt(path: Path, chunk: int) -> Iterator[Particles]:
    """Yield the final-state particles (status 1) of a HEPEVT file, at most ``chunk`` events at a time.

    Raises
    ------
    InputError
        With the line, if the file is cut, garbled, or has another layout.
    """
    file = TextFile(path)
    lines = iter(file)
    collector = Collector(path)
    for line in lines:
        if line.isspace():
            continue
        letter, _, n_particles = _numbers(file, line, "E number particles", str, int, int)
        if letter != "E":
            raise file.error("not HEPEVT in HepMC's layout: an event must start with 'E number particles'")
        particles: list[FinalState] = []
        for _ in range(n_particles):
            head = _numbers(file, next(lines, ""), "six integers and five numbers", *[int] * 6, *[float] * 5)
            place = _numbers(file, next(lines, ""), "x y z t", *[float] * 4)
            if head[0] == FINAL:
                x, y, z = (CM["MM"] * value for value in place[:3])
                particles.append((head[1], *head[6:10], x, y, z))
        collector.add(particles, 1.0)
        if len(collector) == chunk:
            yield collector.flush()
    if file.line == 0:
        raise file.error("not HEPEVT: the file is empty")
    if len(collector):
        yield collector.flush()


def _numbers(file: TextFile, line: str, layout: str, *kinds: type) -> tuple:  # type: ignore[type-arg]
    """Return the words of a line, each as its kind. A line without its end may have lost digits, so it is refused."""
    words = line.split()
    if len(words) != len(kinds) or not line.endswith("\n"):
        raise file.error(f"cut short, or not HEPEVT in HepMC's layout: expected '{layout}'")
    try:
        return tuple(kind(word) for kind, word in zip(kinds, words, strict=True))
    except ValueError:
        raise file.error(f"expected '{layout}', not: {' '.join(words)[:60]}") from None
