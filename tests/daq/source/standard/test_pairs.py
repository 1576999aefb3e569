"""Generators against closed forms: angles, radiation, four-momentum, and the exact three-photon rate."""

import math

import numpy as np
import pytest

from daq.source.kinematics import ALPHA, ELECTRON_GEV, GEV2_NB
from daq.source.radiation import radiator_integral, radiator_slope
from tests.daq.source.compare import agrees
from tests.daq.source.standard.events import FRAME, S, cm_momenta, event_of, events_of, process, shipped

N = 100_000
EDGE = math.cos(math.radians(15))
PAIRS = ("bhabha", "gamma_gamma", "mu_pair")


def make(sampler: str, n: int = N, *, edge_deg: float = 15.0, pair_mass: float = 2.0):
    """Return n events of one process."""
    acceptance = {"acceptance_deg": [edge_deg, 180 - edge_deg], "pair_mass_min_gev": pair_mass}
    return events_of(process(sampler, **acceptance), n=n)


@pytest.mark.parametrize("sampler", PAIRS)
def test_four_momentum_is_conserved(sampler):
    """Every event adds up to the two beams, and every particle is on its mass shell."""
    particles = make(sampler, 20_000)
    total = FRAME.to_lab @ [0, 0, 0, FRAME.sqrt_s_gev]
    for name, beams in zip(("px", "py", "pz", "energy"), total, strict=True):
        sums = np.add.reduceat(getattr(particles, name), particles.offsets[:-1])
        assert np.abs(sums - beams).max() < 1e-9
    shell = {11: ELECTRON_GEV, 13: 0.1056583755, 22: 0.0}
    squared = particles.energy**2 - particles.px**2 - particles.py**2 - particles.pz**2
    masses = np.array([shell[abs(code)] for code in particles.pdg])
    assert np.all(np.abs(squared - masses**2) < 1e-9 * (1 + particles.energy**2))


@pytest.mark.parametrize(
    ("sampler", "edge_deg", "density"),
    [
        ("bhabha", 15.0, lambda c: ((3 + c**2) / (1 - c)) ** 2),
        ("gamma_gamma", 15.0, lambda c: (1 + c**2) / (1 - c**2)),
        ("mu_pair", 0.0, lambda c: 1 + c**2),
    ],
)
def test_angles_of_events_without_radiation(sampler, edge_deg, density):
    """Where nothing is radiated the first particle follows the leading order in the CM."""
    particles = make(sampler, edge_deg=edge_deg)
    edge = math.cos(math.radians(edge_deg))
    first = particles.offsets[:-1][np.diff(particles.offsets) == 2]
    momenta = cm_momenta(particles)[first]
    cosines = momenta[:, 2] / np.linalg.norm(momenta[:, :3], axis=1)
    assert agrees(cosines, density, -edge, edge)
    assert agrees(np.arctan2(momenta[:, 1], momenta[:, 0]), np.ones_like, -math.pi, math.pi)
    if sampler == "bhabha":
        assert set(particles.pdg[first]) == {11}


def test_initial_radiation_has_the_exponentiated_spectrum():
    """The radiated fraction of mu pairs against the integral of the radiator.

    Two photons mark the event where the first is the initial-state one; none means that both were below 1e-4.
    """
    particles = make("mu_pair", edge_deg=0.0, pair_mass=1.0)
    count, first = np.diff(particles.offsets), particles.offsets[:-1]
    slope, final = radiator_slope(S, ELECTRON_GEV), radiator_slope(S, 0.1056583755)

    def below(x):
        return radiator_integral(S, math.sqrt(S * (1 - x))) / radiator_integral(S, 1.0)

    silent_final = 1e-4**final / (1 - final / (1 + final) + final / (2 * (2 + final)))
    assert abs((count == 2).mean() - below(1e-4) * silent_final) < 0.01
    x = 2 * cm_momenta(particles)[first[count == 4] + 2, 3] / FRAME.sqrt_s_gev
    # The lighter the pair, the less often it radiates: undo what the second photon selects.
    slopes = 2 * ALPHA / math.pi * (np.log(S * (1 - x) / 0.1056583755**2) - 1)
    radiates = 1 - 1e-4**slopes / (1 - slopes / (1 + slopes) + slopes / (2 * (2 + slopes)))
    for cut in (0.01, 0.05, 0.5):
        expected = (below(cut) - below(1e-4)) / (1 - below(1e-4))
        assert abs(np.average(x < cut, weights=1 / radiates) - expected) < 0.015
    assert math.isclose(below(1e-4) * radiator_integral(S, 1.0), 1e-4**slope, rel_tol=1e-4)


def test_radiator_slope_is_the_published_one():
    """beta = 0.0877 at 10.58 GeV; with a falling cross-section more is radiated, never less."""
    assert math.isclose(radiator_slope(10.58**2, ELECTRON_GEV), 0.0877, rel_tol=1e-3)
    assert 1 < radiator_integral(S, 2.0) < radiator_integral(S, 0.5) < 1.3


def test_born_cross_sections():
    """The numbers of configs/processes: leading order at 15-165 deg, Bhabha 120.6 nb and gamma gamma 3.596 nb."""
    c = np.linspace(-EDGE, EDGE, 400_001)
    bhabha = math.pi * ALPHA**2 / (2 * S) * np.trapezoid(((3 + c**2) / (1 - c)) ** 2, c) * GEV2_NB
    photons = math.pi * ALPHA**2 / S * np.trapezoid((1 + c**2) / (1 - c**2), c) * GEV2_NB
    assert math.isclose(bhabha, 120.6, rel_tol=1e-3)
    assert math.isclose(photons, 3.596, rel_tol=1e-3)
    assert math.isclose(bhabha * radiator_integral(S, 2.0), 132.4, rel_tol=1e-3)


