"""Every shipped decay chain: four-momentum at several masses and near thresholds, mass shells, charges, particles."""

import math

import numpy as np
import pytest

from daq.source.catalogue import PROCESSES, load_process, what_process
from daq.source.decay import ChainSettings
from daq.source.kinematics import ELECTRON_GEV, MUON_GEV
from daq.source.species import standard_model
from tests.daq.source.chains import FRAME, by_event, cm, mass2, run_chain, settled, shipped

SQRT_S = FRAME.sqrt_s_gev
MASS = standard_model().mass_gev
NAMES = sorted(
    path.stem for path in PROCESSES.glob("*.toml") if isinstance(load_process(path), ChainSettings)
)  # fmt: skip
B, B0, K, KSTAR, PION = MASS("B+"), MASS("B0"), MASS("K+"), MASS("K*0"), MASS("pi+")
TAU = MASS("tau-")
EDGE = 1e-4  # distance to thresholds [GeV]

# What to run besides the masses of the file, the first and the last near a threshold where there is one.
POINTS = {
    "alp_gamma_gamma": [{"mass_gev": m} for m in (1e-3, 0.2, 5.0, SQRT_S - EDGE)],
    "alp_invisible": [{"mass_gev": m} for m in (0.0, 5.0, SQRT_S - EDGE)],
    "b_dark_photons": [{"mass_gev": m} for m in (2 * ELECTRON_GEV + 1e-6, 0.3, 2.62, B0 / 2 - EDGE)],
    "b_k_alp": [{"mass_gev": m} for m in (0.16, 4.0, B - K - EDGE)],
    "b_k_invisible": [{"mass_gev": m} for m in (0.0, 3.0, B - K - EDGE)],
    "b_k_scalar": [{"mass_gev": m} for m in (2 * ELECTRON_GEV + 1e-6, 2 * MUON_GEV + EDGE, 0.9, 3.0, B - K - EDGE)],
    "b_kstar_alp": [{"mass_gev": m} for m in (0.16, 2.0, B0 - KSTAR - 0.01)],
    "b_kstar_scalar": [{"mass_gev": m} for m in (2 * MUON_GEV + EDGE, 1.2, B0 - KSTAR - 0.01)],
    "b_lambda_psi": [{"mass_gev": m} for m in (1.0, 3.9, B0 - MASS("Lambda") - EDGE)],
    "b_proton_psi": [{"mass_gev": m} for m in (1.0, 3.0, B - MASS("p") - EDGE)],
    "dark_higgs_invisible": [
        {"mass_gev": m, "masses_gev": {"h'": h}} for m, h in ((2 * MUON_GEV + EDGE, 0.1), (9.0, SQRT_S - 9.0 - EDGE))
    ],
    "dark_higgs_six_tracks": [
        {"mass_gev": m, "masses_gev": {"h'": h}}
        for m, h in ((0.1, 0.2 + EDGE), (1.0, SQRT_S - 1 - EDGE), (3.5, 7.0 + EDGE))
    ],
    "dark_photon_ee": [{"mass_gev": m} for m in (2 * ELECTRON_GEV + 1e-6, 0.1, 10.0, SQRT_S - EDGE)],
    "dark_photon_invisible": [{"mass_gev": m} for m in (0.0, 8.0, SQRT_S - EDGE)],
    "dark_photon_mumu": [{"mass_gev": m} for m in (2 * MUON_GEV + EDGE, 3.0, SQRT_S - EDGE)],
    "e_mu_z_prime": [{"mass_gev": m} for m in (0.02, 5.0, SQRT_S - MUON_GEV - ELECTRON_GEV - EDGE)],
    "hnl_b": [{"mass_gev": m} for m in (MUON_GEV + PION + EDGE, B - MASS("D0") - MUON_GEV - EDGE)],
    "hnl_tau": [{"mass_gev": m} for m in (2 * MUON_GEV + EDGE, TAU - PION - EDGE)],
    "idm_dark_higgs": [
        {"mass_gev": 2 * MUON_GEV + EDGE},
        {"mass_gev": 2.9, "masses_gev": {"A'": 7.0 - 1e-3 + 0.5, "chi1": 3.0, "chi2": 4.4}},
        {
            "mass_gev": 0.5,
            "masses_gev": {"A'": SQRT_S - 0.5 - EDGE, "chi1": 2.0, "chi2": 2.0 + 2 * ELECTRON_GEV + 1e-5},
        },
    ],
    "idm_dark_higgs_off_shell": [{"mass_gev": m} for m in (0.3, SQRT_S - 6.0 - EDGE)],
    "idm_photon": [
        {"mass_gev": 0.22, "masses_gev": {"A'": 0.5, "chi1": 0.2}},
        {"mass_gev": 5.0, "masses_gev": {"A'": SQRT_S - EDGE, "chi1": 4.0}},
    ],
    "mu_mu_alp_tautau": [{"mass_gev": m} for m in (2 * TAU + EDGE, 9.0, SQRT_S - 2 * MUON_GEV - EDGE)],
    "mu_mu_scalar_mumu": [{"mass_gev": m} for m in (2 * MUON_GEV + EDGE, 6.0, SQRT_S - 2 * MUON_GEV - EDGE)],
    "mu_mu_scalar_tautau": [{"mass_gev": m} for m in (2 * TAU + EDGE, 9.0)],
    "tau_e_alpha": [{"mass_gev": m} for m in (0.0, 1.6, TAU - ELECTRON_GEV - EDGE)],
    "tau_mu_alpha": [{"mass_gev": m} for m in (0.0, 1.6, TAU - MUON_GEV - EDGE)],
    "tau_tau_scalar": [{"mass_gev": m} for m in (2 * ELECTRON_GEV + 1e-6, 0.3, SQRT_S - 2 * TAU - EDGE)],
    "upsilon2s_gamma_invisible": [{"mass_gev": m} for m in (0.0, 8.97, 9.4604 - EDGE)],
    "upsilon2s_sexaquark": [{"mass_gev": m} for m in (1.0, 10.0234 - 2 * MASS("Lambda") - EDGE)],
    "z_prime_invisible": [{"mass_gev": m} for m in (0.001, 3.0, SQRT_S - 2 * MUON_GEV - EDGE)],
    "z_prime_mumu": [{"mass_gev": m} for m in (2 * MUON_GEV + EDGE, 3.0, SQRT_S - 2 * MUON_GEV - EDGE)],
    "z_prime_tautau": [{"mass_gev": m} for m in (2 * TAU + EDGE, SQRT_S - 2 * MUON_GEV - EDGE)],
}
CASES = [(name, point) for name in NAMES for point in ({}, *POINTS.get(name, ()))]


