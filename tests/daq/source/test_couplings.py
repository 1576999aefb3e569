"""Formulas of the signals against the numbers tabulated in the project's facts, and against limits that are known."""

import itertools
import math

import numpy as np
import pytest
from scipy.integrate import quad

from daq.errors import InputError
from daq.source import couplings as c
from daq.source.kinematics import ALPHA, ELECTRON_GEV, MUON_GEV

S = 10.58**2


@pytest.mark.parametrize(
    ("mass_gev", "sigma_fb"),
    [(0.2, 118), (1, 115), (2, 106), (4, 74.5), (5, 55.5), (6.85, 23.2), (8, 9.30), (9, 2.50), (9.7, 0.480)],
)
def test_alp_cross_section(mass_gev, sigma_fb):
    """At g = 1e-3 / GeV, three digits."""
    assert math.isclose(1e6 * c.alp_cross_section_nb(mass_gev, 1e-3, S), sigma_fb, rel_tol=6e-3)


def test_alp_width_and_decay_length():
    """c tau at g = 1e-3 / GeV: 5.0e-4 cm at 0.2 GeV, 4e-6 cm at 1 GeV."""
    assert math.isclose(c.alp_width_gev(2.0, 1e-3), 1e-6 * 8 / (64 * math.pi))
    assert math.isclose(c.ctau_cm(c.alp_width_gev(0.2, 1e-3)), 5.0e-4, rel_tol=0.02)
    assert math.isclose(c.ctau_cm(c.alp_width_gev(1.0, 1e-3)), 4e-6, rel_tol=0.02)
    assert c.ctau_cm(0.0) == math.inf


@pytest.mark.parametrize(
    ("kaon", "masses_gev", "branchings", "tolerance"),
    [
        # The last digits of f0 that the tables were made with are not known: 1.5 % at the upper end.
        ("K+", (0.16, 1, 2, 3, 4, 4.3), (1.77e-7, 1.80e-7, 1.88e-7, 2.01e-7, 2.06e-7, 1.92e-7), 0.015),
        ("K*0", (0.16, 1, 2, 3, 4, 4.3), (1.99e-7, 1.99e-7, 1.97e-7, 1.82e-7, 0.90e-7, 0.16e-7), 0.03),
    ],
)
def test_b_to_k_alp(kaon, masses_gev, branchings, tolerance):
    """Branching fractions at g_aW = 1e-5 / GeV."""
    found = [c.b_to_k_alp_branching(mass, 1e-5, kaon=kaon) for mass in masses_gev]
    assert np.allclose(found, branchings, rtol=tolerance)
    assert c.b_to_k_alp_branching(4.79, 1.0, kaon=kaon) == 0.0


def test_w_coupled_alp_decay_length():
    """c tau [mm] at g_aW = 1e-5 / GeV."""
    masses, expected = (0.16, 0.3, 0.5, 1, 2, 3, 4), (1812, 275, 59, 7.4, 0.93, 0.27, 0.12)
    assert np.allclose([10 * c.ctau_cm(c.alp_w_width_gev(m, 1e-5)) for m in masses], expected, rtol=0.04)


@pytest.mark.parametrize(
    ("mass_gev", "in_06", "in_08", "total"),
    [
        (0.001, 1.83, 3.25, 43.9),
        (1, 1.87, 3.32, 44.4),
        (2, 2.00, 3.52, 45.8),
        (4, 2.65, 4.49, 53.1),
        (6, 4.30, 7.06, 73.7),
        (7, 6.05, 9.79, 96.8),
        (8, 9.40, 15.05, 142),
        (9, 17.4, 27.7, 254),
        (9.5, 27.2, 43.2, 394),
    ],
)
def test_dark_photon_cross_section(mass_gev, in_06, in_08, total):
    """In fb at eps = 1e-3: photons with |cos| below 0.6, below 0.8, and all."""
    edges = (0.6, 0.8, 1.0)
    found = [1e6 * c.dark_photon_cross_section_nb(mass_gev, 1e-3, S, -edge, edge) for edge in edges]
    assert np.allclose(found, (in_06, in_08, total), rtol=4e-3)


