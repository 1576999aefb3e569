"""The walk through decay chains against closed forms: angles, spectra, lifetimes, masses, and event identity."""

import math

import numpy as np
import pytest
from scipy.integrate import quad

from daq.settings import BeamSettings
from daq.source.cascade import generate_chains
from daq.source.compiled import join
from daq.source.couplings import TAU_GEV, dark_higgsstrahlung_cross_section_nb
from daq.source.fsr import FSR, fsr_along_beam, fsr_point, fsr_squared
from daq.source.kinematics import ALPHA, ELECTRON_GEV, MUON_GEV, collision_frame
from daq.source.particles import Particles
from daq.source.radiation import radiator_slope
from daq.source.species import standard_model
from tests.daq.source.chains import (
    FRAME,
    S,
    by_event,
    cm,
    cosine_in,
    dot,
    make,
    mass2,
    momentum,
    run_chain,
    settled,
    shipped,
)
from tests.daq.source.compare import LEVEL, agrees, is_exponential, p_value

N = 40_000
SQRT_S = FRAME.sqrt_s_gev
MASS = standard_model().mass_gev
HEAVY = {"X": {"mass_gev": 0.5}, "Y": {"mass_gev": 1.0}, "Z": {"mass_gev": 2.0}}


# ---- two products


def two_body_cosines(angle, **rest):
    """Return the cosines of X in e+e- -> X Y."""
    particles = {"X": {"mass_gev": 4.0}, "Y": {"mass_gev": 1.0}}
    momenta, _ = by_event(make([{"decay": "e+ e- -> X Y", "angle": angle}], N, particles=particles, **rest), 2)
    return momenta[:, 0, 2] / np.linalg.norm(momenta[:, 0, :3], axis=1)


@pytest.mark.parametrize(
    ("angle", "density"),
    [
        ("flat", np.ones_like),
        ("1+cos2", lambda c: 1 + c**2),
        ("sin2", lambda c: 1 - c**2),
        ("cos2", lambda c: c**2),
        ((1.0, 0.8, 0.0), lambda c: 1 + 0.8 * c),
        ((0.5, -1.0, 0.5), lambda c: (1 - c) ** 2),
        ((2.0, 0.5, -1.0), lambda c: 2 + c / 2 - c**2),
        ("fermion_pair", lambda c: 1 + c**2 + 4 * 16 / S * (1 - c**2)),
        ("higgsstrahlung", lambda c: ((1 - 17 / S) ** 2 - 4 * 16 / S**2) * (1 - c**2) + 8 * 16 / S),
    ],
)
def test_angles_of_the_collision(angle, density):
    """Every angular weight against its density."""
    assert agrees(two_body_cosines(angle), density, -1, 1)


def test_acceptance_cuts_the_angle():
    """The first product stays inside of the range of polar angles, with the same density there."""
    cosines = two_body_cosines("1+cos2", acceptance_deg=[60.0, 100.0])
    low, high = math.cos(math.radians(100)), math.cos(math.radians(60))
    assert low <= cosines.min() <= cosines.max() <= high
    assert agrees(cosines, lambda c: 1 + c**2, low, high)


@pytest.mark.parametrize("mass", [0.05, 6.0, 10.0])
def test_radiative_angle(mass):
    """The photon of e+e- -> gamma A' in 10-170 deg, and the beam peak of the whole range by its quantiles."""
    decays, particles = [{"decay": "e+ e- -> gamma A'", "angle": "radiative"}], {"A'": {"mass_gev": mass}}
    x = mass**2 / S

    def density(c):
        return (1 + c**2 + 4 * x / (1 - x) ** 2) / (1 - c**2)

    edge = math.cos(math.radians(10))
    p, _ = by_event(make(decays, N, particles=particles, acceptance_deg=[10.0, 170.0]), 2)
    assert agrees(p[:, 0, 2] / p[:, 0, 3], density, -edge, edge)
    p, _ = by_event(make(decays, N, particles=particles), 2)
    inside = np.mean(np.abs(p[:, 0, 2] / p[:, 0, 3]) < edge)
    scale = 2 * (1 + x**2) / (1 - x) ** 2
    expected = (scale * 2 * math.atanh(edge) - 2 * edge) / (scale * math.log(S / ELECTRON_GEV**2) - 2)
    assert abs(inside - expected) < 4.5 * math.sqrt(expected * (1 - expected) / N)


