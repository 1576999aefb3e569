"""Closed forms of the signals against the tabulated numbers of the same formulas."""

import math

import pytest

from daq.source.signals import SIGNALS, alp_cross_section_nb, alp_width_gev

S_GEV2 = 10.58**2
ALP = SIGNALS["alp_gamma_gamma"]


@pytest.mark.parametrize(
    ("mass_gev", "sigma_fb"),
    [(0.2, 118), (1, 115), (2, 106), (4, 74.5), (5, 55.5), (6.85, 23.2), (8, 9.30), (9, 2.50), (9.7, 0.480)],
)
def test_alp_cross_section_table(mass_gev, sigma_fb):
    """Cross-sections at g = 1e-3 / GeV, three digits."""
    assert math.isclose(1e6 * alp_cross_section_nb(mass_gev, 1e-3, S_GEV2), sigma_fb, rel_tol=6e-3)


def test_alp_width_and_decay_length():
    """c tau at g = 1e-3 / GeV: 5.0e-4 cm at 0.2 GeV, 4e-6 cm at 1 GeV."""
    assert math.isclose(alp_width_gev(2.0, 1e-3), 1e-6 * 8 / (64 * math.pi))
    assert math.isclose(ALP.ctau_cm(0.2, 1e-3), 5.0e-4, rel_tol=0.02)
    assert math.isclose(ALP.ctau_cm(1.0, 1e-3), 4e-6, rel_tol=0.02)


@pytest.mark.parametrize("mass_gev", [0.2, 3.0, 9.0])
def test_coupling_inverts_the_cross_section(mass_gev):
    """sigma -> g -> sigma."""
    coupling = ALP.coupling(mass_gev, 0.5, S_GEV2)
    assert math.isclose(ALP.cross_section_nb(mass_gev, coupling, S_GEV2), 0.5)
