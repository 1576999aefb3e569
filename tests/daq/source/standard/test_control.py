"""Control samples and taus: masses, lifetimes, angles and rates of what an analyst would calibrate with."""

import math

import numpy as np
import pytest

from daq.errors import InputError
from daq.source.catalogue import load_process, what_process
from daq.source.couplings import radiative_return_cross_section_nb
from daq.source.mix import MixSource
from daq.source.species import standard_model
from tests.daq.source.compare import agrees, is_exponential
from tests.daq.source.runs import run_settings
from tests.daq.source.standard.events import FRAME, S, cm_momenta, events_of, shipped

MASS = standard_model().mass_gev


def pairs_of(name: str, codes: tuple[int, int], n: int = 20_000):
    """Return the summed CM momenta of the first particle of each of two codes, in events that have both."""
    particles = events_of(shipped(name), n=n)
    p = cm_momenta(particles)
    event = np.repeat(np.arange(n), np.diff(particles.offsets))
    found = []
    for code in codes:
        place = np.flatnonzero(particles.pdg == code)
        _, first = np.unique(event[place], return_index=True)
        found.append(dict(zip(event[place[first]], p[place[first]], strict=True)))
    common = sorted(set(found[0]) & set(found[1]))
    return np.array([found[0][i] + found[1][i] for i in common]), np.array([found[0][i] for i in common])


def mass_of(p):
    return np.sqrt(p[:, 3] ** 2 - (p[:, :3] ** 2).sum(axis=1))


@pytest.mark.parametrize(("codes", "share"), [((13, -13), 0.0596), ((11, -11), 0.0597)])
def test_j_psi_is_a_line_and_turns_into_both_leptons(codes, share):
    """At 3.0969 GeV, without a width; muons and electrons in the proportion of the fractions."""
    pair, _ = pairs_of("isr_j_psi", codes)
    assert np.allclose(mass_of(pair), 3.0969, atol=1e-7)
    expected = 20_000 * share / (0.0596 + 0.0597)
    assert abs(len(pair) - expected) < 5 * math.sqrt(expected)


def test_phi_and_rho_have_their_width():
    """The K+K- mass is a Breit-Wigner curve at 1.019 GeV, the pi+pi- mass one at 0.775 GeV."""
    kaons, _ = pairs_of("isr_phi", (321, -321))
    assert abs(np.median(mass_of(kaons)) - 1.0195) < 3e-4
    low, high = np.quantile(mass_of(kaons), [0.25, 0.75])
    assert abs((high - low) / 0.00425 - 1) < 0.15  # of a Breit-Wigner curve the quartiles are one width apart
    pions, _ = pairs_of("isr_rho", (211, -211))
    assert abs(np.median(mass_of(pions)) - 0.775) < 0.01


def test_eta_and_pi0_are_peaks_of_two_photons():
    """Two of the photons have the mass of the eta; the omega's pi0 is one exactly."""
    particles = events_of(shipped("isr_eta"), n=500)
    p = cm_momenta(particles).reshape(500, 4, 4)  # photon of the initial state, of the phi, and the two of the eta
    assert np.all(particles.pdg == 22)
    masses = [mass_of(p[:, i] + p[:, j]) for i in range(4) for j in range(i)]
    assert np.all(np.abs(np.array(masses) - MASS("eta")).min(axis=0) < 1e-7)
    particles = events_of(shipped("isr_pi0"), n=500)
    p = cm_momenta(particles).reshape(500, 5, 4)
    codes = particles.pdg.reshape(500, 5)
    charged = np.where((np.abs(codes) == 211)[..., None], p, 0).sum(axis=1)
    assert abs(np.median(mass_of(p.sum(axis=1) - p[:, 0])) - MASS("omega")) < 2e-3
    two = p[:, 1:].sum(axis=1) - charged
    assert np.allclose(mass_of(two), MASS("pi0"), atol=1e-7)


@pytest.mark.parametrize(
    ("name", "codes", "parent", "ctau"),
    [("isr_k_short", (211, -211), "K_S0", 2.684), ("isr_lambda", (2212, -211), "Lambda", 7.89)],
)
def test_displaced_vertices_have_mass_and_lifetime(name, codes, parent, ctau):
    """K_S and Lambda: the mass from the daughters, the proper time of their vertices exponential."""
    n = 20_000
    particles = events_of(shipped(name), n=n)
    rows = [np.flatnonzero(particles.pdg == code) for code in codes]
    assert all(len(row) == n for row in rows)
    columns = ("px", "py", "pz", "energy")
    p = sum(np.stack([getattr(particles, c)[row] for c in columns], axis=1) for row in rows)
    assert np.allclose(mass_of(p), MASS(parent), atol=1e-6)
    vertex = np.stack([getattr(particles, c)[rows[0]] for c in "xyz"], axis=1)
    momentum = np.linalg.norm(p[:, :3], axis=1)
    assert np.allclose((vertex * p[:, :3]).sum(axis=1) / momentum, np.linalg.norm(vertex, axis=1))
    assert is_exponential(np.linalg.norm(vertex, axis=1) * MASS(parent) / momentum, ctau)


