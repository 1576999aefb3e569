"""From a cross-section to a coupling and back."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

ALPHA = 1.0 / 137.035999
"""Fine-structure constant."""
GEV2_FB = 0.3893794e12
"""1 GeV^-2 in fb."""


def alp_photon_fb(coupling: float, mass_gev: float, s_gev2: float) -> float:
    """Return the cross-section [fb] of e+e- -> gamma a through a virtual photon.

    sigma = g^2 alpha/24 (1 - m^2/s)^3, with the coupling g of the axion-like particle to two photons [GeV^-1].
    Dolan, Ferber, Hearty, Kahlhoefer, Schmidt-Hoberg, JHEP 12 (2017) 094.
    """
    return GEV2_FB * coupling**2 * ALPHA / 24.0 * (1.0 - mass_gev**2 / s_gev2) ** 3


@dataclass(frozen=True, slots=True)
class CouplingFormula:
    """A cross-section that grows with the square of one coupling."""

    symbol: str
    """TeX of the coupling."""
    unit: str
    """Plain text, powers as in GeV^-1."""
    process: str
    """TeX of the process."""
    cross_section_fb: Callable[[float, float, float], float]
    """(coupling, mass [GeV], s [GeV2]) -> cross-section [fb]."""

    def coupling(self, cross_section_fb: float, mass_gev: float, s_gev2: float) -> float:
        """Return the coupling that gives a cross-section [fb].

        Right as long as the efficiency does not depend on the coupling (a prompt, narrow particle).
        """
        return math.sqrt(cross_section_fb / self.cross_section_fb(1.0, mass_gev, s_gev2))


FORMULAS: Mapping[str, CouplingFormula] = MappingProxyType(
    {
        "alp_photon": CouplingFormula(
            symbol=r"$g_{a\gamma\gamma}$",
            unit="GeV^-1",
            process=r"$e^+e^- \to \gamma a$",
            cross_section_fb=alp_photon_fb,
        )
    }
)
"""Formulas by the name that a search gives as ``coupling``."""
