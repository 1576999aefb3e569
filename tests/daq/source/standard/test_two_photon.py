"""Two-photon pairs: totals against the sheet, shapes against weighted events of an independent calculation."""

import math

import numpy as np
import pytest

from daq.source.kinematics import ALPHA, ELECTRON_GEV, GEV2_NB, MUON_GEV
from daq.source.species import standard_model
from daq.source.standard.two_photon import two_photon_cross_section_nb
from tests.daq.source.compare import LEVEL, agrees, p_value
from tests.daq.source.standard.events import FRAME, S, cm_momenta, events_of, process, shipped

SQRT_S = FRAME.sqrt_s_gev
MASSES = {"e": ELECTRON_GEV, "mu": MUON_GEV, "pi": standard_model().mass_gev("pi+")}
SHIPPED = {"two_photon_ee": "e", "two_photon_mumu": "mu", "two_photon_pipi": "pi"}


def flux(y, w2):
    """Return y N(y), straight from the formula of the sheet."""
    lowest, highest = ELECTRON_GEV**2 * y**2 / (1 - y), np.minimum(w2 / 4, S * (1 - y))
    spectrum = (1 + (1 - y) ** 2) * np.log(np.maximum(highest / lowest, 1))
    spectrum -= 2 * ELECTRON_GEV**2 * y**2 * (1 / lowest - 1 / highest)
    return np.where(highest > lowest, np.maximum(ALPHA / (2 * math.pi) * spectrum, 0), 0)


def angle_density(cosine, w2, mass, scalar):
    """Return dsigma/dc of gamma gamma -> pair [1/GeV2]."""
    beta2 = 1 - 4 * mass**2 / w2
    pole, sine2 = 1 - beta2 * cosine**2, 1 - cosine**2
    if scalar:
        part = beta2 * sine2 / pole
        return math.pi * ALPHA**2 * np.sqrt(beta2) / w2 * (1 - 2 * part + 2 * part**2)
    numerator = 1 + 2 * beta2 * (1 - beta2) * sine2 - beta2**2 * cosine**4
    return 2 * math.pi * ALPHA**2 * np.sqrt(beta2) / w2 * numerator / pole**2


def weighted(product: str, n: int = 1_000_000, w_min: float = 0.5):
    """Return W, cosine in the CM of both products, and weights [nb] of events that are even in ln W, Y and t."""
    rng = np.random.default_rng(17)
    mass = MASSES[product]
    range_log = -math.log(w_min**2 / S)
    log_tau = -range_log * rng.random(n)
    w2, edge = S * np.exp(log_tau), -log_tau / 2
    y = edge * (2 * rng.random(n) - 1)
    y1, y2 = np.exp(log_tau / 2 + y), np.exp(log_tau / 2 - y)
    beta = np.sqrt(1 - 4 * mass**2 / w2)
    most = np.arctanh(beta)
    t = most * (2 * rng.random(n) - 1)
    cosine = np.tanh(t) / beta
    jacobian = range_log * 2 * edge * 2 * most * (1 - beta**2 * cosine**2) / beta
    weight = jacobian * flux(y1, w2) * flux(y2, w2) * angle_density(cosine, w2, mass, product == "pi") * GEV2_NB
    w = np.sqrt(w2)
    along = 0.5 * w * beta * cosine
    transverse = 0.5 * w * beta * np.sqrt(1 - cosine**2)
    cosines = [np.sinh(y) * 0.5 * w + np.cosh(y) * sign * along for sign in (1, -1)]
    return w, np.array([c / np.hypot(c, transverse) for c in cosines]), weight


def test_total_cross_sections_are_those_of_the_sheet():
    """ee mu mu with W above 0.5, 1, 2, 4 GeV; ee tau tau; e+e-e+e-, each to its digits."""
    for w_min, expected in ((0.5, 18.5), (1, 4.17), (2, 0.70), (4, 0.071)):
        assert math.isclose(two_photon_cross_section_nb(SQRT_S, MUON_GEV, w_min), expected, rel_tol=6e-3)
    tau = standard_model().mass_gev("tau-")
    assert math.isclose(two_photon_cross_section_nb(SQRT_S, tau, 0.5), 0.016, abs_tol=5e-4)
    assert math.isclose(two_photon_cross_section_nb(SQRT_S, ELECTRON_GEV, 0.5), 81, rel_tol=6e-3)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_cross_sections(name):
    """All angles: the closed form; in the acceptance: the number of the file."""
    product, shipped_process = SHIPPED[name], shipped(name)
    _, cosines, weight = weighted(product)
    error = weight.std() / math.sqrt(weight.size)
    total = two_photon_cross_section_nb(SQRT_S, MASSES[product], 0.5, scalar=product == "pi")
    assert abs(weight.mean() - total) < 4 * error + 1e-4 * total
    inside = (np.abs(cosines) < math.cos(math.radians(10))).any(axis=0)
    assert abs((weight * inside).mean() - shipped_process.cross_section_nb) < 4 * error


