"""The mix: collisions of all processes at their cross-sections, as the trigger would see them.

`MixSource.block` is a pure function of the settings and the event numbers: which process an event is, its particles,
the detector response and the trigger primitives are all drawn from counters of (seed, run, event).
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from pydantic import Field, model_validator

from daq.errors import InputError
from daq.event import Array, EventBatch
from daq.jit import kernel
from daq.philox import STREAM_CHOICE, STREAM_PROCESS, new_draws, start, uniform
from daq.settings import CONFIGS, RunSettings, Settings, SignalSettings, load
from daq.source.beam import Beam
from daq.source.detector import respond
from daq.source.formats import read_sample
from daq.source.kinematics import CollisionFrame, collision_frame
from daq.source.particles import Particles
from daq.source.primitives import add_primitives
from daq.source.processes import Kind, ProcessTable, generate
from daq.source.signals import SIGNALS

NB_CM2 = 1e-33
PROCESSES, SAMPLES = CONFIGS / "processes", CONFIGS / "samples"


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


class ProcessSettings(Settings):
    """One process, a file in configs/processes."""

    title: str
    """What happens, for people."""
    sampler: Literal["bhabha", "gamma_gamma", "mu_pair", "alp_gamma_gamma", "sample"]
    """Which generator makes the events, or ``sample``: they are drawn from a committed file."""
    source: str
    """Where the cross-section (or the model) comes from."""
    cross_section_nb: float | None = Field(default=None, gt=0)
    """Cross-section in the acceptance [nb]; a signal has none of its own."""
    acceptance_deg: tuple[float, float] = (0.0, 180.0)
    """Polar angles of the pair in its rest frame [deg]."""
    pair_mass_min_gev: float = Field(default=0.5, gt=0.25)
    """Smallest mass of the pair after initial-state radiation [GeV]."""
    sample: str | None = None
    """Name of a file in configs/samples."""

    @property
    def is_signal(self) -> bool:
        """Tell whether mass and rate come from the run's settings."""
        return self.sampler in SIGNALS

    @model_validator(mode="after")
    def _consistent(self) -> ProcessSettings:
        low, high = self.acceptance_deg
        edge = 1e-3 if self.sampler in ("bhabha", "gamma_gamma") else 0.0  # their cross-sections diverge on the beam
        if not edge <= low < high <= 180 - edge:
            raise ValueError(f"acceptance_deg must rise within {edge:g} and {180 - edge:g}")
        if (self.sampler == "sample") != (self.sample is not None):
            raise ValueError('sample must be given if, and only if, sampler is "sample"')
        if self.is_signal != (self.cross_section_nb is None):
            raise ValueError("cross_section_nb must be given, except for a signal")
        return self


@dataclass(frozen=True, slots=True)
class Process:
    """One process of a run, its cross-section settled."""

    name: str
    settings: ProcessSettings
    cross_section_nb: float
    mass_gev: float = 0.0
    ctau_cm: float = 0.0


class MixSource:
    """A `Source` of generated collisions.

    Raises
    ------
    InputError
        If a process is unknown, listed twice, a signal where a process is due (or the reverse), or too heavy.
    """

    def __init__(self, settings: RunSettings):
        self.n_events = settings.events
        self._seed, self._run = settings.seed, settings.run
        self._frame = collision_frame(settings.beam)
        processes = _processes(settings, self._frame)
        self.process_names = tuple(process.name for process in processes)
        self.cross_sections_nb = tuple(process.cross_section_nb for process in processes)
        self._table = _table(processes)
        self._samples = {
            i: read_sample(SAMPLES / process.settings.sample)
            for i, process in enumerate(processes)
            if process.settings.sample is not None
        }
        total_nb = sum(self.cross_sections_nb)
        self._shares = np.cumsum(self.cross_sections_nb) / total_nb
        rate_hz = total_nb * NB_CM2 * settings.beam.luminosity_cm2_s
        self._beam = Beam(settings.beam, rate_hz=rate_hz, seed=self._seed, run=self._run)

    def block(self, first: int, count: int) -> EventBatch:
        """Return ``count`` events from number ``first``."""
        where = {"first_event": first, "seed": self._seed, "run": self._run}
        particles = self.particles(first, count)
        truth = {name: getattr(particles, name) for name in Particles.EVENT_FIELDS}
        batch = EventBatch(count, truth | self._beam.stamp(first, count) | respond(particles, **where), check=False)
        return add_primitives(batch, **where)

    def particles(self, first: int, count: int) -> Particles:
        """Return the particles of the events, before the detector."""
        process = np.zeros(count, dtype=np.int64)
        _choose(self._seed, self._run, STREAM_CHOICE, first, self._shares, process)
        events = np.arange(first, first + count, dtype=np.uint64)
        is_sample = np.isin(process, list(self._samples))
        rows = [np.flatnonzero(~is_sample)]
        parts = [self._generated(process[rows[0]], events[rows[0]])]
        for i, sample in self._samples.items():
            rows.append(np.flatnonzero(process == i))
            parts.append(self._drawn(i, sample, events[rows[-1]]))
        return Particles.concatenate(parts).take(np.argsort(np.concatenate(rows)))

    def interval_ns(self, first: int, count: int) -> tuple[int, int]:
        """Return the stretch [begin, end) of the run that belongs to these events."""
        return self._beam.interval_ns(first, count)

    def delivered_fb(self, begin_ns: int, end_ns: int) -> float:
        """Return the luminosity delivered in the interval [fb-1]."""
        return self._beam.delivered_fb(begin_ns, end_ns)

    def _generated(self, process: Array, events: Array) -> Particles:
        return generate(self._table, process, events, frame=self._frame, seed=self._seed, run=self._run)

    def _drawn(self, process: int, sample: Particles, events: Array) -> Particles:
        """Draw events of a sample and turn each about the collision axis, so that a repeated one looks different."""
        chosen, azimuth = np.zeros(events.size, dtype=np.int64), np.zeros(events.size)
        _draw(self._seed, self._run, STREAM_PROCESS, events, len(sample), chosen, azimuth)
        drawn = sample.take(chosen)
        turn = np.repeat(azimuth, np.diff(drawn.offsets))
        # The time of a vertex is not known: at the speed of light it is right to a few mrad of the flight direction.
        flight = np.sqrt(drawn.x**2 + drawn.y**2 + drawn.z**2)
        px, py, pz, energy = self._turned(turn, drawn.px, drawn.py, drawn.pz, drawn.energy)
        x, y, z, _ = self._turned(turn, drawn.x, drawn.y, drawn.z, flight)
        momenta = {"px": px, "py": py, "pz": pz, "energy": energy}
        chosen_process = np.full(events.size, process)
        return Particles.build(drawn.offsets, pdg=drawn.pdg, process=chosen_process, x=x, y=y, z=z, **momenta)

    def _turned(self, azimuth: Array, *components: Array) -> Array:
        """Turn lab four-vectors by ``azimuth`` about the collision axis of the CM."""
        x, y, z, t = self._frame.to_cm @ np.stack(components)
        cosine, sine = np.cos(azimuth), np.sin(azimuth)
        turned: Array = self._frame.to_lab @ np.stack([cosine * x - sine * y, sine * x + cosine * y, z, t])
        return turned


