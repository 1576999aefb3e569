"""Generators of Standard Model processes: two-body final states with radiation.

Every process is a leading-order angular distribution (Peskin and Schroeder, ch. 5) with at most one photon from the
initial and one from the final state, both drawn from the radiator of `daq.source.radiation`. The initial-state photon
lowers the squared mass of the pair to s (1 - x), and the cross-section goes with 1/(1 - x).

e+e- -> gamma gamma gamma is better than that: the photon of least transverse momentum is the radiated one, and events
are weighted (by rejection) to the exact tree-level matrix element, so hard third photons come at the exact rate, times
x^beta.

Approximate: leading logarithm (no interference of initial and final state, no vacuum polarisation; radiation of Bhabha
events at the scale s, a little too much at small angles), no beam energy spread. The acceptance of a process is in the
rest frame of its pair. Photons below 0.5 MeV are not made; four-momentum is conserved to rounding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from daq.jit import Array, kernel
from daq.philox import STREAM_PROCESS, new_draws, start, uniform
from daq.source.kinematics import ALPHA, ELECTRON_GEV, MUON_GEV, CollisionFrame, boosted, direction_about
from daq.source.particles import Particles
from daq.source.radiation import CUT_OFF, draw_photon_cosine, photon_along, radiator_exponent, scattering_axis

SLOTS = 4  # most particles in an event of these generators
_WEIGHT_MAX = 6.0  # of the three-photon weight: exceeded by less than one event in a million


class Kind(IntEnum):
    """Which generator makes a process; the values are known to the kernels."""

    BHABHA = 0
    GAMMA_GAMMA = 1
    MU_PAIR = 2


@dataclass(frozen=True, slots=True)
class ProcessTable:
    """What the generators need to know, one row a process."""

    kind: Array  # Kind
    cos_min: Array  # acceptance: cosine of the polar angle in the rest frame of the pair
    cos_max: Array
    pair_mass_min_gev: Array  # smallest mass left to the pair after initial-state radiation


def generate(
    table: ProcessTable, process: Array, events: Array, *, frame: CollisionFrame, seed: int, run: int
) -> Particles:
    """Return the final states of the events, in the lab.

    Parameters
    ----------
    table, process : (n_processes,) columns and (N,) rows of it
        Which process each event is.
    events : (N,) uint64
        Event numbers: event k is a function of (seed, run, k, process).
    frame
        The frame of the collision.
    seed, run
        Of the run.
    """
    n = events.size
    momenta, pdg = np.zeros((n, SLOTS, 4)), np.zeros((n, SLOTS), dtype=np.int32)
    columns = (table.kind, table.cos_min, table.cos_max, table.pair_mass_min_gev)
    constants = (ALPHA, ELECTRON_GEV, MUON_GEV, CUT_OFF, _WEIGHT_MAX)
    _generate(
        (seed, run, STREAM_PROCESS), events, process, *columns, constants, frame.sqrt_s_gev, frame.to_lab,
        momenta, pdg,
    )  # fmt: skip
    filled = pdg != 0
    momentum = dict(zip(("px", "py", "pz", "energy"), momenta[filled].T, strict=True))
    offsets = np.concatenate([[0], np.cumsum(filled.sum(axis=1))])
    return Particles.build(offsets, pdg=pdg[filled], process=process, **momentum)


@kernel
def _generate(
    key: tuple[int, int, int], events: Array, process: Array, kind: Array, cos_min: Array, cos_max: Array,
    pair_mass_min: Array, constants: tuple[float, float, float, float, float], sqrt_s: float, to_lab: Array,
    momenta: Array, pdg: Array,
) -> None:  # fmt: skip
    draws = new_draws()
    seed, run, stream = key
    for i in range(events.size):
        start(draws, seed, run, events[i], stream)
        p = process[i]
        _pair(draws, kind[p], sqrt_s, pair_mass_min[p], cos_min[p], cos_max[p], constants, momenta[i], pdg[i])
        for j in range(pdg.shape[1]):
            if pdg[i, j] != 0:
                momenta[i, j] = _transformed(to_lab, momenta[i, j])


@kernel
def _transformed(matrix: Array, p: Array) -> Array:
    """Return matrix times p; small enough that a call of BLAS would cost more."""
    out = np.zeros(4)
    for row in range(4):
        for column in range(4):
            out[row] += matrix[row, column] * p[column]
    return out


@kernel
def _store(momenta: Array, pdg: Array, slot: int, code: int, p: tuple[float, float, float, float]) -> None:
    pdg[slot] = code
    for component in range(4):
        momenta[slot, component] = p[component]


@kernel
def _pair(
    draws: Array, kind: int, sqrt_s: float, pair_mass_min: float, cos_min: float, cos_max: float,
    constants: tuple[float, float, float, float, float], momenta: Array, pdg: Array,
) -> None:  # fmt: skip
    """e+e- -> pair with radiation; slots: negative (or first) particle, positive, initial- and final-state photon."""
    alpha, electron_mass, muon_mass, cut_off, weight_max = constants
    code, fermion_mass = (11, electron_mass) if kind == 0 else (22, 0.0) if kind == 1 else (13, muon_mass)
    s = sqrt_s * sqrt_s
    electron_share = 4.0 * electron_mass * electron_mass / s
    slope = radiator_exponent(alpha, electron_share)
    while True:
        x = _initial_fraction(draws, slope, 1.0 - pair_mass_min * pair_mass_min / s)
        x = 0.0 if x < cut_off else x
        pair_mass = sqrt_s * math.sqrt(1.0 - x)
        photon_cosine = 0.0
        photon, pair, axis = (0.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, sqrt_s), (0.0, 0.0, 1.0)
        if x > 0.0:
            photon_cosine = draw_photon_cosine(draws, x, electron_share)
            photon = photon_along(0.5 * x * sqrt_s, (0.0, 0.0, 1.0), photon_cosine, 2.0 * math.pi * uniform(draws))
            pair = (-photon[0], -photon[1], -photon[2], sqrt_s - photon[3])
            axis = scattering_axis(pair, pair_mass, photon_cosine > 0.0)
        velocity_squared = 1.0 - 4.0 * fermion_mass * fermion_mass / (pair_mass * pair_mass)
        cosine = _born_cosine(draws, kind, cos_min, cos_max, velocity_squared)
        line = direction_about(axis, cosine, 2.0 * math.pi * uniform(draws))
        first, second, final = _decayed(draws, pair, pair_mass, line, fermion_mass, alpha, cut_off)
        if kind != 1 or uniform(draws) * weight_max < _three_photon_weight(
            x, photon, photon_cosine, first, second, cosine, sqrt_s
        ):
            break
    _store(momenta, pdg, 0, code, first)
    _store(momenta, pdg, 1, 22 if kind == 1 else -code, second)
    if x > 0.0:
        _store(momenta, pdg, 2, 22, photon)
    if final[3] > 0.0:
        _store(momenta, pdg, 3, 22, final)


@kernel
def _initial_fraction(draws: Array, slope: float, x_max: float) -> float:
    """Draw x from beta x^(beta - 1) (1 - x + x^2/2)/(1 - x) = beta x^(beta - 1) + beta/2 x^(1 + beta)/(1 - x)."""
    soft, hard = math.pow(x_max, slope), 0.5 * slope * -math.log(1.0 - x_max)
    while True:
        if uniform(draws) * (soft + hard) < soft:
            return x_max * math.pow(uniform(draws), 1.0 / slope)
        x = 1.0 - math.pow(1.0 - x_max, uniform(draws))
        if uniform(draws) < math.pow(x, 1.0 + slope):
            return x


@kernel
def _final_fraction(draws: Array, slope: float, y_max: float) -> float:
    """Draw y from beta y^(beta - 1) (1 - y + y^2/2)."""
    while True:
        y = y_max * math.pow(uniform(draws), 1.0 / slope)
        if uniform(draws) < 1.0 - y + 0.5 * y * y:
            return y


@kernel
def _born_cosine(draws: Array, kind: int, cos_min: float, cos_max: float, velocity_squared: float) -> float:
    """Draw the polar angle of the leading order: Bhabha, gamma gamma or mu mu."""
    while True:
        if kind == 0:
            low = 1.0 / (1.0 - cos_min)
            c = 1.0 - 1.0 / (low + (1.0 / (1.0 - cos_max) - low) * uniform(draws))
            share = (3.0 + c * c) ** 2 / 16.0
        elif kind == 1:
            low = math.atanh(cos_min)
            c = math.tanh(low + (math.atanh(cos_max) - low) * uniform(draws))
            share = 0.5 * (1.0 + c * c)
        else:
            c = cos_min + (cos_max - cos_min) * uniform(draws)
            share = 0.5 * (1.0 + c * c + (1.0 - velocity_squared) * (1.0 - c * c))
        if uniform(draws) < share:
            return c


@kernel
def _decayed(
    draws: Array, pair: tuple[float, float, float, float], pair_mass: float, line: tuple[float, float, float],
    fermion_mass: float, alpha: float, cut_off: float,
) -> tuple[
    tuple[float, float, float, float], tuple[float, float, float, float], tuple[float, float, float, float]
]:  # fmt: skip
    """Return the two particles of the pair along ``line`` and a final-state photon (energy 0: none), in the CM."""
    y = 0.0
    if fermion_mass > 0.0:
        share = 4.0 * (fermion_mass / pair_mass) ** 2
        y = _final_fraction(draws, radiator_exponent(alpha, share), 1.0 - 1.01 * share)
        y = 0.0 if y < cut_off else y
    mass = pair_mass * math.sqrt(1.0 - y)
    momentum = math.sqrt(0.25 * mass * mass - fermion_mass * fermion_mass)
    px, py, pz = momentum * line[0], momentum * line[1], momentum * line[2]
    first, second = (px, py, pz, 0.5 * mass), (-px, -py, -pz, 0.5 * mass)
    photon = (0.0, 0.0, 0.0, 0.0)
    if y > 0.0:
        cosine = draw_photon_cosine(draws, y, 4.0 * (fermion_mass / mass) ** 2)
        photon = photon_along(0.5 * y * pair_mass, line, cosine, 2.0 * math.pi * uniform(draws))
        rest = (-photon[0], -photon[1], -photon[2], pair_mass - photon[3])
        first, second = boosted(first, rest, mass), boosted(second, rest, mass)
        photon = boosted(photon, pair, pair_mass)
    return boosted(first, pair, pair_mass), boosted(second, pair, pair_mass), photon


@kernel
def _three_photon_weight(
    x: float, photon: tuple[float, float, float, float], photon_cosine: float,
    first: tuple[float, float, float, float], second: tuple[float, float, float, float], cosine: float, sqrt_s: float,
) -> float:  # fmt: skip
    """Return exact over generated density of e+e- -> gamma gamma gamma; 0 if ``photon`` is not the softest in pT.

    Sum over photons of a b (a^2 + b^2) over the product of all a b, with a, b = 2 k.p of the photon and each beam
    (Berends and Kleiss, Nucl. Phys. B186 (1981) 22), against the radiator times the two-photon matrix element.
    """
    if x == 0.0:
        return 1.0
    softest = x * x * (1.0 - photon_cosine * photon_cosine) / 4.0
    a, b = x * (1.0 - photon_cosine) / 2.0, x * (1.0 + photon_cosine) / 2.0
    total = softest * (a * a + b * b)
    product = softest
    for k in (first, second):
        a, b = (k[3] - k[2]) / sqrt_s, (k[3] + k[2]) / sqrt_s
        if a * b < softest:
            return 0.0
        total += a * b * (a * a + b * b)
        product *= a * b
    born = 2.0 * (1.0 + cosine * cosine) / (1.0 - cosine * cosine)
    radiator = (2.0 - 2.0 * x + x * x) / (1.0 - photon_cosine * photon_cosine) - 0.5 * x * x
    return x * x * (1.0 - x) * total / (4.0 * product * radiator * born)
