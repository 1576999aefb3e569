"""Soft and collinear photons: one radiator for the initial and the final state, and equivalent photons of a beam.

A fraction x of the squared mass is radiated with the density beta x^(beta - 1) (1 - x + x^2/2), beta =
(2 alpha/pi)(ln(s/m^2) - 1), and the cosine c to the axis of the charged pair with

    (2 - 2x + x^2)/(1 - c^2 + 4 m^2/s) - x^2/2  (Bonneau and Martin),

its mass term chosen so that it integrates to 2 (ln(s/m^2) - 1)(1 - x + x^2/2). For the initial state c is taken in the
CM frame, for the final state in the rest frame of the pair, where the very same function is exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from daq.jit import Array, kernel_lean
from daq.philox import uniform
from daq.source.kinematics import ALPHA, ELECTRON_GEV, boosted, direction_about

CUT_OFF = 1e-4  # smallest radiated fraction: photons of 0.5 MeV
RADIATED_KNOTS = 769


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


def radiated_fractions(sqrt_s_gev: float, threshold_gev: float, cross_section: Callable[[float], float]) -> Array:
    """Tabulate how much the initial state radiates where the cross-section is ``cross_section(s)``.

    Returns
    -------
    (2, RADIATED_KNOTS) float64
        Knots of x^beta, and the probability to radiate less: the normalised integral of beta x^(beta - 1)
        (1 - x + x^2/2) sigma(s(1 - x))/sigma(s). Half of the knots are even in x^beta, half in ln(1 - x).
    """
    s = sqrt_s_gev**2
    beta, x_max = radiator_slope(s, ELECTRON_GEV), 1 - (threshold_gev / sqrt_s_gev) ** 2
    half = RADIATED_KNOTS // 2
    # Down to 1e-6 of the phase space: what is left below belongs to the last knot.
    left = 1 - x_max + x_max * np.geomspace(1.0, 1e-6, half + 1)
    knots = np.unique(np.concatenate([np.linspace(0.0, x_max**beta, half + 1), (1 - left[1:]) ** beta]))
    knots = np.interp(np.linspace(0, knots.size - 1, RADIATED_KNOTS), np.arange(knots.size), knots)
    # The cross-section may be slow to compute, and is smooth in the logarithm of the distance to its threshold.
    above = np.geomspace(1e-7, 1.0, 65) * (s - threshold_gev**2)
    values = np.array([cross_section(threshold_gev**2 + each) for each in above])
    inner, weights = np.polynomial.legendre.leggauss(4)
    t = knots[:-1, None] + np.diff(knots)[:, None] * 0.5 * (inner + 1)
    x = np.minimum(t ** (1 / beta), x_max)
    ratio = np.interp(np.log(np.maximum(s * (1 - x) - threshold_gev**2, above[0])), np.log(above), values) / values[-1]
    steps = 0.5 * np.diff(knots) * (((1 - x + 0.5 * x * x) * ratio) @ weights)
    chance = np.concatenate([[0.0], np.cumsum(steps)])
    return np.stack([knots, chance / chance[-1]])


@kernel_lean
def radiator_exponent(alpha: float, share: float) -> float:
    """Return the radiator's beta; ``share`` is 4 m^2/s."""
    return 2.0 * alpha / math.pi * (math.log(4.0 / share) - 1.0)


@kernel_lean
def draw_photon_cosine(draws: Any, x: float, share: float) -> float:
    """Draw the cosine of a radiated photon to the axis of the radiating pair; ``share`` is 4 m^2/s."""
    edge = math.sqrt(1.0 + share)
    twice_rapidity = math.log((edge + 1.0) * (edge + 1.0) / share)  # where tanh is 1/edge
    scale = 2.0 - 2.0 * x + x * x
    mass_term = share * (1.0 - x * x / scale)
    while True:
        cosine = edge * (1.0 - 2.0 / (math.exp((2.0 * uniform(draws) - 1.0) * twice_rapidity) + 1.0))
        cosine = min(1.0, max(-1.0, cosine))
        denominator = 1.0 - cosine * cosine + share
        if uniform(draws) < 1.0 - mass_term / denominator - 0.5 * x * x / scale * denominator:
            return cosine


@kernel_lean
def photon_along(
    energy: float, axis: tuple[float, float, float], cosine: float, azimuth: float
) -> tuple[float, float, float, float]:
    """Return the four-momentum of a photon at angle acos(``cosine``) to ``axis``."""
    nx, ny, nz = direction_about(axis, cosine, azimuth)
    return energy * nx, energy * ny, energy * nz, energy


@kernel_lean
def scattering_axis(
    pair: tuple[float, float, float, float], pair_mass: float, from_electron: bool
) -> tuple[float, float, float]:
    """Return the axis of the polar angle in the rest frame of the pair: along the beam that did not radiate."""
    side = -1.0 if from_electron else 1.0  # the positron comes along -z
    bx, by, bz, energy = boosted((0.0, 0.0, side, 1.0), (-pair[0], -pair[1], -pair[2], pair[3]), pair_mass)
    return side * bx / energy, side * by / energy, side * bz / energy


@kernel_lean
def equivalent_photons(y: float, highest: float, alpha: float, electron_mass: float) -> float:
    """Return y N(y): quasi-real photons with a fraction y of an electron's energy and Q2 up to ``highest`` [GeV2].

    Formula and paper: `daq.source.standard.two_photon`.
    """
    if y >= 1.0:
        return 0.0
    lowest = electron_mass * electron_mass * y * y / (1.0 - y)
    if highest <= lowest:
        return 0.0
    spectrum = (1.0 + (1.0 - y) ** 2) * math.log(highest / lowest)
    mass_term = 2.0 * electron_mass * electron_mass * y * y * (1.0 / lowest - 1.0 / highest)
    return max(0.0, alpha / (2.0 * math.pi) * (spectrum - mass_term))