@pytest.mark.parametrize("name", ["bhabha", "bhabha_wide"])
def test_shipped_bhabha_cross_sections(name):
    """Closed form of the leading order in the acceptance of the file, times the integral of the radiator."""
    one = shipped(name)
    edge = math.cos(math.radians(one.settings.acceptance_deg[0]))
    assert math.isclose(one.settings.acceptance_deg[0] + one.settings.acceptance_deg[1], 180)

    def integral(c):  # of ((3 + c^2)/(1 - c))^2 = 16/u^2 - 16/u + 12 - 4u + u^2, u = 1 - c
        u = 1 - c
        return 16 / u + 16 * math.log(u) - 12 * u + 2 * u**2 - u**3 / 3

    born = math.pi * ALPHA**2 / (2 * S) * (integral(edge) - integral(-edge)) * GEV2_NB
    assert math.isclose(one.cross_section_nb, born * radiator_integral(S, 2.0), rel_tol=1e-3)


def test_muon_pairs_at_large_angles():
    """Both muons above 0.5 GeV in the drift chamber: 0.831 nb by the sheet, good to 3 %."""
    particles = events_of(shipped("mu_pair"), n=N)
    theta = np.degrees(np.arctan2(np.hypot(particles.px, particles.py), particles.pz))
    seen = (theta > 17) & (theta < 150) & (particles.energy > 0.5) & (np.abs(particles.pdg) == 13)
    both = np.bincount(event_of(particles), weights=seen, minlength=N) == 2
    assert math.isclose(both.mean() * shipped("mu_pair").cross_section_nb, 0.831, rel_tol=0.04)


def exact_three_photon_pb(selected, n: int) -> tuple[float, float]:
    """Return tree-level sigma(e+e- -> gamma gamma gamma) [pb] of selected events, times x^beta, and its error.

    An independent calculation: flat three-body phase space, all of the matrix element of Berends and Kleiss as weight.
    """
    rng = np.random.default_rng(11)
    x1, x2 = rng.random((2, n))
    inside = x1 + x2 > 1
    x1, x2 = x1[inside], x2[inside]
    x = np.stack([x1, x2, 2 - x1 - x2])
    axis, side = rng.normal(size=(2, 3, x1.size))
    axis /= np.linalg.norm(axis, axis=0)
    side -= axis * (side * axis).sum(axis=0)
    side /= np.linalg.norm(side, axis=0)
    cosine = 1 - 2 * (x1 + x2 - 1) / (x1 * x2)
    first, second = x1 * axis, x2 * (cosine * axis + np.sqrt(1 - cosine**2) * side)
    k = 0.5 * FRAME.sqrt_s_gev * np.stack([first, second, -first - second])
    energy = 0.5 * FRAME.sqrt_s_gev * x
    a, b = (energy - k[:, 2]) / FRAME.sqrt_s_gev, (energy + k[:, 2]) / FRAME.sqrt_s_gev
    element = (a * b * (a**2 + b**2)).sum(axis=0) / (a * b).prod(axis=0)
    softest = np.take_along_axis(x, (a * b).argmin(axis=0)[None], axis=0)[0]
    weight = element * softest ** radiator_slope(S, ELECTRON_GEV)
    weight *= selected(np.concatenate([k, energy[:, None]], axis=1))
    scale = 0.5 * 16 * (4 * math.pi * ALPHA) ** 3 / (8 * S) / (128 * math.pi**3) / 6 * GEV2_NB * 1e3
    return scale * weight.mean(), scale * weight.std() / math.sqrt(weight.size)


def test_hard_third_photon_comes_at_the_exact_rate():
    """Three photons above 0.5 GeV at 25-155 deg in the CM, against an integral of the exact matrix element."""

    def selected(k):
        cosine = k[..., 2, :] / k[..., 3, :]
        return ((np.abs(cosine) < math.cos(math.radians(25))) & (k[..., 3, :] > 0.5)).all(axis=0)

    expected, error = exact_three_photon_pb(selected, 400_000)
    particles = make("gamma_gamma", 400_000)
    momenta = cm_momenta(particles)
    good = (np.abs(momenta[:, 2] / momenta[:, 3]) < math.cos(math.radians(25))) & (momenta[:, 3] > 0.5)
    passed = np.bincount(event_of(particles), weights=good) >= 3
    sigma = 3860 * passed.mean()
    assert abs(sigma - expected) < 4 * math.hypot(error, sigma / math.sqrt(passed.sum())) + 0.01 * expected


def test_bhabha_has_both_channels_and_their_interference():
    """The one formula of the sampler against t, s and interference, each by itself (Peskin and Schroeder, 5.5)."""
    c = np.linspace(-0.99, 0.99, 199)
    cosine4, sine2 = (0.5 * (1 + c)) ** 2, 0.5 * (1 - c)
    t_channel, s_channel = 2 * (1 + cosine4) / sine2**2, 1 + c**2
    interference = -4 * cosine4 / sine2
    assert np.allclose(((3 + c**2) / (1 - c)) ** 2, t_channel + interference + s_channel, rtol=1e-12)
