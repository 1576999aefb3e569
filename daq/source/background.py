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
in the solid angle and do not add to others that they fall upon, particles are half electrons and half protons in time
with the collision, and noise is even over the superlayers.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from daq.clock import TICK_NS
from daq.event import LAYOUT, OFFSET, Array, EventBatch, InjectionRing
from daq.jit import kernel
from daq.philox import (
    STREAM_BACKGROUND_CLUSTERS,
    STREAM_BACKGROUND_SEGMENTS,
    STREAM_BACKGROUND_TRACKS,
    exponential,
    new_draws,
    start,
    uniform,
)
from daq.settings import BackgroundSettings, RunSettings
from daq.source.helix import ECL_BACK_CM, ECL_FRONT_CM, ECL_RADIUS_CM, SUPERLAYERS
from daq.source.particles import Particles

_SEGMENT_STARTS = np.concatenate([[0], np.cumsum(SUPERLAYERS[:, 4])]).astype(np.int64)
_SEEN = ("energy_gev", "theta", "phi", "r_cm", "time_ns", "dt99_ns", "zernike_mva")


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


class BeamBackground:
    """The beam background of one run; that of event k depends on (settings, seed, run, k) and its time alone."""

    @classmethod
    def of(cls, settings: RunSettings) -> BeamBackground | None:
        """Return the background that the settings of a run ask for, if any."""
        background = settings.source.background
        return None if background is None else cls(background, seed=settings.seed, run=settings.run)

    def __init__(self, settings: BackgroundSettings, *, seed: int, run: int):
        self._key = seed, run
        self._means = {kind: settings.level * getattr(settings, kind) for kind in ("clusters", "tracks", "segments")}
        self._stray = Stray(settings.track_pt_gev, settings.track_z_cm)
        self._soft = Soft(settings.cluster_energy_gev, settings.cluster_time_ns)
        gates = np.zeros((2, len(InjectionRing)))
        gates[:, InjectionRing.LER], gates[:, InjectionRing.HER] = (
            settings.burst.ler_gate_us,
            settings.burst.her_gate_us,
        )
        self._burst = Burst(settings.burst.factor, settings.burst.decay_us, *gates)

    def strength(self, stamps: dict[str, Array]) -> Array:
        """Return how strong the background is at the times that the clock gives, (N,) float64, 1 if nothing is new."""
        out = np.empty(stamps["bunch"].size)
        since_us, ring, bunch = (stamps[name] for name in ("t_injection_us", "injection_ring", "bunch"))
        _strength(since_us, ring, bunch, self._burst, TICK_NS * 1e-3, out)
        return out

    def with_tracks(self, particles: Particles, strength: Array, first_event: int) -> Particles:
        """Return the particles with those from the beam pipe, last in each event."""
        key = (*self._key, STREAM_BACKGROUND_TRACKS)
        offsets = self._count(key, "tracks", strength, first_event)
        if not offsets[-1]:
            return particles
        pdg, momenta = np.empty(offsets[-1], dtype="<i4"), np.empty((7, int(offsets[-1])))
        _draw_stray(key, first_event, offsets, self._stray, pdg, momenta)
        added = dict(zip(("px", "py", "pz", "energy", "x", "y", "z"), momenta, strict=True)) | {"pdg": pdg}
        fields = {
            name: _joined(particles.offsets, getattr(particles, name), offsets, values)
            for name, values in added.items()
        }
        events = {name: getattr(particles, name) for name in Particles.EVENT_FIELDS}
        return Particles(offsets=particles.offsets + offsets, **fields, **events)

    def with_clusters(self, objects: dict[str, Array], strength: Array, first_event: int) -> dict[str, Array]:
        """Return the arrays of tracks and clusters with the soft clusters, last in each event."""
        key = (*self._key, STREAM_BACKGROUND_CLUSTERS)
        offsets, before = self._count(key, "clusters", strength, first_event), objects["clusters.offsets"]
        added = np.empty((len(_SEEN), int(offsets[-1])), dtype="<f4")
        _draw_soft(key, first_event, offsets, self._soft, (ECL_RADIUS_CM, ECL_BACK_CM, ECL_FRONT_CM), added)
        columns = {f"clusters.{name}": values for name, values in zip(_SEEN, added, strict=True)}
        columns["clusters.is_track"] = np.zeros(added.shape[1], dtype=np.bool_)
        columns["clusters.has_photon_hypothesis"] = np.ones(added.shape[1], dtype=np.bool_)
        joined = {name: _joined(before, objects[name], offsets, values) for name, values in columns.items()}
        return objects | joined | {"clusters.offsets": before + offsets}

    def with_segments(self, batch: EventBatch, strength: Array, first_event: int) -> EventBatch:
        """Return the batch with the segments of noise among those of its tracks, in rising order, each once."""
        key = (*self._key, STREAM_BACKGROUND_SEGMENTS)
        offsets, before = self._count(key, "segments", strength, first_event), batch["segments.offsets"]
        segments = np.empty(int(before[-1]) + int(offsets[-1]), dtype=LAYOUT["segments"])
        after = np.zeros_like(offsets)
        _fill_segments(
            key, first_event, before, batch["segments"], offsets, SUPERLAYERS[:, 4], _SEGMENT_STARTS, after, segments
        )
        return batch.replaced({"segments.offsets": after, "segments": segments[: after[-1]]})

    def _count(self, key: tuple[int, int, int], kind: str, strength: Array, first_event: int) -> Array:
        """Return the offsets of the objects of a kind."""
        offsets = np.zeros(strength.size + 1, dtype=OFFSET)
        _count_objects(key, first_event, self._means[kind], strength, offsets)
        return offsets


