"""What a run says of a signal: rates, couplings, lifetimes, names; and what it may not say."""

import math

import numpy as np
import pytest

from daq.errors import InputError
from daq.settings import BeamSettings
from daq.source import couplings as c
from daq.source.kinematics import MUON_GEV, collision_frame
from daq.source.mix import MixSource
from tests.daq.source.chains import S, settled
from tests.daq.source.runs import run_settings


def dark_higgsstrahlung(photon, higgs, eps, alpha_d, charge):
    return c.dark_higgsstrahlung_cross_section_nb(photon, eps, S, higgs_gev=higgs, alpha_d=alpha_d, charge=charge)


EDGE = math.cos(math.radians(10))
RATES = [
    ("alp_gamma_gamma", {"mass_gev": 2.0, "coupling": 1e-3}, c.alp_cross_section_nb(2.0, 1e-3, S)),
    (
        "dark_photon_mumu",
        {"mass_gev": 0.5, "coupling": 1e-3},
        c.dark_photon_cross_section_nb(0.5, 1e-3, S) * c.dark_photon_branching(0.5, MUON_GEV),
    ),
    (
        "dark_photon_invisible",
        {"mass_gev": 3.0, "coupling": 1e-3},
        c.dark_photon_cross_section_nb(3.0, 1e-3, S, -EDGE, EDGE),
    ),
    (
        "z_prime_invisible",
        {"mass_gev": 3.0, "coupling": 0.1},
        1e-2 * 1.37e4 * 1e-6 / 2,  # cross-section of the facts, half of it invisible
    ),
    (
        "z_prime_invisible",
        {"mass_gev": 3.0, "coupling": 0.1, "fractions": {"Z' -> nu_mu nu_mubar": 1.0}},
        1e-2 * 1.37e4 * 1e-6,
    ),
    ("mu_mu_scalar_mumu", {"mass_gev": 2.0, "coupling": 0.1}, 1e-2 * 6.77e3 * 1e-6),
    (
        "tau_tau_scalar",
        {"mass_gev": 2.0, "coupling": 10.0},
        1.10e4 * 1e-6 * (10 * c.TAU_GEV / 246) ** 2,  # electrons and muons: all of it below two taus
    ),
    (
        "dark_higgs_invisible",
        {"mass_gev": 4.0, "coupling": 1e-3, "couplings": {"alpha_D": 0.5}},
        dark_higgsstrahlung(4.0, 0.5, 1e-3, 0.5, 1) * c.dark_photon_branching(4.0, MUON_GEV),
    ),
    (
        "idm_dark_higgs",
        {"mass_gev": 0.5, "coupling": 1.5e-3},
        297e-6 * sum(c.scalar_branching(0.5, channel) for channel in ("mu", "pi")),
    ),
    (
        "b_k_alp",
        {"mass_gev": 1.0, "coupling": 1e-5},
        1.11 * 0.514 * 2 * c.b_to_k_alp_branching(1.0, 1e-5),
    ),
    (
        "b_kstar_scalar",
        {"mass_gev": 1.0, "coupling": 1e-4, "fractions": {"S -> mu+ mu-": 0.01}},
        1.11 * 0.486 * 2 * 0.666 * 0.01 * c.b_to_k_scalar_branching(1.0, 1e-4, kaon="K*0"),
    ),
    ("b_k_nunu", {"coupling": 2.0}, 1.11 * 0.514 * 2 * 2 * 4.97e-6),
]


@pytest.mark.parametrize(("process", "given", "expected_nb"), RATES, ids=[rate[0] for rate in RATES])
def test_rates_from_couplings(process, given, expected_nb):
    """Production times all branching fractions, both charges counted; the tables of reference have three digits."""
    assert math.isclose(settled(process, **given).cross_section_nb, expected_nb, rel_tol=8e-3)


@pytest.mark.parametrize(("process", "given", "_"), RATES, ids=[rate[0] for rate in RATES])
def test_cross_section_and_coupling_are_one_thing(process, given, _):
    """A rate implies the coupling that gives it: lifetimes follow from either."""
    by_coupling = settled(process, **given)
    rest = {key: value for key, value in given.items() if key != "coupling"}
    by_rate = settled(process, **rest, cross_section_nb=by_coupling.cross_section_nb)
    assert by_rate.cross_section_nb == by_coupling.cross_section_nb
    assert math.isclose(by_rate.ctau_cm, by_coupling.ctau_cm, rel_tol=1e-6)
    for found, expected in zip(by_rate.chains.node["ctau"], by_coupling.chains.node["ctau"], strict=True):
        assert math.isclose(found, expected, rel_tol=1e-6)