def test_angle_about_the_beam_is_kept_in_a_moving_frame():
    """An angle about the beam is that to the electrons' direction as it is seen where the parent rests."""
    p, codes = by_event(make([
        {"decay": "e+ e- -> X Y"},
        {"decay": "X -> K+ K-", "angle": "sin2", "axis": "beam"},
    ], N, particles={"X": {"mass_gev": 6.0}, "Y": {"mass_gev": 1.0}}), 3)  # fmt: skip
    assert set(codes[0]) == {9900002, 321, -321}
    parent = p[:, 1] + p[:, 2]
    beam = np.array([0.0, 0.0, 1.0, 1.0])
    assert agrees(-cosine_in(parent, p[:, 1], beam), lambda c: 1 - c**2, -1, 1)


def test_helicity_angle():
    """K*0 -> K+ pi- of B0 -> K*0 S follows cos^2 of the angle between K+ and B0 where the K*0 rests."""
    p, codes = by_event(make([
        {"decay": "e+ e- -> X Y"},
        {"decay": "X -> K*0 S"},
        {"decay": "K*0 -> K+ pi-", "angle": "cos2"},
    ], N, particles={"X": {"mass_gev": 5.3}, "Y": {"mass_gev": 1.0}, "S": {"mass_gev": 1.5}}), 4)  # fmt: skip
    assert codes[0].tolist() == [9900002, 9900003, 321, -211]
    kstar = p[:, 2] + p[:, 3]
    assert agrees(cosine_in(kstar, p[:, 2], kstar + p[:, 1]), lambda c: c**2, -1, 1)
    asymmetric = [{"decay": "e+ e- -> X Y"}, {"decay": "X -> pi+ pi-", "angle": [1.0, 1.0, 0.0]}]
    p, _ = by_event(make(asymmetric, N, particles={"X": {"mass_gev": 5.3}, "Y": {"mass_gev": 1.0}}), 3)
    flight = p[:, 1] + p[:, 2]
    assert agrees(cosine_in(flight, p[:, 1], p.sum(axis=1)), lambda c: 1 + c, -1, 1)


# ---- three products


def test_three_body_phase_space_is_flat_in_the_dalitz_plane():
    """Marginals of all three pair masses against the analytic border, and flatness inside of it cell by cell."""
    p, _ = by_event(make([{"decay": "e+ e- -> X Y Z"}], 100_000, particles=HEAVY), 3)
    masses = [0.5, 1.0, 2.0]
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        low, high = (masses[i] + masses[j]) ** 2, (SQRT_S - masses[k]) ** 2

        def density(q2, i=i, j=j, k=k):
            q = np.sqrt(q2)
            return momentum(SQRT_S, masses[k], q) * momentum(q, masses[i], masses[j]) / q

        assert agrees(mass2(p[:, i] + p[:, j]), density, low, high, bins=40)
    # Given the mass of a pair, the other squared mass is uniform between its borders: in terms of the cosine of the
    # pair's decay it is linear.
    cosine = cosine_in(p[:, 1] + p[:, 2], p[:, 1], p[:, 0])
    q2 = mass2(p[:, 1] + p[:, 2])
    rank = np.argsort(np.argsort(q2)) / q2.size
    cells = np.histogram2d(rank, cosine, bins=(12, 12), range=((0, 1), (-1, 1)))[0]
    assert p_value(cells, np.ones_like(cells)) > LEVEL
    direction = p[:, 0, 2] / np.linalg.norm(p[:, 0, :3], axis=1)
    assert agrees(direction, np.ones_like, -1, 1)


def test_three_body_at_threshold():
    """0.1 MeV above threshold: momenta are tiny, conserved and real."""
    particles = {"X": {"mass_gev": 0.5}, "Y": {"mass_gev": 1.0}, "Z": {"mass_gev": SQRT_S - 1.5001}}
    p, _ = by_event(make([{"decay": "e+ e- -> X Y Z"}], 2000, particles=particles), 3)
    assert np.abs(p.sum(axis=1) - [0, 0, 0, SQRT_S]).max() < 1e-9
    assert np.allclose(mass2(p), np.array([0.5, 1.0, SQRT_S - 1.5001]) ** 2, rtol=0, atol=1e-9)


