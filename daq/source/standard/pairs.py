"""e+e- -> e+e-, gamma gamma and mu+mu- with radiation.

Every process is a leading-order angular distribution (Peskin and Schroeder, ch. 5) with at most one photon from the
initial and one from the final state, both drawn from the radiator of `daq.source.radiation`. The initial-state photon
lowers the squared mass of the pair to s (1 - x), and the cross-section goes with 1/(1 - x). Bhabha scattering has both
channels and their interference: s, t and s-t together are alpha^2/(4s) ((3 + c^2)/(1 - c))^2.

e+e- -> gamma gamma gamma is better than that: the photon of least transverse momentum is the radiated one, and events
are weighted (by rejection) to the exact tree-level matrix element, so hard third photons come at the exact rate, times
x^beta.

Approximate: leading logarithm (no interference of initial and final state, no vacuum polarisation; radiation of Bhabha
events at the scale s, a little too much at small angles), no beam energy spread. The acceptance of a process is in the
rest frame of its pair. Photons below 0.5 MeV are not made; four-momentum is conserved to rounding.
"""

from __future__ import annotations

import math
from typing import Any

from daq.jit import Array, kernel_lean
from daq.philox import uniform
from daq.source.kinematics import boosted
from daq.source.radiation import draw_photon_cosine, radiator_exponent, scattering_axis
from daq.source.standard.rows import Beams, circle, emit, toward

PAIR_SLOTS = 4


@kernel_lean
def make_pair(draws: Any, row: Any, beams: Beams, to_lab: Array, columns: Array, pdg: Array, out: int) -> int:
    """Write e+e- -> pair: negative (or first) particle, positive, initial- and final-state photon."""
    kind, code, mass, sqrt_s = row.kind, row.code, row.mass, beams.sqrt_s
    while True:
        x = _initial_fraction(draws, beams.slope, row.x_max, row.soft, row.hard, row.silent)
        x = 0.0 if x < beams.cut_off else x
        bound = 1.0
        if kind == 1:  # before anything else is drawn: most of the weights are near 1, far below their maximum
            bound = _weight_bound(x) if x > 0.0 else 1.0
            if uniform(draws) * _weight_bound(1.0) > bound:
                continue
        pair_mass = sqrt_s * math.sqrt(1.0 - x)
        photon_cosine = 0.0
        photon, pair, axis = (0.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, sqrt_s), (0.0, 0.0, 1.0)
        if x > 0.0:
            photon_cosine = draw_photon_cosine(draws, x, beams.share)
            photon = _photon_along(0.5 * x * sqrt_s, axis, photon_cosine, circle(uniform(draws)))
            pair = (-photon[0], -photon[1], -photon[2], sqrt_s - photon[3])
            axis = scattering_axis(pair, pair_mass, photon_cosine > 0.0)
        velocity_squared = 1.0 - 4.0 * mass * mass / (pair_mass * pair_mass)
        cosine = _born_cosine(draws, kind, row.flat[0], row.flat[1], velocity_squared)
        line = toward(axis, cosine, circle(uniform(draws)))
        silent = row.final_silent if x == 0.0 else 0.0
        first, second, final = _decayed(draws, pair, pair_mass, line, mass, beams, row.final_slope, silent)
        if kind != 1 or x == 0.0:
            break
        if uniform(draws) * bound < _three_photon_weight(x, photon, photon_cosine, first, second, cosine, sqrt_s):
            break
    out = emit(to_lab, columns, pdg, out, code, first)
    out = emit(to_lab, columns, pdg, out, 22 if kind == 1 else -code, second)
    if x > 0.0:
        out = emit(to_lab, columns, pdg, out, 22, photon)
    if final[3] > 0.0:
        out = emit(to_lab, columns, pdg, out, 22, final)
    return out


@kernel_lean
def _photon_along(
    energy: float, axis: tuple[float, float, float], cosine: float, around: tuple[float, float]
) -> tuple[float, float, float, float]:
    nx, ny, nz = toward(axis, cosine, around)
    return energy * nx, energy * ny, energy * nz, energy


@kernel_lean
def _initial_fraction(draws: Any, slope: float, x_max: float, soft: float, hard: float, silent: float) -> float:
    """Draw x from beta x^(beta - 1) (1 - x + x^2/2)/(1 - x) = beta x^(beta - 1) + beta/2 x^(1 + beta)/(1 - x).

    What is below the cut-off comes as 0: that saves the two most costly functions in half of the events.
    """
    while True:
        if uniform(draws) * (soft + hard) < soft:
            chance = uniform(draws)
            return 0.0 if chance < silent else x_max * math.exp(math.log(chance) / slope)
        x = 1.0 - math.exp(math.log(1.0 - x_max) * uniform(draws))
        if uniform(draws) < math.pow(x, 1.0 + slope):
            return x


