"""Radiation of a new particle X off the pair of e+e- -> l+l-: vector, scalar or pseudoscalar.

At tree level with all masses and the full spin correlation with the beams. With a = (p1 + k)^2 - m^2,
b = (p2 + k)^2 - m^2, M the mass of X and n the beam axis, the squared amplitude is proportional to T - n.H.n:

    vector:  T = -8 (s + 2m^2)(M^2 + 2m^2)(1/a^2 + 1/b^2)
                 + [16 s^2 + 32 s M^2 - 64 m^4 + 16 M^4 - 16 (s + 2m^2 + M^2)(a + b) + 8 (a^2 + b^2)]/(ab)
    scalar:  T = 4 (s + 2m^2) K (1/a^2 + 1/b^2)
                 + [4 (a + b)^2 + 8K (a + b + 2m^2 - M^2) + 32 m^2 s]/(ab),  K = 4m^2 - M^2
    pseudo:  T as the scalar with K = -M^2 and without the term 32 m^2 s

These traces were worked out for this project; for massless leptons the vector is the formula of gluon radiation with a
massive gluon. The exchange of X between e+e- and l+l- (X coupled to electrons) is not in them. For leptons of different
flavour the leptons of the matrix element are massless, those of the phase space are not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from daq.jit import Array, kernel_lean
from daq.source.kinematics import ALPHA, GEV2_NB

FSR: Mapping[str, int] = {"vector_fsr": 0, "scalar_fsr": 1, "pseudoscalar_fsr": 2}
"""Matrix elements of the collision, with the numbers by which the kernels know them."""
_MARGIN = 1.1  # on the largest weight found on a grid


@kernel_lean
def fsr_squared(kind: int, a: float, b: float, m2: float, x2: float, s: float) -> float:
    """Return T of the module's text; ``m2`` and ``x2`` are the squared masses of the lepton and of X."""
    ab, inverse = a * b, 1.0 / (a * a) + 1.0 / (b * b)
    if kind == 0:
        numerator = 16.0 * s * s + 32.0 * s * x2 - 64.0 * m2 * m2 + 16.0 * x2 * x2
        numerator += 8.0 * (a * a + b * b) - 16.0 * (s + 2.0 * m2 + x2) * (a + b)
        return numerator / ab - 8.0 * (s + 2.0 * m2) * (x2 + 2.0 * m2) * inverse
    k = 4.0 * m2 - x2 if kind == 1 else -x2
    numerator = 4.0 * (a + b) ** 2 + 8.0 * k * (a + b + 2.0 * m2 - x2) + (32.0 * m2 * s if kind == 1 else 0.0)
    return numerator / ab + 4.0 * (s + 2.0 * m2) * k * inverse


@kernel_lean
def fsr_along_beam(kind: int, a: float, b: float, m2: float, x2: float, s: float, z1: float, z2: float) -> float:
    """Return n.H.n, between 0 and T; ``z1`` and ``z2`` are the momenta of the leptons along the beam."""
    ab, difference = a * b, z1 / b - z2 / a
    if kind == 0:
        k = 2.0 * m2 + x2
        rest = 8.0 * s * s - 8.0 * s * (a + b) + 4.0 * (a * a + b * b) + 16.0 * s * x2 - 16.0 * s * (z1 * z1 + z2 * z2)
        return rest / ab - 4.0 * s * k * (1.0 / a + 1.0 / b) ** 2 + 16.0 * k * difference**2
    k = 4.0 * m2 - x2 if kind == 1 else -x2
    together = 2.0 * (a + b) ** 2 * (1.0 + s * k / ab) - 8.0 * s * (z1 + z2) ** 2
    return together / ab - 8.0 * k * difference**2


@kernel_lean
def fsr_point(
    kind: int, u: float, w: float, sqrt_s: float, m1: float, m2: float, mass: float
) -> tuple[float, float, float]:
    """Return (weight, a, b) of a point of the unit square: the logarithms of a and b run over their ranges.

    The weight is the density of T da db in u and w: smooth, because T goes like 1/(ab).
    """
    s = sqrt_s * sqrt_s
    low, high = math.log(mass * (2.0 * m1 + mass)), math.log((sqrt_s - m2 - m1) * (sqrt_s - m2 + m1))
    a = math.exp(low + (high - low) * u)
    s13 = a + m1 * m1
    root = 2.0 * math.sqrt(s13)
    boson, lepton = (a + mass * mass) / root, (s - s13 - m2 * m2) / root  # energies where 1 and X are at rest together
    product = math.sqrt(max(0.0, (boson * boson - mass * mass) * (lepton * lepton - m2 * m2)))
    most = boson * lepton + product
    least = ((mass * lepton) ** 2 + (m2 * boson) ** 2 - (mass * m2) ** 2) / most
    smallest, largest = mass * mass + 2.0 * least, mass * mass + 2.0 * most
    span = math.log(largest / smallest)
    b = smallest * math.exp(span * w)
    squared = fsr_squared(kind, a, b, m1 * m1 if m1 == m2 else 0.0, mass * mass, s)
    return max(0.0, squared) * a * b * span * (high - low), a, b


@kernel_lean
def _fsr_integral(kind: int, nodes: Array, weights: Array, sqrt_s: float, m1: float, m2: float, mass: float) -> float:
    total = 0.0
    for i in range(nodes.size):
        for j in range(nodes.size):
            value, _, _ = fsr_point(kind, nodes[i], nodes[j], sqrt_s, m1, m2, mass)
            total += weights[i] * weights[j] * value
    return total


@kernel_lean
def _fsr_maximum(kind: int, steps: int, sqrt_s: float, m1: float, m2: float, mass: float) -> float:
    largest = 0.0
    for i in range(steps + 1):
        for j in range(steps + 1):
            value, _, _ = fsr_point(kind, i / steps, j / steps, sqrt_s, m1, m2, mass)
            largest = max(largest, value)
    return largest


def fsr_integral(kind: int, sqrt_s_gev: float, first_gev: float, second_gev: float, mass_gev: float) -> float:
    """Return the integral of T da db over the Dalitz plane [GeV4]; 0 below threshold."""
    if first_gev + second_gev + mass_gev >= sqrt_s_gev:
        return 0.0
    nodes, weights = np.polynomial.legendre.leggauss(48)
    return _fsr_integral(kind, 0.5 * (nodes + 1), 0.5 * weights, sqrt_s_gev, first_gev, second_gev, mass_gev)


def fsr_maximum(kind: int, sqrt_s_gev: float, first_gev: float, second_gev: float, mass_gev: float) -> float:
    """Return an upper bound of the weight of `fsr_point`."""
    return _MARGIN * _fsr_maximum(kind, 48, sqrt_s_gev, first_gev, second_gev, mass_gev)


def fsr_cross_section_nb(mass_gev: float, coupling: float, s_gev2: float, *, model: str, lepton_gev: float) -> float:
    """Return sigma(e+e- -> l+l- X) = alpha^2 g^2/(48 pi s^3) times the integral of T da db.

    ``model`` is a name of `FSR`; the coupling is g' of a vector, or the Yukawa coupling of a (pseudo)scalar.
    """
    integral = fsr_integral(FSR[model], math.sqrt(s_gev2), lepton_gev, lepton_gev, mass_gev)
    return ALPHA**2 * coupling**2 / (48 * math.pi * s_gev2**3) * integral * GEV2_NB
