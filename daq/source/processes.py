"""Generators of e+e- processes: two-body final states with radiation, and e+e- -> gamma a.

Every process is a leading-order angular distribution (Peskin and Schroeder, ch. 5) with at most one photon from the
initial and one from the final state. Both photons follow the same radiator: a fraction x of the squared mass is
radiated with the density beta x^(beta - 1) (1 - x + x^2/2), beta = (2 alpha/pi)(ln(s/m^2) - 1), and the cosine c to
the axis of the charged pair with

    (2 - 2x + x^2)/(1 - c^2 + 4 m^2/s) - x^2/2  (Bonneau and Martin),

its mass term chosen so that it integrates to 2 (ln(s/m^2) - 1)(1 - x + x^2/2). For the initial state c is taken in the
CM frame, for the final state in the rest frame of the pair, where the very same function is exact. The initial-state
photon lowers the squared mass of the pair to s (1 - x), and the cross-section goes with 1/(1 - x).

e+e- -> gamma gamma gamma is better than that: the photon of least transverse momentum is the radiated one, and events
are weighted (by rejection) to the exact tree-level matrix element, so hard third photons come at the exact rate, times
x^beta.

Approximate: leading logarithm (no interference of initial and final state, no vacuum polarisation; radiation of Bhabha
events at the scale s, a little too much at small angles), no beam energy spread, no radiation in signal events. The
acceptance of a process is in the rest frame of its pair. Photons below 0.5 MeV are not made; four-momentum is conserved
to rounding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from daq.jit import Array, kernel
from daq.philox import STREAM_PROCESS, exponential, new_draws, start, uniform
from daq.source.kinematics import ALPHA, ELECTRON_GEV, MUON_GEV, CollisionFrame, boosted, direction_about
from daq.source.particles import Particles

SLOTS = 4  # most particles in an event of these generators
_CUT_OFF = 1e-4  # smallest radiated fraction: photons of 0.5 MeV
_WEIGHT_MAX = 6.0  # of the three-photon weight: exceeded by less than one event in a million


class Kind(IntEnum):
    """Which generator makes a process; the values are known to the kernels."""

    BHABHA = 0
    GAMMA_GAMMA = 1
    MU_PAIR = 2
    ALP_GAMMA_GAMMA = 3


@dataclass(frozen=True, slots=True)
class ProcessTable:
    """What the generators need to know, one row a process."""

    kind: Array  # Kind
    cos_min: Array  # acceptance: cosine of the polar angle in the rest frame of the pair
    cos_max: Array
    pair_mass_min_gev: Array  # smallest mass left to the pair after initial-state radiation
    mass_gev: Array  # of the new particle, else 0
    ctau_cm: Array


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
    momenta, vertices, pdg = np.zeros((n, SLOTS, 4)), np.zeros((n, SLOTS, 3)), np.zeros((n, SLOTS), dtype=np.int32)
    columns = (table.kind, table.cos_min, table.cos_max, table.pair_mass_min_gev, table.mass_gev, table.ctau_cm)
    constants = (ALPHA, ELECTRON_GEV, MUON_GEV, _CUT_OFF, _WEIGHT_MAX)
    _generate(
        (seed, run, STREAM_PROCESS), events, process, *columns, constants, frame.sqrt_s_gev, frame.to_lab,
        momenta, vertices, pdg,
    )  # fmt: skip
    filled = pdg != 0
    momentum, vertex = momenta[filled].T, vertices[filled].T
    return Particles.build(
        np.concatenate([[0], np.cumsum(filled.sum(axis=1))]),
        pdg=pdg[filled],
        **dict(zip(("px", "py", "pz", "energy", "x", "y", "z"), (*momentum, *vertex), strict=True)),
        process=process,
        mass_gev=table.mass_gev[process],
        ctau_cm=table.ctau_cm[process],
    )


def radiator_slope(s_gev2: float, mass_gev: float) -> float:
    """Return beta = (2 alpha/pi)(ln(s/m^2) - 1), the exponent of soft radiation (Kuraev and Fadin)."""
    return 2 * ALPHA / math.pi * (math.log(s_gev2 / mass_gev**2) - 1)


def radiator_integral(s_gev2: float, pair_mass_min_gev: float) -> float:
    """Return by how much initial-state radiation with a cross-section like 1/s changes the leading order.

    The integral of beta x^(beta - 1) (1 - x + x^2/2)/(1 - x) up to the smallest pair mass, whose numerator over
    denominator is 1 + x^2/(2 (1 - x)).
    """
    from scipy.integrate import quad

    beta, x_max = radiator_slope(s_gev2, ELECTRON_GEV), 1 - pair_mass_min_gev**2 / s_gev2
    return float(x_max**beta + quad(lambda x: beta / 2 * x ** (1 + beta) / (1 - x), 0, x_max)[0])


@kernel
def _generate(
    key: tuple[int, int, int], events: Array, process: Array, kind: Array, cos_min: Array, cos_max: Array,
    pair_mass_min: Array, mass: Array, ctau: Array, constants: tuple[float, float, float, float, float],
    sqrt_s: float, to_lab: Array, momenta: Array, vertices: Array, pdg: Array,
) -> None:  # fmt: skip
    draws = new_draws()
    seed, run, stream = key
    for i in range(events.size):
        start(draws, seed, run, events[i], stream)
        p = process[i]
        if kind[p] == 3:
            _photon_and_alp(draws, sqrt_s, mass[p], cos_min[p], cos_max[p], momenta[i], pdg[i])
        else:
            _pair(draws, kind[p], sqrt_s, pair_mass_min[p], cos_min[p], cos_max[p], constants, momenta[i], pdg[i])
        for j in range(pdg.shape[1]):
            if pdg[i, j] != 0:
                momenta[i, j] = _transformed(to_lab, momenta[i, j])
        if kind[p] == 3 and ctau[p] > 0.0:
            flight = ctau[p] / mass[p] * exponential(draws)  # [cm/GeV], times the momentum of the ALP
            for axis in range(3):
                vertices[i, 1, axis] = vertices[i, 2, axis] = flight * (momenta[i, 1, axis] + momenta[i, 2, axis])


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
def _photon_and_alp(
    draws: Array, sqrt_s: float, mass: float, cos_min: float, cos_max: float, momenta: Array, pdg: Array
) -> None:
    """e+e- -> gamma a with 1 + c^2, a -> gamma gamma isotropic: the recoil photon is the first of three."""
    while True:
        cosine = cos_min + (cos_max - cos_min) * uniform(draws)
        if 2.0 * uniform(draws) < 1.0 + cosine * cosine:
            break
    nx, ny, nz = direction_about((0.0, 0.0, 1.0), cosine, 2.0 * math.pi * uniform(draws))
    energy = 0.5 * (sqrt_s - mass * mass / sqrt_s)
    alp = (-energy * nx, -energy * ny, -energy * nz, sqrt_s - energy)
    dx, dy, dz = direction_about((0.0, 0.0, 1.0), 2.0 * uniform(draws) - 1.0, 2.0 * math.pi * uniform(draws))
    half = 0.5 * mass
    _store(momenta, pdg, 0, 22, (energy * nx, energy * ny, energy * nz, energy))
    _store(momenta, pdg, 1, 22, boosted((half * dx, half * dy, half * dz, half), alp, mass))
    _store(momenta, pdg, 2, 22, boosted((-half * dx, -half * dy, -half * dz, half), alp, mass))


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
    slope = _slope(alpha, electron_share)
    while True:
        x = _initial_fraction(draws, slope, 1.0 - pair_mass_min * pair_mass_min / s)
        x = 0.0 if x < cut_off else x
        pair_mass = sqrt_s * math.sqrt(1.0 - x)
        photon_cosine = 0.0
        photon, pair, axis = (0.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, sqrt_s), (0.0, 0.0, 1.0)
        if x > 0.0:
            photon_cosine = _photon_cosine(draws, x, electron_share)
            photon = _photon(0.5 * x * sqrt_s, (0.0, 0.0, 1.0), photon_cosine, 2.0 * math.pi * uniform(draws))
            pair = (-photon[0], -photon[1], -photon[2], sqrt_s - photon[3])
            axis = _scattering_axis(pair, pair_mass, photon_cosine > 0.0)
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
def _slope(alpha: float, share: float) -> float:
    """Return the radiator's beta; ``share`` is 4 m^2/s."""
    return 2.0 * alpha / math.pi * (math.log(4.0 / share) - 1.0)


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
def _photon_cosine(draws: Array, x: float, share: float) -> float:
    """Draw the cosine of a radiated photon to the axis of the radiating pair; ``share`` is 4 m^2/s."""
    edge = math.sqrt(1.0 + share)
    rapidity = math.atanh(1.0 / edge)
    scale = 2.0 - 2.0 * x + x * x
    mass_term = share * (1.0 - x * x / scale)
    while True:
        cosine = edge * math.tanh((2.0 * uniform(draws) - 1.0) * rapidity)
        cosine = min(1.0, max(-1.0, cosine))
        denominator = 1.0 - cosine * cosine + share
        if uniform(draws) < 1.0 - mass_term / denominator - 0.5 * x * x / scale * denominator:
            return cosine


