"""Closed forms of the signals: cross-sections, widths and branching fractions as functions of masses and couplings.

Masses and widths in GeV, cross-sections in nb at Born level (no initial-state radiation), s in GeV2, branching
fractions between 0 and 1. The arguments come in the order (mass, coupling, rest). `daq.source.formulas` gives these
functions the names that process files use; `offline.couplings` inverts them.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from daq.errors import InputError
from daq.jit import Array
from daq.source.fsr import fsr_cross_section_nb
from daq.source.kinematics import ALPHA, ELECTRON_GEV, GEV2_NB, HBAR_C_GEV_CM, MUON_GEV
from daq.source.species import standard_model

VACUUM_GEV = 246.0  # expectation value of the Higgs field
FERMI_GEV2 = 1.1663788e-5  # Fermi constant, 1/GeV2
W_GEV, TOP_GEV, TOP_MSBAR_GEV = 80.377, 173.0, 163.0
V_TS_TB = 0.0411
SIN2_WEAK = 0.2312
B_TO_K_NUNU = 4.97e-6  # B(B+ -> K+ nu nubar) of the Standard Model without tau -> K nu, as Belle II quotes it
UPSILON_4S_NB = 1.11  # cross-section of e+e- -> Upsilon(4S) at its peak, Belle II Physics Book
TAU_PAIR_NB = 0.919  # with radiation, Belle II Physics Book
_MASS = standard_model().mass_gev
TAU_GEV, PION_GEV, KAON_GEV = _MASS("tau-"), _MASS("pi+"), _MASS("K+")
LEPTONS_GEV = (ELECTRON_GEV, MUON_GEV, TAU_GEV)


def ctau_cm(width_gev: float) -> float:
    """Return the proper decay length [cm] of a width; infinite for none."""
    return HBAR_C_GEV_CM / width_gev if width_gev > 0 else math.inf


def velocity(mass_gev: float, product_gev: float) -> float:
    """Return the velocity of two equal decay products in the rest frame; 0 below threshold."""
    return math.sqrt(1 - 4 * (product_gev / mass_gev) ** 2) if mass_gev > 2 * product_gev else 0.0


def kallen(x: float, y: float, z: float) -> float:
    """Return lambda(x, y, z) = x^2 + y^2 + z^2 - 2xy - 2yz - 2zx of squared masses, not below 0."""
    return max(0.0, x * x + y * y + z * z - 2 * (x * y + y * z + z * x))


def tau_pair_cross_section_nb(s_gev2: float) -> float:
    """Return sigma(e+e- -> tau tau (gamma)): 0.919 nb at 10.58 GeV, going with energy as the leading order does."""

    def order(s: float) -> float:
        beta = velocity(math.sqrt(s), TAU_GEV)
        return beta * (3 - beta * beta) / s

    return TAU_PAIR_NB * order(s_gev2) / order(10.58**2)


def radiative_return_cross_section_nb(mass_gev: float, electron_width_gev: float, s_gev2: float) -> float:
    """Return sigma(e+e- -> gamma V) of a narrow resonance below s by initial-state radiation, at all angles.

    (12 pi^2 Gamma_ee/(m s)) W(x), x = 1 - m^2/s, W = (2 alpha/(pi x)) (ln(s/m_e^2) - 1)(1 - x + x^2/2): Bonneau and
    Martin, Nucl. Phys. B27 (1971) 381, at first order.
    """
    x = 1 - mass_gev**2 / s_gev2
    if x <= 0:
        return 0.0
    radiator = 2 * ALPHA / (math.pi * x) * (math.log(s_gev2 / ELECTRON_GEV**2) - 1) * (1 - x + 0.5 * x * x)
    return 12 * math.pi**2 * electron_width_gev / (mass_gev * s_gev2) * radiator * GEV2_NB


# ---- axion-like particle with photons


def alp_cross_section_nb(mass_gev: float, coupling: float, s_gev2: float) -> float:
    """Return sigma(e+e- -> gamma a) = alpha g^2/24 (1 - m^2/s)^3; coupling g [1/GeV] to two photons.

    References
    ----------
    Dolan, Ferber, Hearty, Kahlhoefer and Schmidt-Hoberg, JHEP 12 (2017) 094, arXiv:1709.00009.
    """
    return ALPHA * coupling**2 / 24 * max(0.0, 1 - mass_gev**2 / s_gev2) ** 3 * GEV2_NB


def alp_width_gev(mass_gev: float, coupling: float) -> float:
    """Return Gamma(a -> gamma gamma) = g^2 m^3/(64 pi) [GeV]; reference as `alp_cross_section_nb`."""
    return coupling**2 * mass_gev**3 / (64 * math.pi)


def alp_w_width_gev(mass_gev: float, coupling: float) -> float:
    """Return Gamma(a -> gamma gamma) of an ALP with coupling g_aW [1/GeV] to W bosons only: g = g_aW sin^2 theta_W.

    References
    ----------
    Izaguirre, Lin and Shuve, Phys. Rev. Lett. 118 (2017) 111802, arXiv:1611.09355.
    """
    return alp_width_gev(mass_gev, coupling * SIN2_WEAK)


def b_to_k_alp_branching(mass_gev: float, coupling: float, *, kaon: str = "K+") -> float:
    """Return B(B+ -> K+ a) or B(B0 -> K*0 a) of an ALP with coupling g_aW [1/GeV] to W bosons.

    g_bs = -(3 sqrt2 G_F m_W^2 g_aW/16 pi^2) V_tb V_ts* f(m_t^2/m_W^2), the top quark in the MS-bar scheme (charm and up
    change it by less than 0.1 %). Reference as `alp_w_width_gev`; form factors f0 and A0 quoted there.
    """
    x = (TOP_MSBAR_GEV / W_GEV) ** 2
    loop = x * (1 + x * (math.log(x) - 1)) / (1 - x) ** 2
    g_bs = 3 * math.sqrt(2) * FERMI_GEV2 * W_GEV**2 * coupling / (16 * math.pi**2) * V_TS_TB * loop
    m_b, m_k = _b_and_kaon(kaon)
    if mass_gev >= m_b - m_k:
        return 0.0
    phase_space = kallen(m_b**2, m_k**2, mass_gev**2) / m_b**4
    if kaon in _SCALAR_KAONS:
        form = (1 - m_k**2 / m_b**2) ** 2 * _f0(mass_gev**2) ** 2 * math.sqrt(phase_space)
    else:
        form = _a0(mass_gev**2) ** 2 * phase_space**1.5
    return m_b**3 / (64 * math.pi) * g_bs**2 * form * _b_lifetime(kaon)


# ---- dark photon


def dark_photon_cross_section_nb(
    mass_gev: float, coupling: float, s_gev2: float, cos_min: float = -1.0, cos_max: float = 1.0
) -> float:
    """Return sigma(e+e- -> gamma A') for photons in the range of CM cosines; the coupling is the mixing eps.

    d sigma/dc = (2 pi eps^2 alpha^2/s)(1 - x)[1 + c^2 + 4x/(1-x)^2]/(1 - c^2), x = m^2/s; on the beam 1 - c^2 becomes
    1 - c^2 + 4 m_e^2/s, which gives the logarithm of s/m_e^2.

    References
    ----------
    Essig, Schuster and Toro, Phys. Rev. D80 (2009) 015003, arXiv:0903.3941.
    """
    x = mass_gev**2 / s_gev2
    if x >= 1:
        return 0.0
    edge = math.sqrt(1 + 4 * ELECTRON_GEV**2 / s_gev2)

    def integral(c: float) -> float:
        return (1 + x * x) / (1 - x) * 2 / edge * math.atanh(c / edge) - (1 - x) * c

    both = integral(cos_max) - integral(cos_min)
    return 2 * math.pi * coupling**2 * ALPHA**2 / s_gev2 * both * GEV2_NB


def vector_lepton_width_gev(mass_gev: float, alpha: float, lepton_gev: float) -> float:
    """Return Gamma(V -> l+l-) = (alpha' m/3) sqrt(1 - 4r)(1 + 2r), r = m_l^2/m^2, of a vector coupling alpha'."""
    if mass_gev <= 2 * lepton_gev:
        return 0.0
    return alpha * mass_gev / 3 * velocity(mass_gev, lepton_gev) * (1 + 2 * (lepton_gev / mass_gev) ** 2)


def pion_ratio(mass_gev: float) -> float:
    """Return a rough sigma(e+e- -> pi+ pi-)/sigma(mu mu): a Breit-Wigner rho scaled to 9 at its peak. Not data."""
    if mass_gev <= 2 * PION_GEV:
        return 0.0
    rho = standard_model().species["rho0"]
    shape = (velocity(mass_gev, PION_GEV) / velocity(rho.mass_gev, PION_GEV)) ** 3
    off = (mass_gev**2 - rho.mass_gev**2) / (rho.mass_gev * rho.width_gev)
    return 9.0 * shape / (1 + off * off)


def hadron_ratio(mass_gev: float) -> float:
    """Return a rough R = sigma(e+e- -> hadrons)/sigma(mu mu): two pions, and quarks from 1.5 GeV.

    Not data, and without omega, phi, psi and Upsilon: quarks count 3 Q^2 each (u, d, s from 1.5 GeV, c from 3.8 GeV).
    Good to a factor of two outside of the narrow resonances.
    """
    if mass_gev < 1.5:
        return pion_ratio(mass_gev)
    return 2.0 if mass_gev < 3.8 else 10 / 3


def dark_photon_width_gev(mass_gev: float, coupling: float, ratio: Callable[[float], float] = hadron_ratio) -> float:
    """Return the total width of a dark photon that decays to leptons and hadrons; ``ratio`` is R as `hadron_ratio`.

    References
    ----------
    Batell, Pospelov and Ritz, Phys. Rev. D79 (2009) 115008, arXiv:0903.0363.
    """
    alpha = ALPHA * coupling**2
    leptons = sum(vector_lepton_width_gev(mass_gev, alpha, lepton) for lepton in LEPTONS_GEV)
    return leptons + alpha * mass_gev / 3 * ratio(mass_gev)  # R counts in units of massless muon pairs


def dark_photon_branching(mass_gev: float, lepton_gev: float, ratio: Callable[[float], float] = hadron_ratio) -> float:
    """Return B(A' -> l+l-) for a lepton mass; reference as `dark_photon_width_gev`."""
    return vector_lepton_width_gev(mass_gev, ALPHA, lepton_gev) / dark_photon_width_gev(mass_gev, 1.0, ratio)


def dark_photon_pion_branching(mass_gev: float, ratio: Callable[[float], float] = hadron_ratio) -> float:
    """Return B(A' -> pi+ pi-) with `pion_ratio`; reference as `dark_photon_width_gev`."""
    return ALPHA * mass_gev / 3 * pion_ratio(mass_gev) / dark_photon_width_gev(mass_gev, 1.0, ratio)


# ---- Z' of L_mu - L_tau


def z_prime_cross_section_nb(mass_gev: float, coupling: float, s_gev2: float) -> float:
    """Return sigma(e+e- -> mu mu Z') by radiation off a muon; coupling g'. See `daq.source.fsr`."""
    return fsr_cross_section_nb(mass_gev, coupling, s_gev2, model="vector_fsr", lepton_gev=MUON_GEV)


def z_prime_partial_widths_gev(mass_gev: float, coupling: float) -> dict[str, float]:
    """Return the widths of a Z' of L_mu - L_tau to ``mu``, ``tau`` pairs and ``nu`` (both flavours); coupling g'.

    Gamma(l l) = g'^2 m/(12 pi)(1 + 2r) sqrt(1 - 4r), Gamma(nu nu) = g'^2 m/(24 pi) a flavour.

    References
    ----------
    Shuve and Yavin, Phys. Rev. D89 (2014) 113004; Altmannshofer et al., JHEP 12 (2016) 106.
    """
    alpha = coupling**2 / (4 * math.pi)
    return {
        "mu": vector_lepton_width_gev(mass_gev, alpha, MUON_GEV),
        "tau": vector_lepton_width_gev(mass_gev, alpha, TAU_GEV),
        "nu": coupling**2 * mass_gev / (12 * math.pi),
    }


def z_prime_width_gev(mass_gev: float, coupling: float) -> float:
    """Return the total width of `z_prime_partial_widths_gev`."""
    return sum(z_prime_partial_widths_gev(mass_gev, coupling).values())


def z_prime_branching(mass_gev: float, channel: str) -> float:
    """Return the branching fraction to ``mu``, ``tau`` or ``nu``; reference as `z_prime_partial_widths_gev`."""
    return z_prime_partial_widths_gev(mass_gev, 1.0)[channel] / z_prime_width_gev(mass_gev, 1.0)


def z_prime_mixing(coupling: float) -> float:
    """Return the loop-induced kinetic mixing |eps| = (e g'/12 pi^2) ln(m_tau^2/m_mu^2) of a light Z' (g'/69).

    References
    ----------
    Amaral, Cerdeno, Foldenauer and Reid, JHEP 12 (2020) 155, arXiv:2006.11225.
    """
    electric = math.sqrt(4 * math.pi * ALPHA)
    return electric * coupling / (12 * math.pi**2) * math.log((TAU_GEV / MUON_GEV) ** 2)


# ---- dark Higgs boson and inelastic dark matter


def dark_higgsstrahlung_cross_section_nb(
    mass_gev: float, coupling: float, s_gev2: float, *, higgs_gev: float, alpha_d: float, charge: int = 1
) -> float:
    """Return sigma(e+e- -> A' h') for the mass of the A' and the mixing eps.

    (pi alpha alpha_D eps^2/3s)(1 - m_A'^2/s)^-2 lambda^(1/2)[lambda + 12 m_A'^2/s], times the squared dark charge of
    the Higgs: 1, or 2 where it gives dark matter its Majorana mass (inelastic dark matter).

    References
    ----------
    Batell, Pospelov and Ritz, Phys. Rev. D79 (2009) 115008, arXiv:0903.0363.
    """
    if mass_gev + higgs_gev >= math.sqrt(s_gev2):
        return 0.0
    x = mass_gev**2 / s_gev2
    lam = kallen(1.0, x, higgs_gev**2 / s_gev2)
    scale = math.pi * ALPHA * alpha_d * (charge * coupling) ** 2 / (3 * s_gev2)
    return scale / (1 - x) ** 2 * math.sqrt(lam) * (lam + 12 * x) * GEV2_NB


def idm_width_gev(
    mass_gev: float, coupling: float, *, splitting_gev: float, photon_gev: float, alpha_d: float
) -> float:
    """Return Gamma(chi2 -> chi1 e e) for the mass of the chi1 and the mixing eps, with the recoil of the chi1.

    The phase-space integral of a virtual A'. For a small mass splitting it becomes `idm_width_small_splitting_gev`; at
    Delta = 0.4 m_chi1 it is a third smaller. Decays to muons and hadrons, where open, are not counted.

    References
    ----------
    Izaguirre, Krnjaic and Shuve, Phys. Rev. D93 (2016) 063523; Duerr et al., arXiv:1911.03176.
    """
    heavy, total = mass_gev + splitting_gev, 2 * mass_gev + splitting_gev
    low, high = 4 * ELECTRON_GEV**2, splitting_gev**2
    if high <= low:
        return 0.0
    nodes, weights = np.polynomial.legendre.leggauss(64)
    angle = 0.25 * math.pi * (nodes + 1)  # q2 = low + (high - low) sin^2(angle): smooth at both ends
    q2 = low + (high - low) * np.sin(angle) ** 2
    step = 0.25 * math.pi * weights * (high - low) * np.sin(2 * angle)
    momentum = np.sqrt((high - q2) * (total**2 - q2)) / (2 * heavy)
    current = (high - q2) * (total**2 + 2 * q2)
    lepton = np.sqrt(1 - low / q2) * (1 + low / (2 * q2))
    integral = float((step * momentum * current * lepton / (photon_gev**2 - q2) ** 2).sum())
    return coupling**2 * ALPHA * alpha_d / (6 * math.pi * heavy**2) * integral


def idm_width_small_splitting_gev(coupling: float, *, splitting_gev: float, photon_gev: float, alpha_d: float) -> float:
    """Return 4 eps^2 alpha alpha_D Delta^5/(15 pi m_A'^4), the width for m_e << Delta << m_chi1; as `idm_width_gev`."""
    return 4 * coupling**2 * ALPHA * alpha_d * splitting_gev**5 / (15 * math.pi * photon_gev**4)


def idm_y(coupling: float, alpha_d: float, mass_gev: float, photon_gev: float) -> float:
    """Return y = eps^2 alpha_D (m_chi1/m_A')^4, in which thermal targets are drawn; reference as `idm_width_gev`."""
    return coupling**2 * alpha_d * (mass_gev / photon_gev) ** 4


# ---- scalar that mixes with the Higgs boson

# Total width at sin theta = 1 [GeV] and branching fractions to pi+pi-, K+K- and several mesons; Winkler, Phys. Rev. D99
# (2019) 015018, arXiv:1809.01876, as tabulated in the facts of this project. Neutral pairs add 1/2 and 1.
_WINKLER = np.array(
    [
        (0.30, 3.63e-9, 0.522, 0.0, 0.0),
        (0.40, 1.30e-8, 0.574, 0.0, 0.0),
        (0.50, 2.49e-8, 0.593, 0.0, 0.0),
        (0.60, 3.84e-8, 0.597, 0.0, 0.011),
        (0.80, 8.94e-8, 0.613, 0.0, 0.021),
        (0.90, 1.85e-7, 0.634, 0.0, 0.016),
        (1.00, 6.79e-7, 0.592, 0.048, 0.006),
        (1.10, 1.73e-7, 0.197, 0.313, 0.034),
        (1.30, 1.19e-7, 0.058, 0.375, 0.085),
        (1.50, 1.14e-7, 0.020, 0.368, 0.14),
        (2.00, 9.21e-8, 0.026, 0.189, 0.425),
    ]
)


def scalar_lepton_width_gev(mass_gev: float, coupling: float, lepton_gev: float) -> float:
    """Return Gamma(S -> l+l-) = sin^2 theta m_l^2 m/(8 pi v^2)(1 - 4 m_l^2/m^2)^(3/2); the coupling is sin theta."""
    beta = velocity(mass_gev, lepton_gev)
    return (coupling * lepton_gev / VACUUM_GEV) ** 2 * mass_gev * beta**3 / (8 * math.pi)


def scalar_partial_widths_gev(mass_gev: float, coupling: float) -> dict[str, float]:
    """Return the widths of a Higgs-like scalar to ``e``, ``mu``, ``tau``, ``pi`` (pi+pi-), ``k`` (K+K-) and ``rest``.

    Up to 2 GeV hadrons follow the dispersive result of Winkler (arXiv:1809.01876), interpolated; above, ``rest`` is
    perturbative: s and c quarks (0.095 GeV; 1.3 GeV, from the D threshold) and gluons, good to a factor of two.
    """
    leptons = (scalar_lepton_width_gev(mass_gev, coupling, lepton) for lepton in LEPTONS_GEV)
    widths = dict(zip(("e", "mu", "tau"), leptons, strict=True))
    widths |= {"pi": 0.0, "k": 0.0, "rest": 0.0}
    if mass_gev > _WINKLER[-1, 0]:
        strange = scalar_lepton_width_gev(mass_gev, coupling, 0.095)
        charm = scalar_lepton_width_gev(mass_gev, coupling, 1.3) if mass_gev > 2 * _MASS("D0") else 0.0
        strong = 4 * math.pi / (9 * math.log(mass_gev**2 / 0.2**2))  # alpha_s with three flavours, 0.30 at 2 GeV
        gluons = (coupling * strong / VACUUM_GEV) ** 2 * mass_gev**3 / (8 * math.pi**3)
        widths["rest"] = 3 * (strange + charm) + gluons
    elif mass_gev > 0.28:  # where the table of the reference begins
        node = _WINKLER[:, 0]
        for channel, column, product in (("pi", 2, PION_GEV), ("k", 3, KAON_GEV), ("several", 4, 2 * PION_GEV)):
            # Interpolate what is left of the width without its threshold factor, which is known.
            factors = np.array([velocity(m, product) for m in node])
            open_ = factors > 0
            reduced = _WINKLER[open_, 1] * _WINKLER[open_, column] / factors[open_]
            width = coupling**2 * float(np.interp(mass_gev, node[open_], reduced)) * velocity(mass_gev, product)
            if channel == "several":
                widths["rest"] += width
            else:
                widths[channel] = width
                widths["rest"] += width * (0.5 if channel == "pi" else 1.0)  # pi0 pi0, K0 anti-K0
    return widths


def scalar_width_gev(mass_gev: float, coupling: float) -> float:
    """Return the total width of `scalar_partial_widths_gev`; the coupling is sin theta."""
    return sum(scalar_partial_widths_gev(mass_gev, coupling).values())


def scalar_branching(mass_gev: float, channel: str) -> float:
    """Return the branching fraction to a channel of `scalar_partial_widths_gev`."""
    return scalar_partial_widths_gev(mass_gev, 1.0)[channel] / scalar_width_gev(mass_gev, 1.0)


def b_to_k_scalar_branching(mass_gev: float, coupling: float, *, kaon: str = "K+") -> float:
    """Return B(B+ -> K+ S) or B(B0 -> K*0 S); the coupling is sin theta.

    theta^2 xi^2 A^2 p/(32 pi v^2 m_B^2) with xi = 3 sqrt2 G_F m_t^2 V_tb V_ts/(16 pi^2), the pole mass of the top; the
    scheme changes it by 20-30 %. Reference as `scalar_partial_widths_gev`.
    """
    xi = 3 * math.sqrt(2) * FERMI_GEV2 * TOP_GEV**2 * V_TS_TB / (16 * math.pi**2)
    m_b, m_k = _b_and_kaon(kaon)
    if mass_gev >= m_b - m_k:
        return 0.0
    momentum = math.sqrt(kallen(m_b**2, m_k**2, mass_gev**2)) / (2 * m_b)
    if kaon in _SCALAR_KAONS:
        amplitude = (m_b**2 - m_k**2) * _f0(mass_gev**2)
    else:
        amplitude = 2 * m_b * momentum * _a0(mass_gev**2)
    width = (coupling * xi * amplitude / (VACUUM_GEV * m_b)) ** 2 * momentum / (32 * math.pi)
    return width * _b_lifetime(kaon)


# ---- scalars and pseudoscalars of leptons


def muon_scalar_cross_section_nb(mass_gev: float, coupling: float, s_gev2: float) -> float:
    """Return sigma(e+e- -> mu mu S) by radiation off a muon; Yukawa coupling g_S. See `daq.source.fsr`."""
    return fsr_cross_section_nb(mass_gev, coupling, s_gev2, model="scalar_fsr", lepton_gev=MUON_GEV)


def muon_alp_cross_section_nb(mass_gev: float, coupling: float, s_gev2: float) -> float:
    """Return sigma(e+e- -> mu mu a) by radiation off a muon; coupling g i gamma_5. See `daq.source.fsr`."""
    return fsr_cross_section_nb(mass_gev, coupling, s_gev2, model="pseudoscalar_fsr", lepton_gev=MUON_GEV)


def leptophilic_cross_section_nb(mass_gev: float, coupling: float, s_gev2: float) -> float:
    """Return sigma(e+e- -> tau tau phi_L) by radiation off a tau; coupling xi. See `daq.source.fsr`."""
    yukawa = leptophilic_yukawa(coupling, TAU_GEV)
    return fsr_cross_section_nb(mass_gev, yukawa, s_gev2, model="scalar_fsr", lepton_gev=TAU_GEV)


def leptophilic_yukawa(coupling: float, lepton_gev: float) -> float:
    """Return y_l = xi m_l/v of a leptophilic scalar; the coupling is xi.

    References
    ----------
    Batell, Lange, McKeen, Pospelov and Ritz, Phys. Rev. D95 (2017) 075003.
    """
    return coupling * lepton_gev / VACUUM_GEV


def leptophilic_width_gev(mass_gev: float, coupling: float) -> float:
    """Return the width of a leptophilic scalar to e, mu and tau pairs; reference as `leptophilic_yukawa`."""
    return sum(scalar_lepton_width_gev(mass_gev, coupling, lepton) for lepton in LEPTONS_GEV)


def leptophilic_branching(mass_gev: float, lepton_gev: float) -> float:
    """Return the branching fraction of a leptophilic scalar to one lepton pair."""
    return scalar_lepton_width_gev(mass_gev, 1.0, lepton_gev) / leptophilic_width_gev(mass_gev, 1.0)


# ---- B -> K nu nu


def b_to_k_nunu_form_factors(q2_gev2: Array) -> dict[str, Array]:
    """Return crude B -> K form factors: f+ (``vector``), f0 (``scalar``), f_T (``tensor``).

    f+ = 0.335/((1 - x)(1 - x/2)), x = q^2/m_Bs*^2 (Becirevic and Kaidalov); f0 = 0.335/(1 - q^2/38 GeV2); f_T = 0.9 f+.
    """
    x = q2_gev2 / 5.4154**2
    plus = 0.335 / ((1 - x) * (1 - 0.5 * x))
    return {"vector": plus, "scalar": 0.335 / (1 - q2_gev2 / 38), "tensor": 0.9 * plus}


def b_to_k_nunu_density(q2_gev2: Array, vector: float = 6.6, scalar: float = 0.0, tensor: float = 0.0) -> Array:
    """Return dB/dq^2 [1/GeV2] of B+ -> K+ nu nubar, three flavours, from |C_VL + C_VR|, |C_SL + C_SR| and |C_TL|.

    The Standard Model has (6.6, 0, 0). The form factors are crude: the total is 2 % below the published 4.97e-6.

    References
    ----------
    Belle II, arXiv:2507.12393; Felkl, Li and Schmidt, JHEP 12 (2021) 118.
    """
    m_b, m_k, quarks = _MASS("B+"), KAON_GEV, 4.18 - 0.093  # MS-bar masses of b and s
    lam = np.maximum(0.0, (m_b**2 - (m_k + np.sqrt(q2_gev2)) ** 2) * (m_b**2 - (m_k - np.sqrt(q2_gev2)) ** 2))
    scale = 3 * _b_lifetime("K+") * (4 * FERMI_GEV2 / math.sqrt(2) / 127.95 / (2 * math.pi) * V_TS_TB) ** 2
    form = b_to_k_nunu_form_factors(q2_gev2)
    element = (
        lam / 24 * (form["vector"] * vector) ** 2
        + q2_gev2 * ((m_b**2 - m_k**2) / quarks * form["scalar"] * scalar) ** 2 / 8
        + q2_gev2 * 2 * lam / 3 * (form["tensor"] * tensor / (m_b + m_k)) ** 2
    )
    density: Array = scale * np.sqrt(lam) / ((4 * math.pi * m_b) ** 3) * element
    return density


# ---- B meson form factors of the formulas above, and lifetimes

_SCALAR_KAONS = ("K+", "K_S0")
_B_OF = {"K+": "B+", "K_S0": "B0", "K*0": "B0", "K*+": "B+"}


def _b_and_kaon(kaon: str) -> tuple[float, float]:
    if kaon not in _B_OF:
        raise InputError(f"must be one of {', '.join(_B_OF)}", key="kaon", value=kaon)
    return _MASS(_B_OF[kaon]), _MASS(kaon)


def _b_lifetime(kaon: str) -> float:
    """Return the lifetime of the B meson in 1/GeV."""
    return standard_model().species[_B_OF[kaon]].ctau_cm / HBAR_C_GEV_CM


def _f0(q2_gev2: float) -> float:
    return 0.330 / (1 - q2_gev2 / 38.46)


def _a0(q2_gev2: float) -> float:
    return 1.364 / (1 - q2_gev2 / 27.88) - 0.990 / (1 - q2_gev2 / 36.78)