def test_leptonic_spectrum_of_taus():
    """tau -> e nu nu where the tau rests: x^2 (3 - 2x) of x = 2 E/m."""
    decays = [
        {"decay": "e+ e- -> tau+ tau-"},
        {"decay": "tau- -> e- nu_ebar nu_tau", "matrix_element": "leptonic"},
        {"decay": "tau+ -> pi+ nu_taubar"},
    ]
    p, codes = by_event(make(decays, N), 5)
    assert codes[0].tolist() == [211, -16, 11, -12, 16]
    tau = p[:, 2:].sum(axis=1)
    x = 2 * dot(tau, p[:, 2]) / TAU_GEV**2
    assert agrees(x, lambda x: x**2 * (3 - 2 * x), 0.01, 1.0)


@pytest.mark.parametrize("process", ["idm_photon", "b_k_nunu", "upsilon2s_gamma_invisible"])
def test_pair_mass_spectra(process):
    """The spectrum of the pair mass is phase space times the weight, written out here once more."""
    if process == "idm_photon":
        p, codes = by_event(shipped(process, 3 * N), 5)
        assert codes[0, 3:].tolist() == [-11, 11]
        pair, parent, first, product = p[:, 3] + p[:, 4], 1.2, 1.0, ELECTRON_GEV

        def weight(q2):
            return (0.04 - q2) * (2.2**2 + 2 * q2) * (1 + 2 * product**2 / q2) / (9 - q2) ** 2
    elif process == "b_k_nunu":
        particles = shipped(process, N)
        neutrinos = np.isin(particles.pdg, (14, -14)) & (np.append(particles.pdg[1:], 0) == -particles.pdg)
        first_of = np.flatnonzero(neutrinos)
        pair = cm(particles)[first_of] + cm(particles)[first_of + 1]
        kaon = cm(particles)[first_of - 1]
        is_signal = np.isclose(np.sqrt(mass2(pair + kaon)), MASS("B+"), atol=1e-6)
        assert is_signal.sum() == N
        pair, parent, first, product = pair[is_signal], MASS("B+"), MASS("K+"), 0.0

        def weight(q2):
            x = q2 / 5.4154**2
            return (momentum(parent, first, np.sqrt(q2)) / ((1 - x) * (1 - x / 2))) ** 2
    else:
        frame = collision_frame(BeamSettings(electron_gev=6.64, positron_gev=3.7917))
        assert abs(frame.sqrt_s_gev - 10.0234) < 0.02
        p, codes = by_event(run_chain(settled(process, frame=frame).chains, N, frame=frame), 4, frame)
        assert codes[0].tolist() == [211, -211, 22, 9900001]
        pair, parent, first, product = p[:, 0] + p[:, 1], frame.sqrt_s_gev, 9.4604, MASS("pi+")

        def weight(q2):
            return (q2 - 2 * product**2) ** 2

    def density(q):
        return momentum(parent, first, q) * momentum(q, product, product) * weight(q**2)

    low, high = 2 * product, parent - first
    edge = low + 1e-3 * (high - low) if product < 1e-3 else low  # the pole of a virtual photon is narrower than a bin
    values = np.sqrt(np.maximum(mass2(pair), 0))
    assert agrees(values, density, edge, high, bins=30)


# ---- radiation of a new particle