def _joined(before: Array, old: Array, offsets: Array, new: Array) -> Array:
    """Return the objects of both, event by event, the old ones first, in the dtype of the new ones."""
    out = np.empty(old.shape[0] + new.shape[0], dtype=new.dtype)
    _interleave(before, old, offsets, new, out)
    return out


@kernel
def _interleave(before: Array, old: Array, offsets: Array, new: Array, out: Array) -> None:
    place = 0
    for i in range(before.size - 1):
        for j in range(before[i], before[i + 1]):
            out[place] = old[j]
            place += 1
        for j in range(offsets[i], offsets[i + 1]):
            out[place] = new[j]
            place += 1


@kernel
def _strength(since_us: Array, ring: Array, bunch: Array, burst: Burst, tick_us: float, out: Array) -> None:
    for i in range(out.size):
        place = bunch[i] * tick_us
        out[i] = 1.0
        if burst.begin[ring[i]] <= place < burst.end[ring[i]]:
            out[i] += burst.factor * math.exp(-since_us[i] / burst.decay)


@kernel
def _poisson(draws: Array, mean: float) -> int:
    """Return a Poisson number of mean up to 700, by adding up its probabilities: one draw."""
    left = uniform(draws)
    probability = math.exp(-mean)
    count = 0
    while left > probability > 0.0:
        left -= probability
        count += 1
        probability *= mean / count
    return count


@kernel
def _count_objects(key: tuple[int, int, int], first_event: int, mean: float, strength: Array, offsets: Array) -> None:
    draws = new_draws()
    seed, run, stream = key
    for i in range(strength.size):
        start(draws, seed, run, first_event + i, stream)
        offsets[i + 1] = offsets[i] + _poisson(draws, mean * strength[i])


@kernel
def _draw_stray(
    key: tuple[int, int, int], first_event: int, offsets: Array, stray: Stray, pdg: Array, particle: Array
) -> None:
    draws = new_draws()
    seed, run, stream = key
    for i in range(offsets.size - 1):
        if offsets[i] == offsets[i + 1]:
            continue
        start(draws, seed, run, first_event + i, stream)
        uniform(draws)  # their number
        for j in range(offsets[i], offsets[i + 1]):
            species = uniform(draws)
            pdg[j] = 2212 if species < 0.5 else 11 if species < 0.75 else -11
            pt = stray.pt_mean * exponential(draws)
            cosine = stray.cosine_min + (stray.cosine_max - stray.cosine_min) * uniform(draws)
            phi, around = 2.0 * math.pi * uniform(draws), 2.0 * math.pi * uniform(draws)
            particle[0, j], particle[1, j] = pt * math.cos(phi), pt * math.sin(phi)
            particle[2, j] = pt * cosine / math.sqrt(1.0 - cosine * cosine)
            mass = stray.proton_gev if species < 0.5 else stray.electron_gev
            particle[3, j] = math.sqrt(pt * pt + particle[2, j] ** 2 + mass * mass)
            particle[4, j], particle[5, j] = stray.pipe_radius * math.cos(around), stray.pipe_radius * math.sin(around)
            particle[6, j] = stray.z_max * (2.0 * uniform(draws) - 1.0)


@kernel
def _draw_soft(
    key: tuple[int, int, int], first_event: int, offsets: Array, soft: Soft, surface: tuple[float, float, float],
    out: Array,
) -> None:  # fmt: skip
    draws = new_draws()
    seed, run, stream = key
    radius, back, front = surface
    low, high = math.cos(soft.theta_max), math.cos(soft.theta_min)
    for i in range(offsets.size - 1):
        if offsets[i] == offsets[i + 1]:
            continue
        start(draws, seed, run, first_event + i, stream)
        uniform(draws)  # their number
        for j in range(offsets[i], offsets[i + 1]):
            energy = soft.energy_min + soft.energy_mean * exponential(draws)
            cosine = low + (high - low) * uniform(draws)
            sine = math.sqrt(1.0 - cosine * cosine)
            to_end = (front if cosine > 0.0 else back) / cosine if cosine != 0.0 else math.inf
            out[0, j] = energy
            out[1, j] = math.acos(cosine)
            out[2, j] = math.pi * (2.0 * uniform(draws) - 1.0)
            out[3, j] = min(radius / sine, to_end)
            out[4, j] = soft.time_max * (2.0 * uniform(draws) - 1.0)
            out[5, j] = 2.576 * math.hypot(soft.time_constant, soft.time_noise / energy)
            out[6, j] = uniform(draws)


@kernel
def _fill_segments(
    key: tuple[int, int, int], first_event: int, before: Array, old: Array, offsets: Array, sizes: Array,
    starts: Array, after: Array, out: Array,
) -> None:  # fmt: skip
    draws = new_draws()
    seed, run, stream = key
    end = 0
    for i in range(before.size - 1):
        first = end
        for j in range(before[i], before[i + 1]):
            out[end] = old[j]
            end += 1
        if offsets[i] != offsets[i + 1]:
            start(draws, seed, run, first_event + i, stream)
            uniform(draws)  # their number
        for _ in range(offsets[i], offsets[i + 1]):
            layer = int(uniform(draws) * sizes.size)
            end = _insert(out, first, end, starts[layer] + int(uniform(draws) * sizes[layer]))
        after[i + 1] = end


@kernel
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