def test_radiative_return():
    """J/psi gamma of 36 pb, as against the integral of the radiator over a narrow Breit-Wigner curve."""
    width, electron_width, mass = 92.6e-6, 5.53e-6, 3.0969
    sigma = radiative_return_cross_section_nb(mass, electron_width, S)
    assert math.isclose(sigma, 0.0356, rel_tol=0.01)
    x = np.linspace(-400, 400, 800_001) * width / mass + 1 - mass**2 / S
    log = math.log(S / 0.51099895e-3**2)
    radiator = 2 / (137.035999 * math.pi * x) * (log - 1) * (1 - x + x**2 / 2)
    there = S * (1 - x)
    peak = 12 * math.pi * electron_width * width / ((there - mass**2) ** 2 + mass**2 * width**2) * 0.3893794e6
    assert math.isclose(np.trapezoid(radiator * peak, x), sigma, rel_tol=5e-3)
    assert radiative_return_cross_section_nb(11.0, electron_width, S) == 0
    source = MixSource(run_settings("isr_j_psi"))
    assert math.isclose(source.cross_sections_nb[0], sigma * (0.0596 + 0.0597), rel_tol=1e-9)


def test_tau_pairs():
    """One- and three-prong decays in their proportions; angles of the leading order; radiation."""
    n = 40_000
    particles = events_of(shipped("tau_pair"), n=n)
    event = np.repeat(np.arange(n), np.diff(particles.offsets))
    counts = {code: np.bincount(event, weights=np.abs(particles.pdg) == code, minlength=n) for code in (11, 13, 16)}
    assert np.all(counts[16] == 2)
    fractions = standard_model().decays["tau-"]
    to_muon = next(mode.fraction for mode in fractions if "mu-" in mode.products)
    electron = next(mode.fraction for mode in fractions if "e-" in mode.products)
    for code, fraction in ((11, electron), (13, to_muon)):
        assert abs(counts[code].mean() / 2 - fraction) < 4 * math.sqrt(fraction / (2 * n))
    charged = np.isin(np.abs(particles.pdg), (11, 13, 211, 321))
    prongs = np.bincount(event, weights=charged, minlength=n)

    def share(parent, *products):
        return next(m.fraction for m in standard_model().decays[parent] if set(m.products) == set(products))

    three = share("tau-", "a_1-", "nu_tau") * share("a_1+", "rho0", "pi+")
    three += share("tau-", "omega", "pi-", "nu_tau") * share("omega", "pi+", "pi-", "pi0")
    three += share("tau-", "rho0", "rho-", "nu_tau")
    three += share("tau-", "K*-", "nu_tau") * share("K*+", "K_S0", "pi+") * share("K_S0", "pi+", "pi-")
    for found, expected in (((prongs == 2).mean(), (1 - three) ** 2), ((prongs == 6).mean(), three**2)):
        assert abs(found - expected) < 4 * math.sqrt(expected / n)
    assert set(np.unique(prongs)) == {2, 4, 6}
    assert abs(three - 0.152) < 0.015  # measured: 15.2 % of taus, Particle Data Group 2024
    assert math.isclose(MixSource(run_settings("tau_pair")).cross_sections_nb[0], 0.919, rel_tol=1e-3)


def test_tau_pair_angle():
    """The tau that decays to one pion without radiation: its direction follows 1 + c^2 + (1 - beta^2)(1 - c^2)."""
    particles = events_of(shipped("tau_pair"), n=200_000)
    p = cm_momenta(particles)
    start = particles.offsets[:-1].astype(int)
    # pi- nu_tau pi+ nu_taubar and nothing else: first tau+ or tau-, each followed by its neutrino.
    four = start[np.diff(particles.offsets) == 4]
    codes = particles.pdg[four[:, None] + np.arange(4)]
    chosen = four[(np.abs(codes) == [211, 16, 211, 16]).all(axis=1)]
    tau = p[chosen] + p[chosen + 1]
    assert len(chosen) > 500
    assert np.allclose(mass_of(tau), MASS("tau-"), atol=1e-7)
    cosine = tau[:, 2] / np.linalg.norm(tau[:, :3], axis=1)
    gamma2 = (FRAME.sqrt_s_gev / 2 / MASS("tau-")) ** 2
    assert agrees(cosine, lambda c: 1 + c**2 + (1 - c**2) / gamma2, -1, 1, bins=10)


def test_rate_of_a_chain_is_one_of_two(tmp_path):
    """A number goes with known particles and no formula; a file without a rate is a signal and says so."""
    text = """title = "t"\nsampler = "decay_chain"\nsource = "s"\ndecays = [{ decay = "e+ e- -> mu+ mu-" }]\n"""
    path = tmp_path / "some.toml"
    path.write_text(text + "cross_section_nb = 1.0\n")
    assert what_process(path) == "a process: t"
    path.write_text(text)
    assert what_process(path) == "a signal: t"
    for rest, word in (
        ('cross_section_nb = 1.0\ncross_section = "tau_pair"\n', "without a formula"),
        ("cross_section_nb = -1.0\n", "greater than 0"),
        ("cross_section_nb = inf\n", "finite"),
        ('cross_section = "tau_pare"\n', "did you mean tau_pair"),
    ):
        path.write_text(text + rest)
        with pytest.raises(InputError, match=word):
            load_process(path)