@pytest.mark.parametrize(("model", "lepton", "mass"), [
    ("vector_fsr", "mu", 0.3), ("vector_fsr", "mu", 9.0), ("scalar_fsr", "tau", 2.0), ("pseudoscalar_fsr", "mu", 4.0),
])  # fmt: skip
def test_radiated_particle_fills_the_dalitz_plane(model, lepton, mass):
    """Both squared masses with the new particle, against a fine sum of the matrix element, in 2D cells."""
    lepton_gev = MASS(f"{lepton}-")
    decays = [{"decay": f"e+ e- -> {lepton}+ {lepton}- X", "matrix_element": model}]
    if lepton == "tau":
        decays += [{"decay": "tau+ -> pi+ nu_taubar"}, {"decay": "tau- -> pi- nu_tau"}]
    p, _ = by_event(make(decays, N, particles={"X": {"mass_gev": mass}}), 3 if lepton == "mu" else 5)
    new = p[:, 2] if lepton == "mu" else p[:, 0]
    leptons = (p[:, 0], p[:, 1]) if lepton == "mu" else (p[:, 1] + p[:, 2], p[:, 3] + p[:, 4])
    # Coordinates in which the density is smooth: the places u, w of the generator, undone by bisection of its map.
    a, b = (mass2(one + new) - lepton_gev**2 for one in leptons)
    low, high = math.log(mass * (2 * lepton_gev + mass)), math.log((SQRT_S - lepton_gev) ** 2 - lepton_gev**2)
    u = (np.log(a) - low) / (high - low)
    ends = np.array(
        [[fsr_point(FSR[model], at, w, SQRT_S, lepton_gev, lepton_gev, mass)[2] for w in (0, 1)] for at in u]
    )
    w = np.log(b / ends[:, 0]) / np.log(ends[:, 1] / ends[:, 0])
    cells = np.histogram2d(u, w, bins=(10, 10), range=((0, 1), (0, 1)))[0]
    middles = (np.arange(100) + 0.5) / 100
    weights = np.array([
        [fsr_point(FSR[model], i, j, SQRT_S, lepton_gev, lepton_gev, mass)[0] for j in middles] for i in middles
    ]).reshape(10, 10, 10, 10).sum(axis=(1, 3))  # fmt: skip
    assert cells.sum() == N
    full = weights > 20 * weights.sum() / N
    assert p_value(cells[full], weights[full]) > LEVEL
    assert cells[~full].sum() <= 5 + 2 * N * weights[~full].sum() / weights.sum()


@pytest.mark.parametrize("model", sorted(FSR))
def test_radiated_particle_is_oriented_as_the_amplitude_says(model):
    """Mean squared cosines of muons and X, and their products, against flat phase space with the amplitude as weight.

    `tests.daq.source.test_fsr` holds the amplitude against traces of Dirac matrices.
    """
    mass, particles = 3.0, {"X": {"mass_gev": 3.0}}
    p, _ = by_event(make([{"decay": "e+ e- -> mu+ mu- X", "matrix_element": model}], N, particles=particles), 3)
    flat, _ = by_event(make([{"decay": "e+ e- -> mu+ mu- X"}], N, particles=particles), 3)
    a, b = (mass2(flat[:, i] + flat[:, 2]) - MUON_GEV**2 for i in (0, 1))
    fixed = MUON_GEV**2, mass**2, S
    weights = np.array([
        fsr_squared(FSR[model], a[i], b[i], *fixed)
        - fsr_along_beam(FSR[model], a[i], b[i], *fixed, flat[i, 0, 2], flat[i, 1, 2])
        for i in range(N)
    ])  # fmt: skip

    def angles(k):
        c = k[:, :, 2] / np.linalg.norm(k[:, :, :3], axis=2)
        return np.stack([c[:, 0] ** 2, c[:, 1] ** 2, c[:, 2] ** 2, c[:, 0] * c[:, 1], c[:, 0] * c[:, 2]])

    expected = (angles(flat) * weights).sum(axis=1) / weights.sum()
    error = np.sqrt((((angles(flat) - expected[:, None]) * weights) ** 2).sum(axis=1)) / weights.sum()
    assert np.all(np.abs(angles(p).mean(axis=1) - expected) < 4.5 * error)
    assert np.abs((expected - [1 / 3, 1 / 3, 1 / 3, 0, 0]) / error).max() > 8  # isotropic would be wrong


# ---- lifetimes and masses


