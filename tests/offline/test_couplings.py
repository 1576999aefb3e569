"""Cross-sections of the axion-like particle have their published values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daq.errors import InputError
from offline.couplings import FORMULAS


@pytest.mark.parametrize(
    ("mass_gev", "expected_fb"),
    [(0.2, 118), (1, 115), (2, 106), (4, 74.5), (5, 55.5), (6.85, 23.2), (8, 9.30), (9, 2.50), (9.7, 0.480)],
)
def test_cross_section_at_a_coupling_of_one_per_tev(mass_gev: float, expected_fb: float):
    """At g = 1e-3 GeV^-1 and sqrt(s) = 10.58 GeV the numbers are those computed by hand."""
    fb = FORMULAS["alp_photon"].cross_section_fb(1e-3, mass_gev, 111.936)
    assert fb == pytest.approx(expected_fb, rel=6e-3)


@given(st.floats(1e-6, 1.0), st.floats(0.1, 10.0))
def test_coupling_inverts_the_cross_section(coupling: float, mass_gev: float):
    """A limit on the cross-section becomes the coupling that gives this cross-section."""
    formula = FORMULAS["alp_photon"]
    fb = formula.cross_section_fb(coupling, mass_gev, 111.936)
    assert formula.coupling(fb, mass_gev, 111.936) == pytest.approx(coupling)


@pytest.mark.parametrize(
    ("name", "coupling", "mass_gev", "expected_fb"),
    [
        ("dark_photon", 1e-3, 4.0, 53.1),
        ("z_prime", 0.1, 1.0, 996.0),
        ("muon_scalar", 0.1, 1.0, 134.0),
        ("leptophilic", 1.0, 1.0, 2.66e4 * 7.223e-3**2),
    ],
)
def test_other_couplings(name: str, coupling: float, mass_gev: float, expected_fb: float):
    """Cross-sections of the facts, and back; too heavy a particle has no coupling."""
    formula = FORMULAS[name]
    fb = formula.cross_section_fb(coupling, mass_gev, 111.936)
    assert fb == pytest.approx(expected_fb, rel=5e-3)
    assert formula.coupling(fb, mass_gev, 111.936) == pytest.approx(coupling)
    with pytest.raises(InputError, match="too heavy"):
        formula.coupling(fb, 10.6, 111.936)
