"""From a cross-section to a coupling and back: the formulas of `daq.source.couplings`, inverted."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from daq.errors import InputError
from daq.source import couplings as source
from daq.source.kinematics import MUON_GEV
from daq.source.matrix_elements import fsr_cross_section_nb

NB_FB = 1e6
"""1 nb in fb."""


def alp_photon_fb(coupling: float, mass_gev: float, s_gev2: float) -> float:
    """Return the cross-section [fb] of e+e- -> gamma a; see `daq.source.couplings.alp_cross_section_nb`."""
    return NB_FB * source.alp_cross_section_nb(mass_gev, coupling, s_gev2)


def dark_photon_fb(coupling: float, mass_gev: float, s_gev2: float) -> float:
    """Return the total cross-section [fb] of e+e- -> gamma A'; see `dark_photon_cross_section_nb` there."""
    return NB_FB * source.dark_photon_cross_section_nb(mass_gev, coupling, s_gev2)


def z_prime_fb(coupling: float, mass_gev: float, s_gev2: float) -> float:
    """Return the cross-section [fb] of e+e- -> mu mu Z'; see `daq.source.matrix_elements`."""
    return NB_FB * fsr_cross_section_nb(mass_gev, coupling, s_gev2, model="vector_fsr", lepton_gev=MUON_GEV)


def scalar_muon_fb(coupling: float, mass_gev: float, s_gev2: float) -> float:
    """Return the cross-section [fb] of e+e- -> mu mu S; see `daq.source.matrix_elements`."""
    return NB_FB * fsr_cross_section_nb(mass_gev, coupling, s_gev2, model="scalar_fsr", lepton_gev=MUON_GEV)


def leptophilic_tau_fb(coupling: float, mass_gev: float, s_gev2: float) -> float:
    """Return the cross-section [fb] of e+e- -> tau tau phi_L; see `daq.source.matrix_elements`."""
    yukawa = source.leptophilic_yukawa(coupling, source.TAU_GEV)
    return NB_FB * fsr_cross_section_nb(mass_gev, yukawa, s_gev2, model="scalar_fsr", lepton_gev=source.TAU_GEV)


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
        "alp_photon": CouplingFormula(r"$g_{a\gamma\gamma}$", "GeV^-1", r"$e^+e^- \to \gamma a$", alp_photon_fb),
        "dark_photon": CouplingFormula(r"$\varepsilon$", "", r"$e^+e^- \to \gamma A'$", dark_photon_fb),
        "z_prime": CouplingFormula(r"$g'$", "", r"$e^+e^- \to \mu^+\mu^- Z'$", z_prime_fb),
        "scalar_muon": CouplingFormula(r"$g_S$", "", r"$e^+e^- \to \mu^+\mu^- S$", scalar_muon_fb),
        "leptophilic_tau": CouplingFormula(r"$\xi$", "", r"$e^+e^- \to \tau^+\tau^- \phi_L$", leptophilic_tau_fb),
    }
)
"""Formulas by the name that a search gives as ``coupling``."""
