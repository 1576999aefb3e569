"""The mix: collisions of all processes at their cross-sections, as the trigger would see them.

`MixSource.block` is a pure function of the settings and the event numbers: which process an event is, its particles,
the detector response and the trigger primitives are all drawn from counters of (seed, run, event).
"""

from __future__ import annotations

from typing import Protocol

from daq.event import EventBatch
from daq.settings import RunSettings
from daq.source.assembly import assemble
from daq.source.background import BeamBackground
from daq.source.beam import Beam
from daq.source.catalogue import NB_CM2, processes_of
from daq.source.kinematics import collision_frame
from daq.source.particles import Particles
from daq.source.standard.generator import make_generator


class Source(Protocol):
    """Where the chain gets its events from."""

    n_events: int
    process_names: tuple[str, ...]
    """Names of the processes; the column ``process`` indexes it."""
    cross_sections_nb: tuple[float, ...]
    """Their cross-sections [nb]; empty if they are not known."""

    def block(self, first: int, count: int) -> EventBatch:
        """Return ``count`` events from number ``first``; a function of the settings and the event numbers alone."""

    def interval_ns(self, first: int, count: int) -> tuple[int, int]:
        """Return the stretch [begin, end) of the run that belongs to these events; they tile the run."""

    def delivered_fb(self, begin_ns: int, end_ns: int) -> float | None:
        """Return the luminosity delivered in the interval [fb-1]; None if it is unknown."""


class MixSource:
    """A `Source` of generated collisions.

    Raises
    ------
    InputError
        As `daq.source.catalogue.processes_of`.
    """

    def __init__(self, settings: RunSettings):
        self.n_events = settings.events
        self._seed, self._run = settings.seed, settings.run
        frame = collision_frame(settings.beam)
        processes = processes_of(settings, frame)
        self.process_names = tuple(process.name for process in processes)
        self.cross_sections_nb = tuple(process.cross_section_nb for process in processes)
        where = {"seed": self._seed, "run": self._run}
        self._generator = make_generator(processes, self.cross_sections_nb, frame=frame, **where)
        rate_hz = sum(self.cross_sections_nb) * NB_CM2 * settings.beam.luminosity_cm2_s
        self.beam = Beam(settings.beam, rate_hz=rate_hz, **where)
        self.background = BeamBackground.of(settings)

    def block(self, first: int, count: int) -> EventBatch:
        """Return ``count`` events from number ``first``."""
        where = {"first_event": first, "seed": self._seed, "run": self._run}
        return assemble(self.particles(first, count), self.beam.stamp(first, count), self.background, **where)

    def particles(self, first: int, count: int) -> Particles:
        """Return the particles of the events, before the detector."""
        return self._generator.particles(first, count)

    def interval_ns(self, first: int, count: int) -> tuple[int, int]:
        """Return the stretch [begin, end) of the run that belongs to these events."""
        return self.beam.interval_ns(first, count)

    def delivered_fb(self, begin_ns: int, end_ns: int) -> float:
        """Return the luminosity delivered in the interval [fb-1]."""
        return self.beam.delivered_fb(begin_ns, end_ns)