def test_dark_photon_widths():
    """2.43e-9 GeV to electrons at eps = 1e-3 and 1 GeV, c tau 8.1e-6 cm if that were all; fractions sum to 1."""
    electrons = c.vector_lepton_width_gev(1.0, ALPHA * 1e-6, ELECTRON_GEV)
    assert math.isclose(electrons, 2.43e-9, rel_tol=2e-3)
    assert math.isclose(c.ctau_cm(electrons), 8.1e-6, rel_tol=5e-3)
    assert math.isclose(c.dark_photon_branching(0.2, ELECTRON_GEV), 1.0)
    for mass in (0.3, 0.6, 0.77, 1.2):
        leptons = c.dark_photon_branching(mass, ELECTRON_GEV) + c.dark_photon_branching(mass, MUON_GEV)
        assert math.isclose(leptons + c.dark_photon_pion_branching(mass), 1.0)
    assert math.isclose(c.hadron_ratio(0.775), 9.0, rel_tol=0.01)
    no_hadrons = c.dark_photon_width_gev(1.0, 1e-3, lambda _: 0.0)
    assert math.isclose(no_hadrons, electrons + c.vector_lepton_width_gev(1.0, ALPHA * 1e-6, MUON_GEV))


def test_z_prime_branching():
    """Invisible: 1 below two muons, 1/2 between, 1/3 above two taus; the loop mixing of a light Z' is g'/69."""
    invisible = [c.z_prime_branching(mass, "nu") for mass in (0.2, 1.5, 9.0)]
    assert np.allclose(invisible, (1, 1 / 2, 1 / 3), rtol=6e-3)
    assert math.isclose(c.z_prime_width_gev(2.0, 0.1) / c.z_prime_width_gev(2.0, 0.2), 0.25)
    assert math.isclose(1 / c.z_prime_mixing(1.0), 69, rel_tol=0.01)


@pytest.mark.parametrize(
    ("photon_gev", "higgs_gev", "sigma_fb"),
    [(4, 0.5, 0.756), (6, 0.5, 1.68), (6, 3, 1.20), (8, 1, 4.01), (9.5, 0.5, 11.8)],
)
def test_dark_higgsstrahlung(photon_gev, higgs_gev, sigma_fb):
    """At eps^2 alpha_D = 1e-8; and the benchmark of inelastic dark matter, for both charges of the Higgs."""

    def sigma(mass, eps, **rest):
        return 1e6 * c.dark_higgsstrahlung_cross_section_nb(mass, eps, S, **rest)

    assert math.isclose(sigma(photon_gev, 1e-4, higgs_gev=higgs_gev, alpha_d=1.0), sigma_fb, rel_tol=3e-3)
    benchmark = {"higgs_gev": 0.5, "alpha_d": 0.1}
    assert math.isclose(sigma(7.5, 1.5e-3, **benchmark), 74, rel_tol=0.01)
    assert math.isclose(sigma(7.5, 1.5e-3, **benchmark, charge=2), 297, rel_tol=0.01)
    assert sigma(10.2, 1.0, higgs_gev=0.5, alpha_d=1.0) == 0.0


@pytest.mark.parametrize(
    ("light_gev", "splitting_gev", "photon_gev", "ctau_cm"),
    [(2.5, 1.0, 7.5, 1.01), (1, 0.4, 3, 2.5), (1, 0.2, 3, 81), (1, 1, 3, 0.026)],
)
def test_inelastic_decay_length(light_gev, splitting_gev, photon_gev, ctau_cm):
    """At eps = 1e-3 and alpha_D = 0.1 for a small splitting; the recoil makes it longer, by 1 - 3 Delta/2m at first."""
    point = {"splitting_gev": splitting_gev, "photon_gev": photon_gev, "alpha_d": 0.1}
    approximate = c.idm_width_small_splitting_gev(1e-3, **point)
    assert math.isclose(c.ctau_cm(approximate), ctau_cm, rel_tol=0.02)
    assert 1 < approximate / c.idm_width_gev(light_gev, 1e-3, **point) < 2.2


def test_inelastic_width_has_the_limit_of_a_small_splitting():
    """For m_e << Delta << m both forms agree, and the first correction is -3 Delta/2m; below two electrons: closed."""
    for mass in (50.0, 100.0):
        point = {"splitting_gev": 0.5, "photon_gev": 1e4, "alpha_d": 0.1}
        ratio = c.idm_width_gev(mass, 1e-3, **point) / c.idm_width_small_splitting_gev(1e-3, **point)
        assert math.isclose(ratio, 1 - 1.5 * 0.5 / mass, abs_tol=1e-3)
    assert c.idm_width_gev(1.0, 1e-3, splitting_gev=1e-3, photon_gev=3.0, alpha_d=0.1) == 0.0
    assert math.isclose(c.idm_y(1e-3, 0.1, 1.0, 3.0), 1e-7 / 81)