@pytest.mark.parametrize("name", SHIPPED)
def test_shapes_of_shipped_processes(name):
    """Pair mass and angle of the negative product, against the weighted events."""
    particles = events_of(shipped(name), n=100_000)
    p = cm_momenta(particles).reshape(-1, 4, 4)
    pair = p[:, 0] + p[:, 1]
    w = np.sqrt(pair[:, 3] ** 2 - (pair[:, :3] ** 2).sum(axis=1))
    cosine = p[:, 0, 2] / np.linalg.norm(p[:, 0, :3], axis=1)
    expected_w, cosines, weight = weighted(SHIPPED[name], 3_000_000)
    weight *= (np.abs(cosines) < math.cos(math.radians(10))).any(axis=0)
    for values, theirs, edges in (
        (w, expected_w, np.array([0.5, 0.55, 0.6, 0.7, 0.8, 1.0, 1.3, 1.7, 2.3, 3.2, 11])),
        (cosine, cosines[0], np.cos(np.radians(np.linspace(180, 0, 13)))),
    ):
        counts, expected = np.histogram(values, edges)[0], np.histogram(theirs, edges, weights=weight)[0]
        squares = np.histogram(theirs, edges, weights=weight**2)[0]
        scale = counts.sum() / expected.sum()
        pulls = (counts - scale * expected) / np.sqrt(scale * expected + scale**2 * squares)
        assert (pulls**2).sum() < len(counts) + 4 * math.sqrt(2 * len(counts))
    assert np.all((np.abs(p[:, :2, 2] / np.linalg.norm(p[:, :2, :3], axis=2)) < math.cos(math.radians(10))).any(axis=1))


@pytest.mark.parametrize("product", MASSES)
def test_angle_where_the_pair_rests(product):
    """At all angles, in a narrow bin of W: the tree-level distribution of gamma gamma -> pair."""
    particles = events_of(process("two_photon", product=product, pair_mass_min_gev=1.0), n=60_000)
    p = cm_momenta(particles).reshape(-1, 4, 4)
    pair = p[:, 0] + p[:, 1]
    w = np.sqrt(pair[:, 3] ** 2 - (pair[:, :3] ** 2).sum(axis=1))
    rapidity = [np.arctanh(p[:, k, 2] / p[:, k, 3]) for k in (0, 1)]
    cosine = np.tanh((rapidity[0] - rapidity[1]) / 2) / np.sqrt(1 - 4 * MASSES[product] ** 2 / w**2)
    near = w < 1.02
    assert near.sum() > 1000
    assert agrees(
        cosine[near & (np.abs(cosine) < 0.98)],
        lambda c: angle_density(c, 1.01**2, MASSES[product], product == "pi"), -0.98, 0.98,
    )  # fmt: skip
    azimuth = np.arctan2(p[:, 0, 1], p[:, 0, 0])
    assert p_value(np.histogram(azimuth, 20, (-math.pi, math.pi))[0], np.ones(20)) > LEVEL


@pytest.mark.parametrize("name", SHIPPED)
def test_four_momentum_is_conserved(name):
    """To 1e-9 GeV; all on their mass shells; the electrons of the beams along them, the pair without pT."""
    particles = events_of(shipped(name), n=5000)
    p = cm_momenta(particles).reshape(-1, 4, 4)
    assert np.abs(p.sum(axis=1) - [0, 0, 0, SQRT_S]).max() < 1e-9
    masses = np.array([MASSES[SHIPPED[name]], MASSES[SHIPPED[name]], ELECTRON_GEV, ELECTRON_GEV])
    assert np.allclose(p[..., 3] ** 2 - (p[..., :3] ** 2).sum(axis=2), masses**2, atol=1e-9 * S)
    assert np.abs(p[:, 2:, :2]).max() < 1e-9
    codes = {"e": 11, "mu": 13, "pi": -211}
    expected = [codes[SHIPPED[name]], -codes[SHIPPED[name]], 11, -11]
    assert np.all(particles.pdg.reshape(-1, 4) == expected)
    assert np.all(p[:, 2, 2] > 0)
    assert np.all(p[:, 3, 2] < 0)
