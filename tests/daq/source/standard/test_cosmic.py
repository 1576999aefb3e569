"""Cosmic muons: two halves of one straight muon from above."""

import math

import numpy as np

from daq.source.kinematics import MUON_GEV
from tests.daq.source.compare import LEVEL, agrees, p_value
from tests.daq.source.standard.events import events_of, process

PARTICLES = events_of(process("cosmic", region_cm=[10.0, 30.0], energy_min_gev=1.0), n=100_000)
MOMENTA = np.stack([PARTICLES.px, PARTICLES.py, PARTICLES.pz], axis=1).reshape(-1, 2, 3)
VERTICES = np.stack([PARTICLES.x, PARTICLES.y, PARTICLES.z], axis=1).reshape(-1, 2, 3)
CODES = PARTICLES.pdg.reshape(-1, 2)


def test_two_halves_of_one_muon():
    """Back to back from one point, with opposite charges: the incoming half is a track that leaves the point."""
    assert np.array_equal(MOMENTA[:, 0], -MOMENTA[:, 1])
    assert np.array_equal(VERTICES[:, 0], VERTICES[:, 1])
    assert np.all(CODES[:, 0] == -CODES[:, 1])
    assert set(np.unique(CODES)) == {-13, 13}
    assert np.all(MOMENTA[:, 0, 1] < 0)
    energy = PARTICLES.energy.reshape(-1, 2)
    assert np.allclose(energy[:, 0] ** 2, (MOMENTA[:, 0] ** 2).sum(axis=1) + MUON_GEV**2)


def test_the_point_is_the_closest_to_the_beam_line():
    """Its radius is at a right angle to the transverse momentum; even in signed distance and in z."""
    transverse = MOMENTA[:, 0, :2]
    radius = VERTICES[:, 0, :2]
    assert np.abs((transverse * radius).sum(axis=1)).max() < 1e-9
    signed = (transverse[:, 0] * radius[:, 1] - transverse[:, 1] * radius[:, 0]) / np.linalg.norm(transverse, axis=1)
    assert agrees(signed, np.ones_like, -10, 10)
    assert agrees(VERTICES[:, 0, 2], np.ones_like, -30, 30)
    assert np.abs(signed).max() < 10
    assert np.abs(VERTICES[:, 0, 2]).max() < 30


def test_direction_and_momentum():
    """cos^2 of the zenith angle, weighted with the area that the direction sees; the spectrum; the share of mu+."""
    momentum = np.linalg.norm(MOMENTA[:, 0], axis=1)
    nx, ny, nz = (MOMENTA[:, 0] / momentum[:, None]).T
    seen = np.sqrt(1 - nz**2)
    # Undo the area: what is left is the flux.
    zenith = np.histogram(-ny, 20, (0, 1), weights=1 / seen)[0]
    errors = np.sqrt(np.histogram(-ny, 20, (0, 1), weights=1 / seen**2)[0])
    edges = np.linspace(0, 1, 21)
    expected = np.diff(edges**3)
    pulls = (zenith - expected * zenith.sum()) / np.maximum(errors, 1)
    assert (pulls**2).sum() < 20 + 4 * math.sqrt(40)
    sideways = nx * nz / seen
    assert abs(sideways.mean()) < 4 * sideways.std() / math.sqrt(nx.size)
    below = 1 - (3.0 / (momentum + 2.0)) ** 1.7  # the probability of less: even
    assert p_value(np.histogram(below, 20, (0, 1))[0], np.ones(20)) > LEVEL
    assert abs(np.mean(CODES[:, 0] == -13) - 0.56) < 4 * math.sqrt(0.56 * 0.44 / len(CODES))