@pytest.mark.parametrize("ctau", [1e-3, 3.0, 500.0])
def test_lifetimes_are_exponential(ctau):
    """Flight over beta gamma of both long-lived particles is exponential, along their momenta, from their origins."""
    n = 20_000
    signal = settled("idm_dark_higgs", ctau_cm=ctau, ctaus_cm={"chi2": 2 * ctau}, fractions={"h' -> mu+ mu-": 1.0})
    particles = run_chain(signal.chains, n)
    chosen = particles.take(np.flatnonzero(np.diff(particles.offsets) == 6))
    p = np.stack([chosen.px, chosen.py, chosen.pz], axis=1).reshape(-1, 6, 3)
    energy = chosen.energy.reshape(-1, 6)
    at = np.stack([chosen.x, chosen.y, chosen.z], axis=1).reshape(-1, 6, 3)
    assert chosen.pdg[:6].tolist() == [9900003, -13, 13, 9900003, -11, 11]
    assert not at[:, 0].any()
    for first, last, mass, length in ((1, 3, 0.5, ctau), (3, 6, 3.5, 2 * ctau)):
        assert np.array_equal(at[:, first], at[:, last - 1])
        total, total_energy = p[:, first:last].sum(axis=1), energy[:, first:last].sum(axis=1)
        assert np.allclose(total_energy**2 - (total**2).sum(axis=1), mass**2, rtol=1e-6)
        flight = at[:, first]
        size = np.linalg.norm(flight, axis=1)
        assert np.allclose(np.cross(total, flight), 0, atol=1e-9 * (1 + size.max()) * 10)
        proper = size * mass / np.linalg.norm(total, axis=1)
        assert np.all((flight * total).sum(axis=1) > 0)
        assert is_exponential(proper, length)
        assert abs(proper.mean() / length - 1) < 5 / math.sqrt(len(proper))


def test_products_of_products_start_where_their_parents_end():
    """B, D and K_S fly one after the other; what is prompt starts at the collision."""
    particles = shipped("b_k_scalar", 3000, mass_gev=1.0, ctau_cm=20.0, fractions={"S -> mu+ mu-": 1.0})
    distance = np.sqrt(particles.x**2 + particles.y**2 + particles.z**2)
    muon_pairs = np.flatnonzero((particles.pdg[:-1] == -13) & (particles.pdg[1:] == 13))
    displaced = distance[muon_pairs]
    assert 5 < np.median(displaced) < 200
    kaons = np.abs(particles.pdg) == 321
    assert 0 < np.median(distance[kaons]) < 0.1  # B+ at 0.28 of their decay length
    assert np.median(distance[particles.pdg == 130]) < 0.2


def test_wide_particles_have_their_line():
    """K*0 of a two-body decay: a Breit-Wigner curve times the momentum; rho0 in a three-body decay: the curve."""
    row = standard_model().species["K*0"]
    p, _ = by_event(make([
        {"decay": "e+ e- -> X Y"}, {"decay": "X -> K*0 Y"}, {"decay": "K*0 -> K+ pi-"},
    ], N, particles={"X": {"mass_gev": 3.0}, "Y": {"mass_gev": 1.0}}), 4)  # fmt: skip
    masses = np.sqrt(mass2(p[:, 2] + p[:, 3]))
    assert masses.min() > MASS("K+") + MASS("pi+")

    def line(m):
        return momentum(3.0, m, 1.0) / ((m - row.mass_gev) ** 2 + row.width_gev**2 / 4)

    low = max(row.mass_gev - 5 * row.width_gev, MASS("K+") + MASS("pi+"))
    assert agrees(masses, line, low, 2.0, bins=40)


def test_resonance_at_rest_or_by_radiative_return():
    """At its mass a resonance has the energy of the collision; above, a photon takes the rest, near the beams."""
    narrow = collision_frame(BeamSettings(electron_gev=6.64, positron_gev=3.7917))
    at_rest = run_chain(settled("upsilon2s_gamma_invisible", frame=narrow).chains, 2000, frame=narrow)
    assert np.all(np.diff(at_rest.offsets) == 4)
    returned = shipped("upsilon2s_gamma_invisible", 4000)
    p, codes = by_event(returned, 5)
    assert codes[0].tolist() == [22, 211, -211, 22, 9900001]
    assert np.allclose(p[:, 0, 3], (S - 10.0234**2) / (2 * SQRT_S), rtol=1e-9)
    assert np.allclose(np.sqrt(mass2(p[:, 1:].sum(axis=1))), 10.0234)
    assert np.mean(np.abs(p[:, 0, 2] / p[:, 0, 3]) > 0.9) > 0.8