@kernel
def _photon(
    energy: float, axis: tuple[float, float, float], cosine: float, azimuth: float
) -> tuple[float, float, float, float]:
    nx, ny, nz = direction_about(axis, cosine, azimuth)
    return energy * nx, energy * ny, energy * nz, energy


@kernel
def _scattering_axis(
    pair: tuple[float, float, float, float], pair_mass: float, from_electron: bool
) -> tuple[float, float, float]:
    """Return the axis of the polar angle in the rest frame of the pair: along the beam that did not radiate."""
    side = -1.0 if from_electron else 1.0  # the positron comes along -z
    bx, by, bz, energy = boosted((0.0, 0.0, side, 1.0), (-pair[0], -pair[1], -pair[2], pair[3]), pair_mass)
    return side * bx / energy, side * by / energy, side * bz / energy


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
        y = _final_fraction(draws, _slope(alpha, share), 1.0 - 1.01 * share)
        y = 0.0 if y < cut_off else y
    mass = pair_mass * math.sqrt(1.0 - y)
    momentum = math.sqrt(0.25 * mass * mass - fermion_mass * fermion_mass)
    px, py, pz = momentum * line[0], momentum * line[1], momentum * line[2]
    first, second = (px, py, pz, 0.5 * mass), (-px, -py, -pz, 0.5 * mass)
    photon = (0.0, 0.0, 0.0, 0.0)
    if y > 0.0:
        cosine = _photon_cosine(draws, y, 4.0 * (fermion_mass / mass) ** 2)
        photon = _photon(0.5 * y * pair_mass, line, cosine, 2.0 * math.pi * uniform(draws))
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
