"""Closed forms of the signals: cross-section, width and decay length as functions of mass and coupling.

A signal is one row of `SIGNALS`, under the name of its sampler in configs/processes. Masses in GeV, cross-sections in
nb; the unit of the coupling is that of the model.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from daq.source.kinematics import ALPHA, GEV2_NB, HBAR_C_GEV_CM


def alp_cross_section_nb(mass_gev: float, coupling: float, s_gev2: float) -> float:
    """Return sigma(e+e- -> gamma a) = alpha g^2/24 (1 - m^2/s)^3; coupling g [1/GeV] to two photons.

    References
    ----------
    Dolan, Ferber, Hearty, Kahlhoefer and Schmidt-Hoberg, JHEP 12 (2017) 094, arXiv:1709.00009.
    """
    return ALPHA * coupling**2 / 24 * (1 - mass_gev**2 / s_gev2) ** 3 * GEV2_NB


def alp_width_gev(mass_gev: float, coupling: float) -> float:
    """Return Gamma(a -> gamma gamma) = g^2 m^3/(64 pi) [GeV]; reference as `alp_cross_section_nb`."""
    return coupling**2 * mass_gev**3 / (64 * math.pi)


@dataclass(frozen=True, slots=True)
class Signal:
    """The formulas of one signal model."""

    cross_section_nb: Callable[[float, float, float], float]
    """(mass, coupling, s [GeV2]) -> cross-section; proportional to the coupling squared."""
    width_gev: Callable[[float, float], float]
    """(mass, coupling) -> total width."""

    def coupling(self, mass_gev: float, cross_section_nb: float, s_gev2: float) -> float:
        """Return the coupling that gives the cross-section."""
        return math.sqrt(cross_section_nb / self.cross_section_nb(mass_gev, 1.0, s_gev2))

    def ctau_cm(self, mass_gev: float, coupling: float) -> float:
        """Return the proper decay length [cm]."""
        return HBAR_C_GEV_CM / self.width_gev(mass_gev, coupling)


SIGNALS: dict[str, Signal] = {"alp_gamma_gamma": Signal(alp_cross_section_nb, alp_width_gev)}