def node_ctau(signal, pdg: int) -> float:
    """Return the decay length of a node of a compiled chain."""
    (found,) = signal.chains.node["ctau"][signal.chains.node["pdg"] == pdg]
    return float(found)


def test_lifetimes_come_from_the_run_the_formula_or_the_file():
    """In this order."""
    point = {"mass_gev": 0.2, "coupling": 1e-3}
    assert math.isclose(settled("alp_gamma_gamma", **point).ctau_cm, 5.0e-4, rel_tol=0.02)
    assert settled("alp_gamma_gamma", **point, ctau_cm=7.0).ctau_cm == 7.0
    assert settled("hnl_tau", mass_gev=1.0).ctau_cm == 10.0
    inelastic = settled("idm_dark_higgs", mass_gev=0.5, coupling=1e-3)
    assert math.isclose(inelastic.ctau_cm, c.ctau_cm(c.scalar_width_gev(0.5, 2.6e-4)))
    width = c.idm_width_gev(2.5, 1e-3, splitting_gev=1.0, photon_gev=7.5, alpha_d=0.1)
    assert math.isclose(node_ctau(inelastic, 9_900_004), c.ctau_cm(width))
    scaled = settled("idm_dark_higgs", mass_gev=0.5, coupling=2e-3, ctaus_cm={"chi2": 5.0})
    assert node_ctau(scaled, 9_900_004) == 5.0
    assert settled("b_k_scalar", mass_gev=1.0, coupling=1e-3).ctau_cm == pytest.approx(2.9e-8 * 1e6, rel=0.01)


def test_the_upsilon_4s_has_a_rate_at_its_peak_only():
    """With other beams B mesons come by radiative return: a cross-section must be given, a coupling does not tell."""
    off_peak = collision_frame(BeamSettings(electron_gev=7.1))
    given = {"mass_gev": 1.0, "frame": off_peak}
    assert settled("b_k_scalar", **given, cross_section_nb=1e-6).cross_section_nb == 1e-6
    with pytest.raises(InputError, match="peak of the Upsilon"):
        settled("b_k_scalar", **given, coupling=1e-4)


def test_names_tell_points_of_a_grid_apart():
    """Everything that the run chose is in the name; one mass alone keeps the short name."""
    assert settled("alp_gamma_gamma", mass_gev=4.0).name == "alp_gamma_gamma_4gev"
    assert settled("b_k_nunu").name == "b_k_nunu"
    point = {"masses_gev": {"chi1": 2.0}, "ctau_cm": 3.0, "ctaus_cm": {"chi2": 1.0}, "couplings": {"alpha_D": 0.2}}
    assert settled("idm_dark_higgs", mass_gev=0.5, **point).name == (
        "idm_dark_higgs_0.5gev_chi1_2gev_ctau_3cm_chi2_ctau_1cm_alpha_D_0.2"
    )


def test_fractions_choose_among_the_decays():
    """A given fraction drops the other decays of that particle, not those of another."""
    signal = settled("idm_dark_higgs", mass_gev=1.2, fractions={"h'  ->  K+ K-": 0.3})
    codes = set(signal.chains.node["pdg"])
    assert {321, -321, 11, -11} <= codes
    assert not {211, 13} & codes
    closed_by_formula = settled("idm_dark_higgs", mass_gev=0.25)
    assert not {211, 321} & set(closed_by_formula.chains.node["pdg"])