SCALAR = """
0.05 8.58e-15 1 0 0 0 0
0.20 3.43e-14 1 0 0 0 0
0.215 9.92e-12 3.7e-3 0.996 0 0 0
0.25 2.80e-10 1.5e-4 1 0 0 0
0.30 3.63e-9 1.4e-5 0.217 0.522 0 0
0.40 1.30e-8 5.3e-6 0.139 0.574 0 0
0.60 3.84e-8 2.7e-6 0.094 0.597 0 0.011
0.90 1.85e-7 8.4e-7 0.033 0.634 0 0.016
1.00 6.79e-7 2.5e-7 0.010 0.592 0.048 0.006
1.10 1.73e-7 1.1e-6 0.044 0.197 0.313 0.034
1.50 1.14e-7 2.3e-6 0.094 0.020 0.368 0.14
2.00 9.21e-8 3.7e-6 0.157 0.026 0.189 0.425
"""


@pytest.mark.parametrize("row", SCALAR.strip().splitlines())
def test_scalar_widths(row):
    """Total width at sin theta = 1 and branching fractions to ee, mumu, pi+pi-, K+K- and more than two mesons."""
    mass, width, electrons, muons, pions, kaons, several = map(float, row.split())
    assert math.isclose(c.scalar_width_gev(mass, 1.0), width, rel_tol=8e-3)
    found = [c.scalar_branching(mass, channel) for channel in ("e", "mu", "pi", "k")]
    assert np.allclose(found, (electrons, muons, pions, kaons), rtol=0.05, atol=5e-4)
    neutral = 0.5 * pions + kaons
    assert math.isclose(c.scalar_branching(mass, "rest"), neutral + several, abs_tol=6e-3)


def test_scalar_above_the_table():
    """Perturbative widths: of the size of the table where they begin, tau pairs open at 3.55 GeV, no pion pairs."""
    assert 0.5 < c.scalar_width_gev(2.001, 1.0) / c.scalar_width_gev(2.0, 1.0) < 2
    assert c.scalar_branching(3.55, "tau") == 0.0 < c.scalar_branching(3.6, "tau")
    assert c.scalar_branching(3.0, "pi") == 0.0


@pytest.mark.parametrize(
    ("kaon", "branchings", "tolerance"),
    [
        ("K+", (0.475, 0.482, 0.505, 0.542, 0.560, 0.527), 0.025),
        ("K*0", (0.532, 0.531, 0.526, 0.487, 0.242, 0.044), 0.01),
    ],
)
def test_b_to_k_scalar(kaon, branchings, tolerance):
    """Branching fractions over sin^2 theta; f0 as in `test_b_to_k_alp`."""
    masses = (0.3, 1, 2, 3, 4, 4.3)
    assert np.allclose([c.b_to_k_scalar_branching(m, 1.0, kaon=kaon) for m in masses], branchings, rtol=tolerance)
    with pytest.raises(InputError, match="must be one of"):
        c.b_to_k_scalar_branching(1.0, 1.0, kaon="pi+")


def test_leptophilic():
    """y_tau = 7.22e-3 at xi = 1; each lepton counts by its mass squared."""
    assert math.isclose(c.leptophilic_yukawa(1.0, c.TAU_GEV), 7.22e-3, rel_tol=1e-3)
    assert c.leptophilic_branching(0.2, ELECTRON_GEV) == 1.0
    assert math.isclose(c.leptophilic_branching(9.0, c.TAU_GEV), 0.996, rel_tol=2e-3)


@pytest.mark.parametrize(
    ("strengths", "shares"),
    [
        ((6.6, 0, 0), (26, 24, 21, 17, 10, 2)),
        ((0, 1, 0), (3, 10, 17, 24, 29, 17)),
        ((0, 0, 1), (6, 17, 24, 27, 21, 5)),
    ],
)
def test_b_to_k_nunu_spectra(strengths, shares):
    """Per cent of the rate between 0, 4, 8, 12, 16, 20 and 22.9 GeV2, one operator at a time."""

    def density(q2):
        return float(c.b_to_k_nunu_density(np.array([q2]), *strengths)[0])

    edges = (0, 4, 8, 12, 16, 20, 22.9)
    parts = np.array([quad(density, a, b)[0] for a, b in itertools.pairwise(edges)])
    assert np.allclose(100 * parts / parts.sum(), shares, atol=1.2)
    if strengths[0]:
        assert math.isclose(parts.sum(), c.B_TO_K_NUNU, rel_tol=0.03)


def test_tau_pairs():
    """0.919 nb at 10.58 GeV, falling with energy."""
    assert math.isclose(c.tau_pair_cross_section_nb(S), 0.919)
    assert c.tau_pair_cross_section_nb(S / 2) > 1.8 * 0.919