def _processes(settings: RunSettings, frame: CollisionFrame) -> list[Process]:
    """Settle the processes and signals of a run."""
    source = settings.source
    if not source.processes and not source.signals:
        raise InputError("a mix needs at least one process or signal", key="[source] processes")
    processes = [_background(name) for name in source.processes]
    processes += [_signal(signal, frame) for signal in source.signals]
    names = [process.name for process in processes]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise InputError("listed twice", key="[source] process", value=repeated)
    return processes


def _load(name: str, key: str) -> ProcessSettings:
    known = sorted(path.stem for path in PROCESSES.glob("*.toml"))
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"
        raise InputError(f"no such process in {PROCESSES.parent.name}/{PROCESSES.name} ({hint})", key=key, value=name)
    return load(PROCESSES / f"{name}.toml", ProcessSettings)


def _background(name: str) -> Process:
    settings = _load(name, "[source] processes")
    if settings.cross_section_nb is None:
        raise InputError("is a signal: list it under [[source.signals]]", key="[source] processes", value=name)
    return Process(name, settings, settings.cross_section_nb)


def _signal(signal: SignalSettings, frame: CollisionFrame) -> Process:
    settings = _load(signal.process, "[source.signals] process")
    if not settings.is_signal:
        rule = "is not a signal: list it under [source] processes"
        raise InputError(rule, key="[source.signals] process", value=signal.process)
    if signal.mass_gev >= frame.sqrt_s_gev:
        rule = f"must be below the collision energy, {frame.sqrt_s_gev:.3f} GeV"
        raise InputError(rule, key="[source.signals] mass_gev", value=signal.mass_gev)
    model, mass, s = SIGNALS[settings.sampler], signal.mass_gev, frame.sqrt_s_gev**2
    if signal.coupling is not None:
        cross_section_nb, coupling = model.cross_section_nb(mass, signal.coupling, s), signal.coupling
    else:
        cross_section_nb = signal.cross_section_nb or 0.0
        coupling = model.coupling(mass, cross_section_nb, s)
    name = f"{signal.process}_{mass:g}gev"
    return Process(name, settings, cross_section_nb, mass, model.ctau_cm(mass, coupling))


def _table(processes: Sequence[Process]) -> ProcessTable:
    """Write the processes as columns for the generators; a row of a sample is never asked for."""
    cosines = np.cos(np.radians([process.settings.acceptance_deg for process in processes]))
    samplers = [process.settings.sampler.upper() for process in processes]
    return ProcessTable(
        kind=np.array([Kind[sampler] if sampler != "SAMPLE" else -1 for sampler in samplers]),
        cos_min=cosines[:, 1],
        cos_max=cosines[:, 0],
        pair_mass_min_gev=np.array([process.settings.pair_mass_min_gev for process in processes]),
        mass_gev=np.array([process.mass_gev for process in processes]),
        ctau_cm=np.array([process.ctau_cm for process in processes]),
    )


@kernel
def _choose(seed: int, run: int, stream: int, first: int, shares: Array, process: Array) -> None:
    """Draw the process of each event; ``shares`` are the cumulative shares of the cross-section."""
    draws = new_draws()
    for i in range(process.size):
        start(draws, seed, run, first + i, stream)
        process[i] = min(np.searchsorted(shares, uniform(draws)), shares.size - 1)


@kernel
def _draw(seed: int, run: int, stream: int, events: Array, size: int, chosen: Array, azimuth: Array) -> None:
    """Draw for each event one of ``size`` rows and an azimuth."""
    draws = new_draws()
    for i in range(events.size):
        start(draws, seed, run, events[i], stream)
        chosen[i] = int(uniform(draws) * size)
        azimuth[i] = 2.0 * math.pi * uniform(draws)