# ---- initial-state radiation


def test_initial_radiation_follows_the_cross_section():
    """The radiated fraction of e+e- -> A' h' near threshold: the radiator times sigma(s(1 - x))."""
    masses = {"photon": 5.0, "higgs": 4.0}
    given = {"mass_gev": masses["photon"], "masses_gev": {"h'": masses["higgs"]}, "coupling": 1e-3}
    particles = shipped("dark_higgs_invisible", 100_000, **given)
    count = np.diff(particles.offsets)
    x = np.zeros(count.size)
    x[count == 4] = 2 * cm(particles)[particles.offsets[1:][count == 4] - 1, 3] / SQRT_S
    beta, x_max = radiator_slope(S, ELECTRON_GEV), 1 - 81 / S

    def sigma(s):
        return dark_higgsstrahlung_cross_section_nb(5.0, 1.0, s, higgs_gev=4.0, alpha_d=0.1)

    def below(cut):
        # t = x^beta makes the integrand finite.
        def integrand(t):
            at = t ** (1 / beta)
            return (1 - at + at * at / 2) * sigma(S * (1 - at)) / sigma(S)

        return quad(integrand, 0, min(cut, x_max) ** beta, limit=200)[0]

    whole = below(x_max)
    for cut in (1e-4, 1e-3, 0.01, 0.1, 0.2, 0.26):
        expected = below(cut) / whole
        assert abs(np.mean(x < cut) - expected) < 4.5 * math.sqrt(expected * (1 - expected) / count.size) + 1e-4
    assert x.max() < x_max
    assert math.isclose(beta, 2 * ALPHA / math.pi * (math.log(S / ELECTRON_GEV**2) - 1))


def test_a_radiated_photon_never_outdoes_the_photon_of_the_process():
    """e+e- -> gamma A' radiates at most half of what it can: which photon is which is decided by energy."""
    p, _ = by_event(shipped("dark_photon_invisible", N, mass_gev=6.0), 3)
    assert len(p) > 0.3 * N
    assert (2 * p[:, 2, 3] / SQRT_S).max() <= 0.5 * (1 - 36 / S) + 1e-9
    assert np.allclose(np.sqrt(mass2(p[:, 1])), 6.0)


# ---- identity


def arrays(particles: Particles):
    return [getattr(particles, name) for name in ("offsets", *Particles.PARTICLE_FIELDS)]


def test_an_event_depends_on_its_number_alone():
    """Whatever the block, the company and the other chains of the run: event k has the same particles, to the bit."""
    names = ("z_prime_tautau", "b_kstar_scalar", "idm_dark_higgs", "d0_invisible", "dark_photon_ee")
    parts = [settled(name).chains for name in names]
    whole = [run_chain(part, 60) for part in parts]
    chains = join(parts[::-1])
    events = np.array([59, 3, 17, 3, 0], dtype=np.uint64)
    chain = np.array([0, 4, 2, 1, 3])
    truth = {"process": chain, "mass_gev": np.zeros(5), "ctau_cm": np.zeros(5)}
    mixed = generate_chains(chains, chain, events, **truth, frame=FRAME, seed=5, run=1)
    for i in range(5):
        alone = whole[len(parts) - 1 - chain[i]].take([int(events[i])])
        for found, expected in zip(arrays(mixed.take([i])), arrays(alone), strict=True):
            assert np.array_equal(found, expected)


def test_conjugate_events():
    """Half of the events have a signal B+, half a B-: every code but those of self-conjugate particles is flipped."""
    particles = shipped("b_proton_psi", 10_000)
    before = np.flatnonzero(particles.pdg == 9900001) - 1
    signs = np.sign(particles.pdg[before])
    assert set(np.abs(particles.pdg[before])) == {2212}
    assert abs(signs.mean()) < 5 / 100
    charges = {kind.pdg: kind.charge for kind in standard_model().species.values()}
    totals = np.add.reduceat([charges.get(code, 0) for code in particles.pdg], particles.offsets[:-1])
    assert not totals.any()
