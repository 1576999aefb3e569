"""From a cross-section to a coupling and back: the formulas of `daq.source.couplings`, inverted."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from daq.errors import InputError
from daq.source import couplings as source

NB_FB = 1e6
"""1 nb in fb."""


def _in_fb(cross_section_nb: Callable[[float, float, float], float]) -> Callable[[float, float, float], float]:
    """Turn a formula of (mass, coupling, s) -> nb into one of (coupling, mass, s) -> fb."""

    def cross_section_fb(coupling: float, mass_gev: float, s_gev2: float) -> float:
        return NB_FB * cross_section_nb(mass_gev, coupling, s_gev2)

    return cross_section_fb


@dataclass(frozen=True, slots=True)
class CouplingFormula:
    """A cross-section that grows with the square of one coupling."""

    symbol: str
    """TeX of the coupling."""
    unit: str
    """Plain text, powers as in GeV^-1; empty for a number."""
    process: str
    """TeX of the process."""
    cross_section_fb: Callable[[float, float, float], float]
    """(coupling, mass [GeV], s [GeV2]) -> cross-section [fb]."""

    def coupling(self, cross_section_fb: float, mass_gev: float, s_gev2: float) -> float:
        """Return the coupling that gives a cross-section [fb].

        Right as long as the efficiency does not depend on the coupling (a prompt, narrow particle). Raises `InputError`
        where nothing is produced at all.
        """
        unit_fb = self.cross_section_fb(1.0, mass_gev, s_gev2)
        if unit_fb <= 0:
            raise InputError("is too heavy to be produced", key="mass_gev", value=mass_gev)
        return math.sqrt(cross_section_fb / unit_fb)


FORMULAS: Mapping[str, CouplingFormula] = MappingProxyType(
    {
        "alp_photon": CouplingFormula(
            r"$g_{a\gamma\gamma}$", "GeV^-1", r"$e^+e^- \to \gamma a$", _in_fb(source.alp_cross_section_nb)
        ),
        "dark_photon": CouplingFormula(
            r"$\varepsilon$", "", r"$e^+e^- \to \gamma A'$", _in_fb(source.dark_photon_cross_section_nb)
        ),
        "z_prime": CouplingFormula(r"$g'$", "", r"$e^+e^- \to \mu^+\mu^- Z'$", _in_fb(source.z_prime_cross_section_nb)),
        "muon_scalar": CouplingFormula(
            r"$g_S$", "", r"$e^+e^- \to \mu^+\mu^- S$", _in_fb(source.muon_scalar_cross_section_nb)
        ),
        "leptophilic": CouplingFormula(
            r"$\xi$", "", r"$e^+e^- \to \tau^+\tau^- \phi_L$", _in_fb(source.leptophilic_cross_section_nb)
        ),
    }
)
"""Formulas by the name that a search gives as ``coupling``."""
