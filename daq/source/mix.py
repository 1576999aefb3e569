"""The mix: collisions of all processes at their cross-sections, as the trigger would see them.

`MixSource.block` is a pure function of the settings and the event numbers: which process an event is, its particles,
the detector response and the trigger primitives are all drawn from counters of (seed, run, event).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from pydantic import Field, model_validator

from daq.errors import InputError, naming
from daq.event import Array, EventBatch
from daq.jit import kernel
from daq.philox import STREAM_CHOICE, STREAM_PROCESS, new_draws, start, uniform
from daq.settings import CONFIGS, BeamSettings, RunSettings, Settings, SignalSettings, parse, read_toml
from daq.source.assembly import assemble
from daq.source.background import BeamBackground
from daq.source.beam import Beam
from daq.source.cascade import Chains, generate_chains
from daq.source.compiled import join
from daq.source.decay import ChainSettings
from daq.source.formats import read_sample
from daq.source.kinematics import CollisionFrame, collision_frame
from daq.source.particles import Particles
from daq.source.processes import Kind, ProcessTable, generate
from daq.source.signals import Signal, check_process, settle
from daq.source.species import closest

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
    """One background process, a file in configs/processes; signals are `ChainSettings`."""

    title: str
    """What happens, for people."""
    sampler: Literal["bhabha", "gamma_gamma", "mu_pair", "sample"]
    """Which generator makes the events, or ``sample``: they are drawn from a committed file."""
    source: str
    """Where the cross-section (or the model) comes from."""
    cross_section_nb: float = Field(gt=0)
    """Cross-section in the acceptance [nb]."""
    acceptance_deg: tuple[float, float] = (0.0, 180.0)
    """Polar angles of the pair in its rest frame [deg]."""
    pair_mass_min_gev: float = Field(default=0.5, gt=0.25)
    """Smallest mass of the pair after initial-state radiation [GeV]."""
    sample: str | None = None
    """Name of a file in configs/samples."""

    @model_validator(mode="after")
    def _consistent(self) -> ProcessSettings:
        low, high = self.acceptance_deg
        edge = 1e-3 if self.sampler in ("bhabha", "gamma_gamma") else 0.0  # their cross-sections diverge on the beam
        if not edge <= low < high <= 180 - edge:
            raise ValueError(f"acceptance_deg must rise within {edge:g} and {180 - edge:g}")
        if (self.sampler == "sample") != (self.sample is not None):
            raise ValueError('sample must be given if, and only if, sampler is "sample"')
        return self


@dataclass(frozen=True, slots=True)
class Background:
    """One background process of a run."""

    name: str
    cross_section_nb: float
    settings: ProcessSettings


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
        signals = [process for process in processes if isinstance(process, Signal)]
        self._chains = join([signal.chains for signal in signals]) if signals else None
        self._first_signal = len(processes) - len(signals)
        self._truth = np.array([(signal.mass_gev, signal.ctau_cm) for signal in signals]).reshape(-1, 2)
        self._samples = {
            i: read_sample(SAMPLES / process.settings.sample)
            for i, process in enumerate(processes)
            if isinstance(process, Background) and process.settings.sample is not None
        }
        total_nb = sum(self.cross_sections_nb)
        self._shares = np.cumsum(self.cross_sections_nb) / total_nb
        rate_hz = total_nb * NB_CM2 * settings.beam.luminosity_cm2_s
        self.beam = Beam(settings.beam, rate_hz=rate_hz, seed=self._seed, run=self._run)
        self.background = BeamBackground.of(settings)

    def block(self, first: int, count: int) -> EventBatch:
        """Return ``count`` events from number ``first``."""
        where = {"first_event": first, "seed": self._seed, "run": self._run}
        return assemble(self.particles(first, count), self.beam.stamp(first, count), self.background, **where)

    def particles(self, first: int, count: int) -> Particles:
        """Return the particles of the events, before the detector."""
        process = np.zeros(count, dtype=np.int64)
        _choose(self._seed, self._run, STREAM_CHOICE, first, self._shares, process)
        events = np.arange(first, first + count, dtype=np.uint64)
        is_signal = process >= self._first_signal
        is_sample = np.isin(process, list(self._samples))
        rows = [np.flatnonzero(~is_sample & ~is_signal)]
        parts = [self._generated(process[rows[0]], events[rows[0]])]
        if self._chains is not None:
            rows.append(np.flatnonzero(is_signal))
            parts.append(self._chained(self._chains, process[rows[1]], events[rows[1]]))
        for i, sample in self._samples.items():
            rows.append(np.flatnonzero(process == i))
            parts.append(self._drawn(i, sample, events[rows[-1]]))
        return Particles.concatenate(parts).take(np.argsort(np.concatenate(rows)))

    def interval_ns(self, first: int, count: int) -> tuple[int, int]:
        """Return the stretch [begin, end) of the run that belongs to these events."""
        return self.beam.interval_ns(first, count)

    def delivered_fb(self, begin_ns: int, end_ns: int) -> float:
        """Return the luminosity delivered in the interval [fb-1]."""
        return self.beam.delivered_fb(begin_ns, end_ns)

    def _generated(self, process: Array, events: Array) -> Particles:
        return generate(self._table, process, events, frame=self._frame, seed=self._seed, run=self._run)

    def _chained(self, chains: Chains, process: Array, events: Array) -> Particles:

        chain = process - self._first_signal
        mass, ctau = self._truth[chain].T
        where = {"seed": self._seed, "run": self._run}
        return generate_chains(
            chains, chain, events, process=process, mass_gev=mass, ctau_cm=ctau, frame=self._frame, **where
        )

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


def load_process(path: Path) -> ProcessSettings | ChainSettings:
    """Read a file of configs/processes; raise `InputError` with every broken rule."""
    tables = read_toml(path)
    if tables.get("sampler") != "decay_chain":
        return parse(tables, ProcessSettings, file=path)
    settings = parse(tables, ChainSettings, file=path)
    check_process(settings, path)
    return settings


def what_process(path: Path) -> str:
    """Check a file of configs/processes, a signal at the masses that it gives, and say what it is."""
    settings = load_process(path)
    if isinstance(settings, ChainSettings):
        main = settings.particles[settings.particle].mass_gev if settings.particle else None
        probe = SignalSettings(process=path.stem, mass_gev=main, cross_section_nb=1.0)
        with naming(path):
            settle(probe, settings, collision_frame(BeamSettings()).sqrt_s_gev)
        return f"a signal: {settings.title}"
    return f"a process: {settings.title}"


def _processes(settings: RunSettings, frame: CollisionFrame) -> list[Background | Signal]:
    """Settle the processes and signals of a run, signals last."""
    source = settings.source
    if not source.processes and not source.signals:
        raise InputError("a mix needs at least one process or signal", key="[source] processes")
    processes: list[Background | Signal] = [_background(name) for name in source.processes]
    processes += [_signal(signal, frame) for signal in source.signals]
    names = [process.name for process in processes]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise InputError("listed twice", key="[source] process", value=repeated)
    return processes


def _named(name: str, key: str) -> ProcessSettings | ChainSettings:
    known = sorted(path.stem for path in PROCESSES.glob("*.toml"))
    if name not in known:
        rule = closest(name, known, f"no such process in {PROCESSES.parent.name}/{PROCESSES.name}")
        raise InputError(rule, key=key, value=name)
    return load_process(PROCESSES / f"{name}.toml")


def _background(name: str) -> Background:
    settings = _named(name, "[source] processes")
    if isinstance(settings, ChainSettings):
        raise InputError("is a signal: list it under [[source.signals]]", key="[source] processes", value=name)
    return Background(name, settings.cross_section_nb, settings)


def _signal(signal: SignalSettings, frame: CollisionFrame) -> Signal:
    settings = _named(signal.process, "[source.signals] process")
    if not isinstance(settings, ChainSettings):
        rule = "is not a signal: list it under [source] processes"
        raise InputError(rule, key="[source.signals] process", value=signal.process)
    return settle(signal, settings, frame.sqrt_s_gev)


def _table(processes: Sequence[Background | Signal]) -> ProcessTable:
    """Write the background processes as columns for the generators; a row of a sample is never asked for."""
    all_of = [process.settings for process in processes if isinstance(process, Background)]
    cosines = np.cos(np.radians([settings.acceptance_deg for settings in all_of])).reshape(-1, 2)
    samplers = [settings.sampler.upper() for settings in all_of]
    return ProcessTable(
        kind=np.array([Kind[sampler] if sampler != "SAMPLE" else -1 for sampler in samplers], dtype=np.int64),
        cos_min=cosines[:, 1],
        cos_max=cosines[:, 0],
        pair_mass_min_gev=np.array([settings.pair_mass_min_gev for settings in all_of]),
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