def test_all_signals_have_points():
    """No name here is out of date; signals without an entry have no mass to vary."""
    assert set(POINTS) <= set(NAMES)
    for name in set(NAMES) - set(POINTS):
        settings = load_process(PROCESSES / f"{name}.toml")
        assert isinstance(settings, ChainSettings)
        assert settings.particle is None


@pytest.mark.parametrize(("name", "point"), CASES, ids=lambda value: value if isinstance(value, str) else str(value))
def test_four_momentum_and_charge_are_conserved(name, point):
    """To 1e-9 GeV, with each known particle on its mass shell and no particle without a place."""
    particles = shipped(name, 400, **point)
    total = FRAME.to_lab @ [0, 0, 0, SQRT_S]
    for component, beams in zip(("px", "py", "pz", "energy"), total, strict=True):
        sums = np.add.reduceat(getattr(particles, component), particles.offsets[:-1])
        assert np.abs(sums - beams).max() < 1e-9
    kinds = {kind.pdg: kind for kind in standard_model().species.values()}
    known = np.isin(particles.pdg, list(kinds))
    assert set(particles.pdg[~known]) <= set(range(9_900_001, 9_900_010))
    shell = np.array([kinds[code].mass_gev for code in particles.pdg[known]])
    assert np.all(np.abs(mass2(cm(particles))[known] - shell**2) < 1e-9 * (1 + particles.energy[known] ** 2))
    charge = [kinds[code].charge if code in kinds else 0 for code in particles.pdg]
    assert not np.add.reduceat(charge, particles.offsets[:-1]).any()
    undecayed = {"tau-", "pi0", "K_S0", "Lambda", "D0", "D+", "B+", "B0", "rho0", "K*0", "Upsilon(1S)"}
    assert not {abs(int(code)) for code in particles.pdg} & {kinds[k].pdg for k in kinds if kinds[k].name in undecayed}
    for place in (particles.x, particles.y, particles.z):
        assert np.all(np.isfinite(place))


@pytest.mark.parametrize("name", NAMES)
def test_shipped_file_is_checked_and_says_its_source(name):
    """`darkline check` takes it, with its own masses; particle, coupling and approximation have a source."""
    settings = load_process(PROCESSES / f"{name}.toml")
    assert isinstance(settings, ChainSettings)
    kind = "process" if settings.is_standard else "signal"
    assert what_process(PROCESSES / f"{name}.toml").startswith(f"a {kind}: ")
    assert len(settings.source) > 50


