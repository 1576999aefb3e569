"""Two-photon production: e+e- -> e+e- plus a pair of e, mu or pi, by the equivalent-photon approximation.

Each beam radiates a photon of energy fraction y with the spectrum

    y N(y) = (alpha/2pi) [(1 + (1 - y)^2) ln(Q2max/Q2min) - 2 m_e^2 y^2 (1/Q2min - 1/Q2max)],
    Q2min = m_e^2 y^2/(1 - y), Q2max = min(W^2/4, 4 E^2 (1 - y)),  W^2 = y1 y2 s

(Budnev, Ginzburg, Meledin and Serbo, Phys. Rept. 15 (1975) 181), and the two photons make a pair with the tree-level
distribution of the angle. In the variables ln W^2, Y = ln(y1/y2)/2 and t = atanh(beta cosine) no pole is left: Y and
the rapidity Y + t of a product are proposed even, ln W^2 by a table of bounds, and the rest is rejection. An event is
in the acceptance if at least one product is.

Approximate: both photons are along the beams, so the pair has no transverse momentum and the beam electrons stay in the
beam pipe; the pions are point-like (no resonances); no radiation. The electrons of e+e- -> e+e- e+e- are not
symmetrised with those of the beams.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from daq.jit import Array, kernel_lean
from daq.philox import uniform
from daq.source.kinematics import ALPHA, ELECTRON_GEV, GEV2_NB, boosted
from daq.source.radiation import equivalent_photons
from daq.source.standard.rows import CELLS, Beams, circle, draw_cell, emit, spectrum

TWO_PHOTON_SLOTS = 4


def two_photon_table(
    sqrt_s_gev: float, mass_gev: float, pair_mass_min_gev: float, *, rapidity: float, scalar: bool
) -> Array:
    """Return the proposal in ln(W^2/s) (see `daq.source.standard.rows.spectrum`), its integral in 1/GeV2.

    ``rapidity`` is the range of rapidities that a product in the acceptance can have.
    """
    top = 1 - 10 * ELECTRON_GEV / (0.5 * sqrt_s_gev)
    low = math.log((max(pair_mass_min_gev, 2.001 * mass_gev) / sqrt_s_gev) ** 2)
    edges = np.linspace(low, 2 * math.log(top), CELLS + 1)
    points = edges[:-1, None] + np.diff(edges)[:, None] * np.array([0.0, 0.5, 1.0])
    what = (mass_gev, rapidity, ALPHA, ELECTRON_GEV, sqrt_s_gev, top, scalar)
    return spectrum(edges, 1.01 * np.vectorize(_bound)(points, *what).max(axis=1))


def two_photon_cross_section_nb(
    sqrt_s_gev: float, mass_gev: float, pair_mass_min_gev: float, *, scalar: bool = False
) -> float:
    """Return the cross-section for all angles [nb]: two spectra times the total of the two photons.

    Fermions: (4 pi alpha^2/W^2) [(1 + 4r - 8r^2) 2 ln(W (1 + beta)/2m) - beta (1 + 4r)], r = m^2/W^2; scalars:
    (2 pi alpha^2/W^2) [beta (1 + 4r) - 4r (1 - 2r) 2 ln(W (1 + beta)/2m)].
    """
    inner, weights = np.polynomial.legendre.leggauss(64)
    low, high = math.log((max(pair_mass_min_gev, 2 * mass_gev) / sqrt_s_gev) ** 2), 0.0
    total = 0.0
    for u, weight_u in zip(inner, weights, strict=True):
        tau = math.exp(0.5 * (low + high) + 0.5 * (high - low) * u)
        w2, edge = tau * sqrt_s_gev**2, -0.5 * math.log(tau)
        r = mass_gev**2 / w2
        beta = math.sqrt(1 - 4 * r)
        log = 2 * math.log((1 + beta) / (2 * math.sqrt(r)))
        born = 4 * ((1 + 4 * r - 8 * r * r) * log - beta * (1 + 4 * r))
        if scalar:
            born = 2 * (beta * (1 + 4 * r) - 4 * r * (1 - 2 * r) * log)
        y1, y2 = math.sqrt(tau) * np.exp(edge * inner), math.sqrt(tau) * np.exp(-edge * inner)
        fluxes = [
            photon_flux(a, w2, sqrt_s_gev, ALPHA, ELECTRON_GEV) * photon_flux(b, w2, sqrt_s_gev, ALPHA, ELECTRON_GEV)
            for a, b in zip(y1, y2, strict=True)
        ]
        total += weight_u * math.pi * ALPHA**2 / w2 * born * edge * float(weights @ np.array(fluxes))
    return 0.5 * (high - low) * total * GEV2_NB


def rapidity_range(cos_low: float, cos_high: float, mass: float, sqrt_s: float) -> tuple[float, float]:
    """Return begin and width of more than the rapidities of a product whose angle is in the acceptance.

    The rapidity of a massive particle is nearer to 0 than its pseudorapidity, and none is beyond that of its beam.
    """
    most = math.log(sqrt_s / mass)
    edge = 1 - 1e-15
    low, high = (math.atanh(min(edge, max(-edge, cosine))) for cosine in (cos_low, cos_high))
    begin = max(-most, min(0.0, low))
    return begin, min(most, max(0.0, high)) - begin


@kernel_lean
def photon_flux(y: float, w2: float, sqrt_s: float, alpha: float, electron_mass: float) -> float:
    """Return y N(y) of the photons of one beam."""
    return equivalent_photons(y, min(0.25 * w2, sqrt_s * sqrt_s * (1.0 - y)), alpha, electron_mass)


@kernel_lean
def _bound(
    log_tau: float, mass: float, rapidity: float, alpha: float, electron_mass: float, sqrt_s: float, top: float,
    scalar: bool,
) -> float:  # fmt: skip
    """Return the largest density in ln W^2, Y and t, times the ranges of Y and t.

    The weight of the angle is at most 1 for scalars and, for fermions, 2 - (2 sqrt(2) - 2)(1 - b) at b = beta^2 where
    that is not at an edge, which is below 2.
    """
    tau = math.exp(log_tau)
    w2, root = tau * sqrt_s * sqrt_s, math.exp(0.5 * log_tau)
    flux = photon_flux(min(root, top), w2, sqrt_s, alpha, electron_mass)
    beta2 = 1.0 - 4.0 * mass * mass / w2
    angle = 1.0
    if not scalar:
        angle = 4.0 - (4.0 * math.sqrt(2.0) - 4.0) * (1.0 - beta2) if beta2 > 0.3 else 2.0 + 4.0 * beta2
    born = math.pi * alpha * alpha / w2 * angle
    width = min(2.0 * _rapidity_of(math.sqrt(beta2)), rapidity)
    return flux * flux * born * width * 2.0 * max(0.0, math.log(top / root))


@kernel_lean
def _rapidity_of(velocity: float) -> float:
    """Return atanh of a velocity, in one logarithm."""
    return 0.5 * math.log((1.0 + velocity) / (1.0 - velocity))


@kernel_lean
def _angle_weight(beta2: float, c2: float, scalar: bool) -> float:
    """Return the density of t = atanh(beta c), in units of pi alpha^2/W^2 for scalars, of twice that for fermions."""
    pole, sine2 = 1.0 - beta2 * c2, 1.0 - c2
    if scalar:
        part = beta2 * sine2 / pole
        return pole * (1.0 - 2.0 * part + 2.0 * part * part)
    return 1.0 + beta2 * c2 + 2.0 * beta2 * (1.0 - beta2) * sine2 / pole


@kernel_lean
def make_two_photon(
    draws: Any, row: Any, beams: Beams, table: Array, to_lab: Array, columns: Array, pdg: Array, out: int
) -> int:  # fmt: skip
    """Write the negative and the positive product, then the electron and the positron of the beams."""
    sqrt_s, mass, scalar = beams.sqrt_s, row.mass, row.code < -100
    half = 0.5 * sqrt_s
    top = 1.0 - 10.0 * beams.electron_mass / half
    cos_low, cos_high = row.cosine[0], row.cosine[1]
    log_top = math.log(top)
    while True:
        log_tau, height = draw_cell(draws, table)
        root = math.exp(0.5 * log_tau)
        w2 = root * root * sqrt_s * sqrt_s
        edge = log_top - 0.5 * log_tau
        y = (2.0 * uniform(draws) - 1.0) * edge
        beta2 = 1.0 - 4.0 * mass * mass / w2
        most = _rapidity_of(math.sqrt(beta2))
        width = min(2.0 * most, row.flat[1])
        t = width * uniform(draws)
        t += -most if 2.0 * most <= width else row.flat[0] - y
        power = math.exp(2.0 * t)
        scaled = (power - 1.0) / (power + 1.0)
        c2 = scaled * scaled / beta2
        if c2 >= 1.0:
            continue
        ratio = math.exp(y)
        y1, y2 = root * ratio, root / ratio
        flux = photon_flux(y1, w2, sqrt_s, beams.alpha, beams.electron_mass)
        flux *= photon_flux(y2, w2, sqrt_s, beams.alpha, beams.electron_mass)
        born = math.pi * beams.alpha * beams.alpha / w2 * (1.0 if scalar else 2.0)
        weight = 2.0 * edge * width * flux * born * _angle_weight(beta2, c2, scalar)
        if uniform(draws) * height > weight:
            continue
        # What the electrons of the beams, on their mass shells, leave to the pair.
        electron, positron = half * (1.0 - y1), half * (1.0 - y2)
        m2 = beams.electron_mass * beams.electron_mass
        p_electron, p_positron = math.sqrt(electron * electron - m2), -math.sqrt(positron * positron - m2)
        pair = (0.0, 0.0, -p_electron - p_positron, sqrt_s - electron - positron)
        pair_mass = math.sqrt(pair[3] * pair[3] - pair[2] * pair[2])
        momentum = math.sqrt(max(0.0, 0.25 * pair_mass * pair_mass - mass * mass))
        cosine = math.copysign(math.sqrt(c2), t)
        transverse = momentum * math.sqrt(1.0 - c2)
        along = momentum * cosine
        first = boosted((transverse, 0.0, along, 0.5 * pair_mass), pair, pair_mass)
        second = boosted((-transverse, 0.0, -along, 0.5 * pair_mass), pair, pair_mass)
        if not _inside(first, cos_low, cos_high):
            continue
        if _inside(second, cos_low, cos_high) and uniform(draws) < 0.5:
            continue  # the other one would have been proposed for this event as well
        break
    u, v = circle(uniform(draws))
    first = (u * transverse, v * transverse, first[2], first[3])
    second = (-u * transverse, -v * transverse, second[2], second[3])
    if uniform(draws) < 0.5:
        first, second = second, first
    out = emit(to_lab, columns, pdg, out, row.code, first)
    out = emit(to_lab, columns, pdg, out, -row.code, second)
    out = emit(to_lab, columns, pdg, out, 11, (0.0, 0.0, p_electron, electron))
    return emit(to_lab, columns, pdg, out, -11, (0.0, 0.0, p_positron, positron))


@kernel_lean
def _inside(p: tuple[float, float, float, float], cos_low: float, cos_high: float) -> bool:
    length = math.sqrt(p[0] * p[0] + p[1] * p[1] + p[2] * p[2])
    return bool(cos_low * length <= p[2] <= cos_high * length)
