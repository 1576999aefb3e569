"""Beam background, laid over each collision: stray particles, soft clusters out of time, noise in the drift chamber.

Each kind enters where it is simplest to have it seen by all that follows, after what the collision itself left there:

* particles from the beam pipe go through the detector response after those of the event: tracks with large z0, their
  clusters and trigger primitives come out alike;
* soft ECL clusters are written into room that the response leaves for them, with times far outside of its resolution,
  before the trigger cells are made of them;
* CDC track segments join those of the tracks.

How many there are is a Poisson number, of a mean that rises after an injection whenever the injected bunch comes round.
All draws are of streams of their own: the particles of the collisions are the same with background and without. A soft
cluster takes one counter of the generator and four segments another one, so that all of a block are made in loops that
become vector instructions.

Approximate: the background does not grow with luminosity or currents by itself (`level` is for that), clusters are even
in the solid angle, over the gaps of the ECL too, and do not add to others that they fall upon, particles are half
electrons and half protons in time with the collision, and each superlayer has as much noise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

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
    fill_words,
    new_draws,
    start,
    uniform,
)
from daq.settings import BackgroundSettings, RunSettings
from daq.source.angles import sincos
from daq.source.helix import ECL_BACK_CM, ECL_FRONT_CM, ECL_RADIUS_CM, SEGMENT_STARTS
from daq.source.particles import Particles
from daq.source.single import acos_32, fraction, log_32

_MOMENTUM = ("px", "py", "pz", "energy", "x", "y", "z")
_MEASURED = tuple(
    f"clusters.{name}" for name in ("energy_gev", "theta", "phi", "r_cm", "time_ns", "dt99_ns", "zernike_mva")
)
GUIDE = 256
"""Uniform numbers for which the search in a table of Poisson numbers has its begin looked up."""


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
    containment: float = 2.576  # 99 % of a normal distribution, in standard deviations


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
        chances = np.arange(GUIDE) / GUIDE
        self._guide = np.array([np.searchsorted(each[:-1], chances) for each in self._table])
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
        n = strength.size
        offsets = np.zeros((len(self._means), n + 1), dtype=OFFSET)
        words = np.empty(4 * n, dtype=np.uint32)
        counters = np.arange(n), np.zeros(n, dtype=np.int64)
        key = (*self._key, STREAM_BACKGROUND)
        _count(key, first_event, counters, words, self._means, self._table, self._guide, strength, offsets)
        return Laid(*offsets)

    def stray(self, laid: Laid, first_event: int) -> Particles:
        """Return the particles from the beam pipe; what `Particles` says of whole events is 0."""
        n = int(laid.tracks[-1])
        fields, pdg = np.empty((len(_MOMENTUM), n)), np.empty(n, dtype=np.int32)
        key = (*self._key, STREAM_BACKGROUND_TRACKS)
        _draw_stray(key, new_draws(), first_event, laid.tracks, self._stray, tuple(fields), pdg)
        truth = dict.fromkeys(Particles.EVENT_FIELDS, np.zeros(laid.tracks.size - 1, dtype=np.float32))
        return Particles(offsets=laid.tracks, pdg=pdg, **dict(zip(_MOMENTUM, fields, strict=True)), **truth)

    def fill_clusters(self, objects: Mapping[str, Array], laid: Laid, first_event: int) -> None:
        """Write the soft clusters into the places that `daq.source.detector.respond` left for them."""
        n = int(laid.clusters[-1])
        counters, places = np.empty((2, n), dtype=np.int64), np.empty(n, dtype=np.int64)
        words, columns = np.empty(4 * n, dtype=np.uint32), np.empty(8 * n, dtype=np.float32)
        _draw_soft(
            (*self._key, STREAM_BACKGROUND_CLUSTERS), first_event, objects["clusters.offsets"], laid.clusters,
            self._soft, (ECL_RADIUS_CM, ECL_BACK_CM, ECL_FRONT_CM), (counters[0], counters[1]), places, words, columns,
            tuple(objects[name] for name in _MEASURED),
        )  # fmt: skip

    def with_segments(self, fired: Mapping[str, Array], laid: Laid, first_event: int) -> dict[str, Array]:
        """Return the arrays of the primitives with the segments of noise among those of tracks, rising, each once."""
        before = fired["segments.offsets"]
        segments = np.empty(int(before[-1]) + int(laid.segments[-1]), dtype=LAYOUT["segments"])
        after = np.zeros_like(before)
        most = before.size + int(laid.segments[-1]) // 4  # the last counter of an event may be used in part
        counters, words = np.empty((2, most), dtype=np.int64), np.empty(4 * most, dtype=np.uint32)
        _fill_segments(
            (*self._key, STREAM_BACKGROUND_SEGMENTS), first_event, before, fired["segments"],
            laid.segments, SEGMENT_STARTS, counters, words, after, segments,
        )  # fmt: skip
        return {**fired, "segments.offsets": after, "segments": segments[: after[-1]]}


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
    key: tuple[int, int, int], first_event: int, counters: tuple[Array, Array], words: Array, means: Array,
    table: Array, guide: Array, strength: Array, offsets: Array,
) -> None:  # fmt: skip
    fill_words(key, first_event, counters[0], counters[1], words)
    last, cells = table.shape[1] - 1, guide.shape[1]
    for i in range(strength.size):
        for kind in range(means.size):
            chance, count = (np.float64(words[4 * i + kind]) + 0.5) * (1.0 / 4294967296.0), 0
            if strength[i] == 1.0:  # almost always
                count = guide[kind, int(chance * cells)]
                while count < last and chance > table[kind, count]:
                    count += 1
            if strength[i] != 1.0 or count == last:
                count = _poisson(chance, means[kind] * strength[i])
            offsets[kind, i + 1] = offsets[kind, i] + count


@kernel_lean
def _draw_stray(
    key: tuple[int, int, int], states: Array, first_event: int, offsets: Array, stray: Stray,
    particle: tuple[Array, ...], pdg: Array,
) -> None:  # fmt: skip
    draws = states[0]
    seed, run, stream = key
    px, py, pz, energy, x, y, z = particle
    for i in range(offsets.size - 1):
        if offsets[i] == offsets[i + 1]:
            continue
        start(draws, seed, run, first_event + i, stream)
        for j in range(offsets[i], offsets[i + 1]):
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
    key: tuple[int, int, int], first_event: int, offsets: Array, laid: Array, soft: Soft,
    surface: tuple[float, float, float], counters: tuple[Array, Array], places: Array, words: Array, columns: Array,
    measured: tuple[Array, ...],
) -> None:  # fmt: skip
    owner, number = counters
    for i in range(laid.size - 1):
        shift = offsets[i + 1] - laid[i + 1]
        for j in range(laid[i], laid[i + 1]):
            owner[j], number[j], places[j] = i, j - laid[i], j + shift
    fill_words(key, first_event, owner, number, words)
    # All in single precision, which the columns are in: eight clusters are one vector.
    one, two, half_turn = np.float32(1.0), np.float32(2.0), np.float32(math.pi)
    radius, back, front = np.float32(surface[0]), np.float32(surface[1]), np.float32(surface[2])
    low, high = math.cos(soft.theta_max), math.cos(soft.theta_min)
    begin, span, latest = np.float32(low), np.float32(high - low), np.float32(soft.time_max)
    least, mean, widths = np.float32(soft.energy_min), np.float32(soft.energy_mean), np.float32(soft.containment)
    constant, noise = np.float32(soft.time_constant**2), np.float32(soft.time_noise**2)
    nine = np.uint32(9)
    for j in range(places.size):
        first, second, third, fourth = words[4 * j], words[4 * j + 1], words[4 * j + 2], words[4 * j + 3]
        chance = (np.float32(np.int32(first >> np.uint32(1))) + np.float32(0.5)) * np.float32(1.0 / 2147483648.0)
        deposit = least - mean * log_32(chance)
        cosine = begin + span * fraction(second >> nine)
        sine = np.sqrt((one - cosine) * (one + cosine))
        end = front if cosine > np.float32(0.0) else back
        columns[8 * j] = deposit
        columns[8 * j + 1] = acos_32(cosine)
        columns[8 * j + 2] = half_turn * (two * fraction(third >> nine) - one)
        columns[8 * j + 3] = min(radius / sine, end / cosine)  # infinite at cosine 0
        columns[8 * j + 4] = latest * (two * fraction(fourth >> nine) - one)
        columns[8 * j + 5] = widths * np.sqrt(constant + noise / (deposit * deposit))
        # Nine bits of each of three words are left: they make the fifth number.
        columns[8 * j + 6] = fraction((second << np.uint32(14)) ^ (third << np.uint32(7)) ^ fourth)
        columns[8 * j + 7] = np.float32(0.0)
    for k in range(len(measured)):
        column = measured[k]
        for j in range(places.size):
            column[places[j]] = columns[8 * j + k]


@kernel_lean
def _fill_segments(
    key: tuple[int, int, int], first_event: int, before: Array, old: Array, laid: Array, starts: Array,
    counters: Array, words: Array, after: Array, out: Array,
) -> None:  # fmt: skip
    used = 0
    for i in range(laid.size - 1):
        for number in range((laid[i + 1] - laid[i] + 3) >> 2):
            counters[0, used], counters[1, used] = i, number
            used += 1
    fill_words(key, first_event, counters[0, :used], counters[1, :used], words)
    n_layers, half = starts.size - 1, np.int64(32)
    end = word = 0
    for i in range(before.size - 1):
        first = end
        for j in range(before[i], before[i + 1]):
            out[end] = old[j]
            end += 1
        for j in range(laid[i + 1] - laid[i]):
            place = np.int64(words[word + j]) * n_layers  # its upper half is the superlayer, the lower the azimuth
            layer = place >> half
            size = starts[layer + 1] - starts[layer]
            end = _insert(out, first, end, starts[layer] + (((place & np.int64(0xFFFFFFFF)) * size) >> half))
        word += (laid[i + 1] - laid[i] + 3) & -4
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