@pytest.mark.parametrize(
    ("name", "given", "size", "first", "last", "mass"),
    [
        ("alp_gamma_gamma", {"mass_gev": 4.0}, 3, 1, 3, 4.0),
        ("dark_photon_ee", {"mass_gev": 0.3}, 3, 1, 3, 0.3),
        ("z_prime_mumu", {"mass_gev": 7.3}, 4, 2, 4, 7.3),
        ("z_prime_invisible", {"mass_gev": 2.2}, 4, 2, 4, 2.2),
        ("dark_higgs_invisible", {"mass_gev": 6.5}, 3, 1, 3, 6.5),
        ("idm_dark_higgs", {"mass_gev": 0.8, "fractions": {"h' -> pi+ pi-": 1.0}}, 6, 1, 3, 0.8),
        ("idm_dark_higgs", {"masses_gev": {"chi2": 3.9}, "fractions": {"h' -> mu+ mu-": 1.0}}, 6, 3, 6, 3.9),
        ("idm_photon", {"mass_gev": 1.31}, 5, 2, 5, 1.31),
    ],
)
def test_masses_are_recovered(name, given, size, first, last, mass):
    """The products of a new particle have its mass, in every event without radiation."""
    p, _ = by_event(shipped(name, 3000, **given), size)
    assert len(p) > 500
    assert np.allclose(np.sqrt(mass2(p[:, first:last].sum(axis=1))), mass, rtol=1e-7)


def test_six_tracks_are_three_equal_pairs():
    """A' h', h' -> A' A': pairs of e, mu or pi in the proportions of the formulas, the last two with the mass of h'."""
    p, codes = by_event(shipped("dark_higgs_six_tracks", 20_000, mass_gev=0.6, masses_gev={"h'": 2.5}), 6)
    assert np.allclose(np.sqrt(mass2(p[:, :2].sum(axis=1))), 0.6)
    assert np.allclose(np.sqrt(mass2(p[:, 2:].sum(axis=1))), 2.5)
    electrons = np.mean(np.abs(codes[:, ::2]) == 11)
    muons = np.mean(np.abs(codes[:, ::2]) == 13)
    beta = math.sqrt(1 - (2 * MUON_GEV / 0.6) ** 2)
    ratio = beta * (1 + 2 * (MUON_GEV / 0.6) ** 2)
    assert abs(muons / electrons - ratio) < 5 * ratio * math.sqrt(2 / (electrons * codes.size / 2))


def test_electron_of_tau_to_electron_alpha_is_a_line():
    """Where the tau rests x = 2E/m is 1.000, 0.921, 0.683, 0.379, 0.189 for these masses of alpha."""
    for mass, x in ((0.0, 1.0), (0.5, 0.921), (1.0, 0.683), (1.4, 0.379), (1.6, 0.189)):
        particles = shipped("tau_e_alpha", 300, mass_gev=mass)
        alpha = np.flatnonzero(particles.pdg == 9_900_001)
        electron, tau = cm(particles)[alpha - 1], cm(particles)[alpha - 1] + cm(particles)[alpha]
        assert set(np.abs(particles.pdg[alpha - 1])) == {11}
        energy = (tau[:, 3] * electron[:, 3] - (tau[:, :3] * electron[:, :3]).sum(axis=1)) / TAU
        assert np.allclose(2 * energy / TAU, x, atol=6e-4)


def test_b_mesons_have_their_energy_and_angle():
    """The signal B of B+ -> K+ X has half of the energy and 0.33 GeV in the CM; the pair follows sin^2 of the beam."""
    particles = shipped("b_k_invisible", 20_000, mass_gev=1.0)
    invisible = np.flatnonzero(particles.pdg == 9_900_001)
    b = cm(particles)[invisible] + cm(particles)[invisible - 1]
    assert np.allclose(b[:, 3], SQRT_S / 2)
    assert np.allclose(np.linalg.norm(b[:, :3], axis=1), math.sqrt(SQRT_S**2 / 4 - B**2))
    squared = (b[:, 2] / np.linalg.norm(b[:, :3], axis=1)) ** 2
    assert abs(squared.mean() - 0.2) < 5 * squared.std() / math.sqrt(squared.size)


def test_beam_energies_of_another_resonance():
    """With beams at the Upsilon(2S) the same file makes it at rest: all events have the same total energy."""
    from daq.settings import BeamSettings
    from daq.source.kinematics import collision_frame

    frame = collision_frame(BeamSettings(electron_gev=6.64, positron_gev=3.7917))
    particles = run_chain(settled("upsilon2s_sexaquark", frame=frame).chains, 500, frame=frame)
    sums = np.add.reduceat(particles.energy, particles.offsets[:-1])
    assert np.allclose(sums, 6.64 + 3.7917, atol=1e-9)