@pytest.mark.parametrize(
    ("process", "given", "words"),
    [
        ("alp_gamma_gamma", {"mass_gev": None}, ("mass_gev", "must be given: the mass of a")),
        ("b_k_nunu", {"mass_gev": 1.0}, ("mass_gev", "no one new particle")),
        ("b_k_nunu", {"ctau_cm": 1.0}, ("ctau_cm", "no one new particle")),
        ("alp_gamma_gamma", {"masses_gev": {"a": 1.0}}, ("masses_gev", "'a'", "give its mass_gev without a name")),
        ("idm_dark_higgs", {"masses_gev": {"chi3": 1.0}}, ("chi3", "did you mean chi")),
        ("idm_dark_higgs", {"ctaus_cm": {"chi": 1.0}}, ("ctaus_cm", "'chi'", "did you mean chi")),
        ("idm_dark_higgs", {"masses_gev": {"chi1": 6.0}}, ("A' -> chi1 chi2", "closed", "7.5")),
        ("idm_dark_higgs", {"mass_gev": 3.5}, ("e+ e- -> A' h'", "below the collision energy")),
        ("idm_dark_higgs", {"couplings": {"alpha_d": 0.1}}, ("alpha_d", "did you mean alpha_D")),
        ("idm_dark_higgs", {"couplings": {"alpha_D": 1.2}}, ("alpha_D", "1.2", "at most 1", "perturbative range")),
        ("idm_dark_higgs", {"couplings": {"sin_theta": -0.1}}, ("sin_theta", "-0.1", "above 0")),
        ("idm_dark_higgs", {"fractions": {"h' -> e+ e-": 1.0}}, ("h' -> e+ e-", "no decay of this process")),
        ("idm_dark_higgs", {"fractions": {"h' -> K+ K-": 1.0}}, ("h' -> K+ K-", "closed", "0.5 GeV")),
        ("idm_dark_higgs", {"coupling": 1.01}, ("coupling", "1.01", "eps must be above 0 and at most 1")),
        ("z_prime_mumu", {"coupling": 4.0}, ("coupling", "4.0", "g_prime", "3.545")),
        ("alp_gamma_gamma", {"coupling": 1.3}, ("coupling", "1.3", "1/GeV", "perturbative range")),
        ("hnl_tau", {"coupling": 1e-3}, ("coupling", "no formula", "cross_section_nb")),
        ("b_k_scalar", {"coupling": 1.0, "mass_gev": 4.9}, ("no decay of B+ is left",)),
        ("z_prime_mumu", {"mass_gev": 0.2}, ("no decay of Z' is left",)),
        ("z_prime_invisible", {"mass_gev": 0.0, "coupling": 0.1}, ("no decay of Z' is left",)),
        ("e_mu_z_prime", {"mass_gev": 0.0}, ("Z' needs a mass",)),
    ],
)
def test_wrong_signals_are_refused(process, given, words):
    """One line that names key, value and rule; the file of the run is added where the run is loaded."""
    with pytest.raises(InputError) as error:
        settled(process, **given)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith("[source.signals] ")
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    "signal",
    [
        {"mass_gev": -1.0, "cross_section_nb": 1.0},
        {"mass_gev": 1.0, "cross_section_nb": 0.0},
        {"mass_gev": 1.0, "coupling": -1.0},
        {"mass_gev": 1.0, "cross_section_nb": 1.0, "ctau_cm": -0.1},
        {"mass_gev": 1.0, "cross_section_nb": math.inf},
        {"mass_gev": math.nan, "cross_section_nb": 1.0},
        {"mass_gev": 1.0, "cross_section_nb": 1.0, "masses_gev": {"b": -1.0}},
        {"mass_gev": 1.0, "cross_section_nb": 1.0, "fractions": {"a -> gamma gamma": 1.5}},
        {"mass_gev": 1.0, "cross_section_nb": 1.0, "mas_gev": 1.0},
    ],
)
def test_settings_refuse(signal):
    """Negative, infinite and unknown values do not pass the loader."""
    with pytest.raises(InputError, match=r"source\.signals"):
        run_settings(signals=({"process": "alp_gamma_gamma", **signal},))


def test_signals_mix_with_one_another():
    """Two signals at their rates, each with its truth; lifetimes and masses of each in its own events."""
    chosen = (
        {"process": "dark_photon_ee", "mass_gev": 0.3, "ctau_cm": 2.0, "cross_section_nb": 0.3},
        {"process": "b_k_scalar", "mass_gev": 1.5, "ctau_cm": 1.0, "cross_section_nb": 0.1},
        {"process": "b_k_scalar", "mass_gev": 1.5, "ctau_cm": 9.0, "cross_section_nb": 0.6},
    )
    source = MixSource(run_settings(signals=chosen))
    batch = source.block(0, 5000)
    shares = np.bincount(batch["process"]) / 5000
    assert np.allclose(shares, (0.3, 0.1, 0.6), atol=5 * 0.5 / math.sqrt(5000))
    assert np.allclose(batch["mass_gev"], np.array([0.3, 1.5, 1.5])[batch["process"]])
    assert np.allclose(batch["ctau_cm"], np.array([2.0, 1.0, 9.0])[batch["process"]])
    batch.check()


def test_what_decays_behind_the_detector_is_not_seen():
    """Electron pairs of long-lived dark photons: tracks vanish with the decay length, and nothing takes their place."""

    def seen(ctau):
        signal = {"process": "dark_photon_ee", "mass_gev": 0.05, "ctau_cm": ctau, "cross_section_nb": 1.0}
        batch = MixSource(run_settings(signals=(signal,))).block(0, 3000)
        return batch["tracks.offsets"][-1] / 3000, batch["clusters.offsets"][-1] / 3000

    prompt, long_lived = seen(0.0), seen(1e5)
    assert prompt[0] > 0.2  # most pairs go down the beam pipe
    assert long_lived[0] < 0.03  # of photons that convert
    assert long_lived[1] < 0.3 < prompt[1]  # a fifth of the photons reach the calorimeter, the rest follows the beams
