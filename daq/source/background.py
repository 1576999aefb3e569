"""Beam background, laid over each collision: stray particles, soft clusters out of time, noise in the drift chamber.

Each kind enters where it is simplest to have it seen by all that follows, after what the collision itself left there:

* particles from the beam pipe join those of the event, before the detector response: tracks with large z0, their
  clusters and trigger primitives come out alike;
* soft ECL clusters join the clusters after the response, with times far outside of its resolution, before the trigger
  cells are made of them;
* CDC track segments join those of the tracks.

How many there are is a Poisson number, of a mean that rises after an injection whenever the injected bunch comes round.
All draws are of streams of their own: the particles of the collisions are the same with background and without.

Approximate: the background does not grow with luminosity or currents by itself (`level` is for that), clusters are even
in the solid angle, over the gaps of the ECL too, and do not add to others that they fall upon, particles are half
electrons and half protons in time with the collision, and each superlayer has as much noise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from daq.clock import TICK_NS
from daq.event import LAYOUT, OFFSET, Array, InjectionRing
from daq.jit import kernel_lean
from daq.philox import (
    STREAM_BACKGROUND,
    STREAM_BACKGROUND_CLUSTERS,
    STREAM_BACKGROUND_SEGMENTS,
    STREAM_BACKGROUND_TRACKS,
    exponential,
    new_draws,
    start,
    uniform,
)
from daq.settings import BackgroundSettings, RunSettings
from daq.source.angles import atan2, sincos
from daq.source.helix import ECL_BACK_CM, ECL_FRONT_CM, ECL_RADIUS_CM, SUPERLAYERS
from daq.source.particles import Particles

_SEGMENT_STARTS = np.concatenate([[0], np.cumsum(SUPERLAYERS[:, 4])]).astype(np.int64)
_MOMENTUM = ("px", "py", "pz", "energy", "x", "y", "z")
_MEASURED = tuple(
    f"clusters.{name}" for name in ("energy_gev", "theta", "phi", "r_cm", "time_ns", "dt99_ns", "zernike_mva")
)
_FLAGS = ("clusters.is_track", "clusters.has_photon_hypothesis")


class Stray(NamedTuple):
    """Particles from the beam pipe [GeV, cm]."""

    pt_mean: float
    z_max: float
    pipe_radius: float = 1.0  # of the beam pipe, as the facts have it
    cosine_min: float = -0.91  # 155 to 12 deg: what is steeper reaches nothing
    cosine_max: float = 0.98
    electron_gev: float = 0.51099895e-3
    proton_gev: float = 0.93827209


class Soft(NamedTuple):
    """Soft clusters [GeV, ns, rad]."""

    energy_mean: float
    time_max: float
    # Threshold of a cluster, acceptance, and time resolution, as for the clusters of collisions.
    energy_min: float = 0.020
    theta_min: float = math.radians(12.4)
    theta_max: float = math.radians(155.1)
    time_constant: float = 0.8
    time_noise: float = 0.25


class Burst(NamedTuple):
    """Background after injections [us]; index 0 is for no injection, then as in `daq.event.InjectionRing`."""

    factor: float
    decay: float
    begin: Array
    end: Array


class Laid(NamedTuple):
    """How much background each of N events has: offsets of its objects, by kind."""

    clusters: Array
    tracks: Array
    segments: Array


class BeamBackground:
    """The beam background of one run; that of event k depends on (settings, seed, run, k) and its time alone."""

    @classmethod
    def of(cls, settings: RunSettings) -> BeamBackground | None:
        """Return the background that the settings of a run ask for, if any."""
        background = settings.source.background
        return None if background is None else cls(background, seed=settings.seed, run=settings.run)

    def __init__(self, settings: BackgroundSettings, *, seed: int, run: int):
        self._key = seed, run
        self._means = np.array([settings.level * getattr(settings, kind) for kind in Laid._fields])
        self._table = _poisson_table(self._means)
        self._stray = Stray(settings.track_pt_gev, settings.track_z_cm)
        self._soft = Soft(settings.cluster_energy_gev, settings.cluster_time_ns)
        gates = np.zeros((2, len(InjectionRing)))
        gates[:, InjectionRing.LER], gates[:, InjectionRing.HER] = (
            settings.burst.ler_gate_us,
            settings.burst.her_gate_us,
        )
        self._burst = Burst(settings.burst.factor, settings.burst.decay_us, *gates)

    def strength(self, stamps: Mapping[str, Array]) -> Array:
        """Return how strong the background is at the times that the clock gives, (N,) float64, 1 if nothing is new."""
        out = np.empty(stamps["bunch"].size)
        since_us, ring, bunch = (stamps[name] for name in ("t_injection_us", "injection_ring", "bunch"))
        _strength(since_us, ring, bunch, self._burst, TICK_NS * 1e-3, out)
        return out

    def lay(self, stamps: Mapping[str, Array], first_event: int) -> Laid:
        """Return how much there is in the events from ``first_event``, at the times that the clock gives."""
        strength = self.strength(stamps)
        offsets = np.zeros((len(self._means), strength.size + 1), dtype=OFFSET)
        key = (*self._key, STREAM_BACKGROUND)
        _count(key, new_draws(), first_event, self._means, self._table, strength, offsets)
        return Laid(*offsets)

    def with_tracks(self, particles: Particles, laid: Laid, first_event: int) -> Particles:
        """Return the particles with those from the beam pipe, last in each event."""
        if not laid.tracks[-1]:
            return particles
        offsets = particles.offsets + laid.tracks
        before = particles.offsets
        fields = _spread(before, {name: getattr(particles, name) for name in _MOMENTUM}, offsets, np.float64)
        pdg = _spread(before, {"pdg": particles.pdg}, offsets, particles.pdg.dtype)
        key = (*self._key, STREAM_BACKGROUND_TRACKS)
        _draw_stray(
            key, new_draws(), first_event, offsets, laid.tracks, self._stray, tuple(fields.values()), pdg["pdg"]
        )
        events = {name: getattr(particles, name) for name in Particles.EVENT_FIELDS}
        return Particles(offsets=offsets, **pdg, **fields, **events)

    def with_clusters(self, objects: dict[str, Array], laid: Laid, first_event: int) -> dict[str, Array]:
        """Return the arrays of tracks and clusters with the soft clusters, last in each event."""
        before = objects["clusters.offsets"]
        offsets = before + laid.clusters
        measured = _spread(before, {name: objects[name] for name in _MEASURED}, offsets, LAYOUT[_MEASURED[0]])
        flags = _spread(before, {name: objects[name] for name in _FLAGS}, offsets, np.bool_)
        _draw_soft(
            (*self._key, STREAM_BACKGROUND_CLUSTERS), new_draws(), first_event, offsets, laid.clusters, self._soft,
            (ECL_RADIUS_CM, ECL_BACK_CM, ECL_FRONT_CM), tuple(measured.values()), *flags.values(),
        )  # fmt: skip
        return objects | measured | flags | {"clusters.offsets": offsets}

    def with_segments(self, fired: Mapping[str, Array], laid: Laid, first_event: int) -> dict[str, Array]:
        """Return the arrays of the primitives with the segments of noise among those of tracks, rising, each once."""
        before = fired["segments.offsets"]
        segments = np.empty(int(before[-1]) + int(laid.segments[-1]), dtype=LAYOUT["segments"])
        after = np.zeros_like(before)
        _fill_segments(
            (*self._key, STREAM_BACKGROUND_SEGMENTS), new_draws(), first_event, before, fired["segments"],
            laid.segments, _SEGMENT_STARTS, after, segments,
        )  # fmt: skip
        return {**fired, "segments.offsets": after, "segments": segments[: after[-1]]}


def _spread(before: Array, columns: Mapping[str, Array], after: Array, dtype: Any) -> dict[str, Array]:
    """Return the objects of events at new offsets, in columns of one dtype; what is new there is not filled."""
    old = tuple(np.ascontiguousarray(values, dtype=dtype) for values in columns.values())
    out = np.empty((len(old), int(after[-1])), dtype=dtype)
    _move(before, old, after, out)
    return dict(zip(columns, out, strict=True))


@kernel_lean
def _move(before: Array, columns: tuple[Array, ...], after: Array, out: Array) -> None:
    last = before.size - 1
    for k in range(len(columns)):
        values, begin, shift = columns[k], 0, 0
        for i in range(1, last + 1):
            moved = after[i] - before[i]
            if moved != shift or i == last:  # what comes before the new objects of event i - 1 moves together
                for j in range(begin, before[i]):
                    out[k, j + shift] = values[j]
                begin, shift = before[i], moved


def _poisson_table(means: Array) -> Array:
    """Return (kinds, 64) the probability of at most so many objects where nothing raises the mean."""
    number = np.arange(64)
    factorials = np.array([math.lgamma(n + 1) for n in number])
    logs = number * np.log(np.maximum(means, 1e-300))[:, None] - means[:, None] - factorials
    table: Array = np.cumsum(np.exp(logs), axis=1)
    return table


@kernel_lean
def _strength(since_us: Array, ring: Array, bunch: Array, burst: Burst, tick_us: float, out: Array) -> None:
    for i in range(out.size):
        place = bunch[i] * tick_us
        out[i] = 1.0
        if burst.begin[ring[i]] <= place < burst.end[ring[i]]:
            out[i] += burst.factor * math.exp(-since_us[i] / burst.decay)


@kernel_lean
def _poisson(left: float, mean: float) -> int:
    """Return the Poisson number of mean up to 700 that a uniform number stands for."""
    probability = math.exp(-mean)
    count = 0
    while left > probability > 0.0:
        left -= probability
        count += 1
        probability *= mean / count
    return count


@kernel_lean
def _count(
    key: tuple[int, int, int], states: Array, first_event: int, means: Array, table: Array, strength: Array,
    offsets: Array,
) -> None:  # fmt: skip
    draws = states[0]
    seed, run, stream = key
    last = table.shape[1] - 1
    for i in range(strength.size):
        start(draws, seed, run, first_event + i, stream)
        for kind in range(means.size):
            chance, count = uniform(draws), 0
            if strength[i] == 1.0:  # almost always
                while count < last and chance > table[kind, count]:
                    count += 1
            if strength[i] != 1.0 or count == last:
                count = _poisson(chance, means[kind] * strength[i])
            offsets[kind, i + 1] = offsets[kind, i] + count


@kernel_lean
def _draw_stray(
    key: tuple[int, int, int], states: Array, first_event: int, offsets: Array, laid: Array, stray: Stray,
    particle: tuple[Array, ...], pdg: Array,
) -> None:  # fmt: skip
    draws = states[0]
    seed, run, stream = key
    px, py, pz, energy, x, y, z = particle
    for i in range(offsets.size - 1):
        added = laid[i + 1] - laid[i]
        if added == 0:
            continue
        start(draws, seed, run, first_event + i, stream)
        for j in range(offsets[i + 1] - added, offsets[i + 1]):
            species = uniform(draws)
            pdg[j] = 2212 if species < 0.5 else 11 if species < 0.75 else -11
            mass = stray.proton_gev if species < 0.5 else stray.electron_gev
            pt = stray.pt_mean * exponential(draws)
            cosine = stray.cosine_min + (stray.cosine_max - stray.cosine_min) * uniform(draws)
            sine, along = sincos(2.0 * math.pi * uniform(draws))
            px[j], py[j] = pt * along, pt * sine
            pz[j] = pt * cosine / math.sqrt(1.0 - cosine * cosine)
            energy[j] = math.sqrt(pt * pt + pz[j] * pz[j] + mass * mass)
            sine, along = sincos(2.0 * math.pi * uniform(draws))
            x[j], y[j] = stray.pipe_radius * along, stray.pipe_radius * sine
            z[j] = stray.z_max * (2.0 * uniform(draws) - 1.0)


@kernel_lean
def _draw_soft(
    key: tuple[int, int, int], states: Array, first_event: int, offsets: Array, laid: Array, soft: Soft,
    surface: tuple[float, float, float], measured: tuple[Array, ...], is_track: Array, has_photon_hypothesis: Array,
) -> None:  # fmt: skip
    draws = states[0]
    seed, run, stream = key
    radius, back, front = surface
    energy, theta, phi, r, time, dt99, shape = measured
    low, high = math.cos(soft.theta_max), math.cos(soft.theta_min)
    for i in range(offsets.size - 1):
        added = laid[i + 1] - laid[i]
        if added == 0:
            continue
        start(draws, seed, run, first_event + i, stream)
        for j in range(offsets[i + 1] - added, offsets[i + 1]):
            deposit = soft.energy_min + soft.energy_mean * exponential(draws)
            cosine = low + (high - low) * uniform(draws)
            sine = math.sqrt((1.0 - cosine) * (1.0 + cosine))
            noise = soft.time_noise / deposit
            energy[j] = deposit
            theta[j] = atan2(sine, cosine)
            phi[j] = math.pi * (2.0 * uniform(draws) - 1.0)
            r[j] = min(radius / sine, (front if cosine > 0.0 else back) / cosine)  # infinite at cosine 0
            time[j] = soft.time_max * (2.0 * uniform(draws) - 1.0)
            dt99[j] = 2.576 * math.sqrt(soft.time_constant * soft.time_constant + noise * noise)
            shape[j] = uniform(draws)
            is_track[j], has_photon_hypothesis[j] = False, True


@kernel_lean
def _fill_segments(
    key: tuple[int, int, int], states: Array, first_event: int, before: Array, old: Array, laid: Array, starts: Array,
    after: Array, out: Array,
) -> None:  # fmt: skip
    draws = states[0]
    seed, run, stream = key
    n_layers = starts.size - 1
    end = 0
    for i in range(before.size - 1):
        first = end
        for j in range(before[i], before[i + 1]):
            out[end] = old[j]
            end += 1
        added = laid[i + 1] - laid[i]
        if added > 0:
            start(draws, seed, run, first_event + i, stream)
        for _ in range(added):
            place = uniform(draws) * n_layers  # its whole part is the superlayer, the rest of it the azimuth
            layer = int(place)
            size = starts[layer + 1] - starts[layer]
            end = _insert(out, first, end, starts[layer] + int((place - layer) * size))
        after[i + 1] = end


@kernel_lean
def _insert(values: Array, first: int, end: int, value: int) -> int:
    """Insert a value into the rising values[first:end] unless it is there; return the new end."""
    place = end
    while place > first and values[place - 1] > value:
        place -= 1
    if place > first and values[place - 1] == value:
        return end
    for j in range(end, place, -1):
        values[j] = values[j - 1]
    values[place] = value
    return end + 1
