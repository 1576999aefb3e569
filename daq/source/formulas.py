"""The names by which process files call the formulas of `daq.source.couplings`, and the ranges of the couplings.

A formula takes what it needs from `Values`: masses of new particles by the names they have in the file, couplings by
the names of `COUPLINGS`. It is told which decay or particle it is asked about, so one formula serves particles of
different names. A value that is not there raises `MissingValue`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from daq.source import couplings as c
from daq.source.decay import ON_RESONANCE_GEV
from daq.source.kinematics import ELECTRON_GEV, MUON_GEV
from daq.source.species import standard_model


class MissingValue(ValueError):
    """A formula needs a coupling or a particle that nobody gave."""


@dataclass(frozen=True, slots=True)
class Values:
    """What formulas may ask for."""

    masses_gev: Mapping[str, float]
    couplings: Mapping[str, float]
    s_gev2: float

    def mass(self, name: str) -> float:
        """Return the mass of a particle of the file or of the table [GeV]."""
        if name in self.masses_gev:
            return self.masses_gev[name]
        if name in standard_model().species:
            return standard_model().mass_gev(name)
        raise MissingValue(f"needs a particle that is called {name}")

    def coupling(self, name: str) -> float:
        """Return a coupling."""
        if name not in self.couplings:
            raise MissingValue(f"needs the coupling {name}")
        return self.couplings[name]


@dataclass(frozen=True, slots=True)
class Coupling:
    """What a coupling is, and where perturbation theory in it ends."""

    meaning: str
    unit: str
    below: float
    """Largest value; in units of 1/sqrt(s) if the coupling has the unit 1/GeV."""

    def limit(self, sqrt_s_gev: float) -> float:
        """Return the largest value at a collision energy."""
        return self.below / sqrt_s_gev if self.unit else self.below


_STRONG = math.sqrt(4 * math.pi)  # a coupling g with g^2/4 pi = 1
COUPLINGS: Mapping[str, Coupling] = MappingProxyType(
    {
        "g_agg": Coupling("ALP to two photons", "1/GeV", 4 * math.pi),
        "g_aW": Coupling("ALP to two W bosons", "1/GeV", 4 * math.pi),
        "eps": Coupling("kinetic mixing of the dark photon", "", 1.0),
        "alpha_D": Coupling("fine-structure constant of the dark photon", "", 1.0),
        "g_prime": Coupling("gauge coupling of the Z' of L_mu - L_tau", "", _STRONG),
        "g_S": Coupling("Yukawa coupling of a scalar to muons", "", _STRONG),
        "g_a": Coupling("Yukawa coupling of a pseudoscalar to muons", "", _STRONG),
        "xi": Coupling("leptophilic scalar: Yukawa couplings are xi m_l/v", "", _STRONG * c.VACUUM_GEV / c.TAU_GEV),
        "sin_theta": Coupling("mixing of a scalar with the Higgs boson", "", 1.0),
        "mu": Coupling("signal strength: 1 is the Standard Model", "", math.inf),
    }
)

CrossSection = Callable[[Values], float]
"""-> production cross-section [nb]."""
Fraction = Callable[[Values, str, tuple[str, ...]], float]
"""(values, parent, products) -> branching fraction."""
Width = Callable[[Values, str], float]
"""(values, particle) -> total width [GeV]."""


def _higgsstrahlung(charge: int) -> CrossSection:
    def cross_section(v: Values) -> float:
        dark = {"higgs_gev": v.mass("h'"), "alpha_d": v.coupling("alpha_D")}
        return c.dark_higgsstrahlung_cross_section_nb(v.mass("A'"), v.coupling("eps"), v.s_gev2, charge=charge, **dark)

    return cross_section


def _upsilon_4s(v: Values) -> float:
    if abs(math.sqrt(v.s_gev2) - v.mass("Upsilon(4S)")) > ON_RESONANCE_GEV:
        raise MissingValue("is known at the peak of the Upsilon(4S) only")
    return c.UPSILON_4S_NB


def _radiative_return(name: str, electron_width_gev: float) -> CrossSection:
    """Widths to e+e-: Particle Data Group, Review of Particle Physics 2024."""
    return lambda v: c.radiative_return_cross_section_nb(v.mass(name), electron_width_gev, v.s_gev2)


CROSS_SECTIONS: Mapping[str, CrossSection] = MappingProxyType(
    {
        "alp_photon": lambda v: c.alp_cross_section_nb(v.mass("a"), v.coupling("g_agg"), v.s_gev2),
        "dark_photon": lambda v: c.dark_photon_cross_section_nb(v.mass("A'"), v.coupling("eps"), v.s_gev2),
        "dark_higgsstrahlung": _higgsstrahlung(1),
        "dark_higgsstrahlung_charge_2": _higgsstrahlung(2),
        "z_prime_mu_mu": lambda v: c.z_prime_cross_section_nb(v.mass("Z'"), v.coupling("g_prime"), v.s_gev2),
        "scalar_mu_mu": lambda v: c.muon_scalar_cross_section_nb(v.mass("S"), v.coupling("g_S"), v.s_gev2),
        "alp_mu_mu": lambda v: c.muon_alp_cross_section_nb(v.mass("a"), v.coupling("g_a"), v.s_gev2),
        "leptophilic_tau_tau": lambda v: c.leptophilic_cross_section_nb(v.mass("phi_L"), v.coupling("xi"), v.s_gev2),
        "upsilon_4s": _upsilon_4s,
        "isr_omega": _radiative_return("omega", 0.60e-6),
        "isr_phi": _radiative_return("phi", 1.27e-6),
        "isr_j_psi": _radiative_return("J/psi", 5.53e-6),
        "tau_pair": lambda v: c.tau_pair_cross_section_nb(v.s_gev2),
    }
)
"""Production cross-sections by the names of process files."""

_LEPTONS = {"ee": ELECTRON_GEV, "mumu": MUON_GEV, "tautau": c.TAU_GEV}


def _dark_photon(lepton_gev: float) -> Fraction:
    return lambda v, parent, _: c.dark_photon_branching(v.mass(parent), lepton_gev)


def _z_prime(channel: str) -> Fraction:
    return lambda v, parent, _: c.z_prime_branching(v.mass(parent), channel)


def _scalar(channel: str) -> Fraction:
    return lambda v, parent, _: c.scalar_branching(v.mass(parent), channel)


def _lepton_scalar(lepton_gev: float) -> Fraction:
    return lambda v, parent, _: c.leptophilic_branching(v.mass(parent), lepton_gev)


FRACTIONS: Mapping[str, Fraction] = MappingProxyType(
    {
        **{f"dark_photon_{name}": _dark_photon(mass) for name, mass in _LEPTONS.items()},
        "dark_photon_pipi": lambda v, parent, _: c.dark_photon_pion_branching(v.mass(parent)),
        **{f"z_prime_{name}": _z_prime(of) for name, of in (("mumu", "mu"), ("tautau", "tau"), ("nunu", "nu"))},
        **{
            f"scalar_{name}": _scalar(of)
            for name, of in (("ee", "e"), ("mumu", "mu"), ("tautau", "tau"), ("pipi", "pi"), ("kk", "k"))
        },
        **{f"leptophilic_{name}": _lepton_scalar(mass) for name, mass in _LEPTONS.items()},
        "b_to_k_scalar": lambda v, _, products: c.b_to_k_scalar_branching(
            v.mass(products[1]), v.coupling("sin_theta"), kaon=products[0]
        ),
        "b_to_k_alp": lambda v, _, products: c.b_to_k_alp_branching(
            v.mass(products[1]), v.coupling("g_aW"), kaon=products[0]
        ),
        "b_to_k_nunu": lambda v, _, __: v.coupling("mu") * c.B_TO_K_NUNU,
    }
)
"""Branching fractions by the names of process files."""


def _inelastic(v: Values, name: str) -> float:
    light = v.mass("chi1")
    dark = {"photon_gev": v.mass("A'"), "alpha_d": v.coupling("alpha_D")}
    return c.idm_width_gev(light, v.coupling("eps"), splitting_gev=v.mass(name) - light, **dark)


WIDTHS: Mapping[str, Width] = MappingProxyType(
    {
        "alp_photon": lambda v, name: c.alp_width_gev(v.mass(name), v.coupling("g_agg")),
        "alp_w": lambda v, name: c.alp_w_width_gev(v.mass(name), v.coupling("g_aW")),
        "dark_photon": lambda v, name: c.dark_photon_width_gev(v.mass(name), v.coupling("eps")),
        "z_prime": lambda v, name: c.z_prime_width_gev(v.mass(name), v.coupling("g_prime")),
        "scalar": lambda v, name: c.scalar_width_gev(v.mass(name), v.coupling("sin_theta")),
        "leptophilic": lambda v, name: c.leptophilic_width_gev(v.mass(name), v.coupling("xi")),
        "inelastic": _inelastic,
    }
)
"""Total widths by the names of process files."""