@kernel_lean
def final_most(share: float) -> float:
    """Return the largest fraction that the final state radiates: the pair is left a little above its threshold."""
    return 1.0 - 1.01 * share


@kernel_lean
def _final_fraction(draws: Any, slope: float, y_max: float, silent: float) -> float:
    """Draw y from beta y^(beta - 1) (1 - y + y^2/2); 0 if it is among the ``silent``, where the last factor is 1."""
    while True:
        chance = uniform(draws)
        if chance < silent:
            return 0.0
        y = y_max * math.exp(math.log(chance) / slope)
        if uniform(draws) < 1.0 - y + 0.5 * y * y:
            return y


@kernel_lean
def flat_variable(kind: int, cosine: float) -> float:
    """Return the variable in which the leading order is nearly flat, at a cosine of the polar angle."""
    if kind == 0:
        return 1.0 / (1.0 - cosine)
    if kind == 1:
        return math.atanh(cosine)
    return cosine


@kernel_lean
def _born_cosine(draws: Any, kind: int, begin: float, width: float, velocity_squared: float) -> float:
    """Draw the polar angle of the leading order: Bhabha, gamma gamma or mu mu; see `flat_variable`."""
    while True:
        flat = begin + width * uniform(draws)
        if kind == 0:
            c = 1.0 - 1.0 / flat
            share = (3.0 + c * c) ** 2 / 16.0
        elif kind == 1:
            c = math.tanh(flat)
            share = 0.5 * (1.0 + c * c)
        else:
            c = flat
            share = 0.5 * (1.0 + c * c + (1.0 - velocity_squared) * (1.0 - c * c))
        if uniform(draws) < share:
            return c


@kernel_lean
def _decayed(
    draws: Any, pair: tuple[float, float, float, float], pair_mass: float, line: tuple[float, float, float],
    fermion_mass: float, beams: Beams, slope: float, silent: float,
) -> tuple[
    tuple[float, float, float, float], tuple[float, float, float, float], tuple[float, float, float, float]
]:  # fmt: skip
    """Return the two particles of the pair along ``line`` and a final-state photon (energy 0: none), in the CM.

    ``silent`` is the probability that the final state is, for the pair with all of the energy; 0 if it has to be found.
    """
    y = 0.0
    if fermion_mass > 0.0:
        share = 4.0 * (fermion_mass / pair_mass) ** 2
        if silent == 0.0:
            slope = radiator_exponent(beams.alpha, share)
        y = _final_fraction(draws, slope, final_most(share), silent)
        y = 0.0 if y < beams.cut_off else y
    mass = pair_mass * math.sqrt(1.0 - y)
    momentum = math.sqrt(0.25 * mass * mass - fermion_mass * fermion_mass)
    px, py, pz = momentum * line[0], momentum * line[1], momentum * line[2]
    first, second = (px, py, pz, 0.5 * mass), (-px, -py, -pz, 0.5 * mass)
    photon = (0.0, 0.0, 0.0, 0.0)
    if y > 0.0:
        cosine = draw_photon_cosine(draws, y, 4.0 * (fermion_mass / mass) ** 2)
        photon = _photon_along(0.5 * y * pair_mass, line, cosine, circle(uniform(draws)))
        rest = (-photon[0], -photon[1], -photon[2], pair_mass - photon[3])
        first, second = boosted(first, rest, mass), boosted(second, rest, mass)
    if pair[3] == pair_mass:  # it rests
        return first, second, photon
    if y > 0.0:
        photon = boosted(photon, pair, pair_mass)
    return boosted(first, pair, pair_mass), boosted(second, pair, pair_mass), photon


@kernel_lean
def _weight_bound(x: float) -> float:
    """Return more than the largest three-photon weight at a radiated fraction, found by drawing 12 million of them."""
    return 2.7 + 3.0 * x


@kernel_lean
def _three_photon_weight(
    x: float, photon: tuple[float, float, float, float], photon_cosine: float,
    first: tuple[float, float, float, float], second: tuple[float, float, float, float], cosine: float, sqrt_s: float,
) -> float:  # fmt: skip
    """Return exact over generated density of e+e- -> gamma gamma gamma; 0 if ``photon`` is not the softest in pT.

    Sum over photons of a b (a^2 + b^2) over the product of all a b, with a, b = 2 k.p of the photon and each beam
    (Berends and Kleiss, Nucl. Phys. B186 (1981) 22), against the radiator times the two-photon matrix element.
    """
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
