"""e+e- -> e+e- gamma with lost electrons: rates and shapes against weighted events of an independent calculation."""

import math

import numpy as np

from daq.source.kinematics import ALPHA, ELECTRON_GEV, GEV2_NB
from tests.daq.source.standard.events import FRAME, S, cm_momenta, events_of, shipped

SQRT_S, LOST, EDGE, LEAST = FRAME.sqrt_s_gev, math.radians(15), math.cos(math.radians(15)), 0.2


def weighted(n: int = 3_000_000):
    """Return cosine and energy of the photon, cosine of the electron in the CM, weight [nb]; the positron is lost."""
    rng = np.random.default_rng(23)
    rapidity = math.atanh(EDGE)
    range_log = -math.log(2 * LEAST / SQRT_S / (1 + math.exp(2 * rapidity)))
    log_y, eta = -range_log * rng.random(n), rapidity * (2 * rng.random(n) - 1)
    y = np.exp(log_y)
    lowest = ELECTRON_GEV**2 * y**2 / (1 - y)
    highest = np.minimum(y * S / 4, S * (1 - y) * math.sin(LOST / 2) ** 2)
    spectrum = (1 + (1 - y) ** 2) * np.log(np.maximum(highest / lowest, 1))
    spectrum -= 2 * ELECTRON_GEV**2 * y**2 * (1 / lowest - 1 / highest)
    flux = np.where(highest > lowest, np.maximum(ALPHA / (2 * math.pi) * spectrum, 0), 0)
    t = eta + log_y / 2  # rapidity of the photon where electron and virtual photon meet
    c = np.tanh(t)
    density = math.pi * ALPHA**2 / (y * S) * ((1 - c) / 2 + 2 / (1 - c)) * (1 - c**2)
    energy = np.sqrt(y * S) / 2 / np.cosh(t) * np.cosh(eta)
    weight = 2 * range_log * 2 * rapidity * flux * density * (energy > LEAST) * GEV2_NB
    return np.tanh(eta), energy, np.tanh(-t - log_y / 2), weight


def test_shipped_cross_section():
    """The number of the file, and those of its source: with the electron seen, without, above 1 GeV."""
    _, energy, electron, weight = weighted()
    error = weight.std() / math.sqrt(weight.size)
    assert abs(weight.mean() - shipped("ee_gamma_lost").cross_section_nb) < 4 * error
    seen = np.abs(electron) < EDGE
    assert math.isclose((weight * seen).mean(), 5.8, abs_tol=0.05 + 4 * error)
    assert math.isclose((weight * ~seen).mean(), 28.6, abs_tol=0.05 + 4 * error)
    assert math.isclose((weight * (~seen & (energy > 1))).mean(), 7.7, abs_tol=0.05 + 4 * error)


def test_shapes():
    """Photon angle and energy, and the angle of the scattered electron; the other side mirrors it."""
    particles = events_of(shipped("ee_gamma_lost"), n=100_000)
    p = cm_momenta(particles).reshape(-1, 3, 4)
    side = np.where(particles.pdg.reshape(-1, 3)[:, 0] == 11, 1, -1)
    assert abs(side.mean()) < 4 / math.sqrt(side.size)
    cosine, energy = side * p[:, 2, 2] / p[:, 2, 3], p[:, 2, 3]
    electron = side * p[:, 0, 2] / np.linalg.norm(p[:, 0, :3], axis=1)
    their_cosine, their_energy, their_electron, weight = weighted()
    for values, theirs, edges in (
        (cosine, their_cosine, np.cos(np.radians(np.linspace(165, 15, 13)))),
        (energy, their_energy, np.array([0.2, 0.25, 0.3, 0.4, 0.5, 0.7, 1, 1.5, 2, 3, 4, 5, 6])),
        (electron, their_electron, np.cos(np.radians([180, 60, 40, 30, 25, 20, 15, 10, 7, 5, 3, 1]))),
    ):
        counts, expected = np.histogram(values, edges)[0], np.histogram(theirs, edges, weights=weight)[0]
        squares = np.histogram(theirs, edges, weights=weight**2)[0]
        scale = counts.sum() / expected.sum()
        pulls = (counts - scale * expected) / np.sqrt(scale * expected + scale**2 * squares)
        assert (pulls**2).sum() < len(counts) + 4 * math.sqrt(2 * len(counts))


def test_four_momentum_is_conserved():
    """To 1e-9 GeV; the spectator along its beam; the photon above its energy and inside of its angles."""
    particles = events_of(shipped("ee_gamma_lost"), n=20_000)
    p, codes = cm_momenta(particles).reshape(-1, 3, 4), particles.pdg.reshape(-1, 3)
    assert np.abs(p.sum(axis=1) - [0, 0, 0, SQRT_S]).max() < 1e-9
    masses = np.array([ELECTRON_GEV, ELECTRON_GEV, 0.0])
    assert np.allclose(p[..., 3] ** 2 - (p[..., :3] ** 2).sum(axis=2), masses**2, atol=1e-9 * S)
    assert np.all(codes[:, 2] == 22)
    assert np.all(codes[:, 0] + codes[:, 1] == 0)
    assert np.abs(p[:, 1, :2]).max() < 1e-9
    assert np.all(np.sign(p[:, 1, 2]) == np.sign(codes[:, 1]))  # an electron goes along +z, a positron along -z
    assert np.all(p[:, 2, 3] > LEAST * (1 - 1e-6))
    assert np.all(np.abs(p[:, 2, 2] / p[:, 2, 3]) < EDGE + 1e-6)
