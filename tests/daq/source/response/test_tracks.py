"""Tracks: the covariance is that of the errors, at the perigee and at a vertex."""

import math

import numpy as np
import pytest
from scipy import stats

from daq.source.detector import DIAGONAL
from daq.source.helix import ecl_entry, perigee
from daq.source.response.tracks import entry_of, path_of
from tests.daq.source.guns import N, owner, shoot
from tests.daq.source.response.helices import HELIX, covariances, fit_vertices, k_short_pairs, mass_at

VERTICES = [(0.0, 0.0, 0.0), (1.0, -0.5, 2.0), (5.0, 3.0, -4.0), (15.0, 8.0, 5.0)]


def residuals(batch, particles, charge: int):
    """Return measured minus true helix of the tracks: (n, 5)."""
    rows = owner(batch, "tracks")
    columns = (getattr(particles, name)[rows] for name in ("x", "y", "z", "px", "py", "pz"))
    true = np.array([perigee(*values, charge) for values in zip(*columns, strict=True)])
    measured = np.stack([batch[f"tracks.{name}"].astype(float) for name in HELIX], axis=1)
    difference = measured - true
    difference[:, 1] = np.arctan2(np.sin(difference[:, 1]), np.cos(difference[:, 1]))
    return difference


@pytest.mark.parametrize("vertex", VERTICES)
@pytest.mark.parametrize(("momentum", "theta"), [(0.4, 75.0), (2.0, 40.0), (5.0, 120.0)])
def test_pulls_are_normal_and_uncorrelated(vertex, momentum, theta):
    """Each pull has mean 0 and width 1; with all correlations the squared distance is chi-square of 5."""
    batch, particles = shoot(-13, momentum, theta, mass=0.10566, vertex=vertex)
    difference, cov = residuals(batch, particles, 1), covariances(batch)
    n = len(difference)
    assert n > 0.5 * N
    pulls = difference / np.sqrt(batch["tracks.cov"][:, DIAGONAL])
    assert np.all(np.abs(pulls.mean(axis=0)) < 5 / math.sqrt(n))
    assert np.all(np.abs(pulls.std(axis=0) - 1) < 5 / math.sqrt(2 * n))
    scale = np.sqrt(np.einsum("ni,nj->nij", *2 * [batch["tracks.cov"][:, DIAGONAL].astype(float)]))
    squares = np.einsum("ni,ni->n", pulls, np.linalg.solve(cov / scale, pulls[..., None])[..., 0])
    assert stats.kstest(squares, stats.chi2(5).cdf).pvalue > 1e-4
    sampled, promised = np.corrcoef(pulls.T), (cov / scale).mean(axis=0)
    assert np.all(np.abs(sampled - promised) < 6 / math.sqrt(n))


def test_errors_of_prompt_tracks_are_the_quoted_ones():
    """sigma(pT)/pT = 0.0011 pT + 0.003/beta and sigma(d0) = 10 um + 15 um/(p sin^1.5), in quadrature."""
    for momentum, theta in ((0.5, 90.0), (2.0, 60.0), (4.0, 30.0)):
        batch, _ = shoot(-13, momentum, theta, mass=0.10566)
        sine = math.sin(math.radians(theta))
        beta = momentum / math.hypot(momentum, 0.10566)
        pt = 1 / (222.376 * np.abs(batch["tracks.omega_per_cm"].astype(float)))
        relative = math.hypot(0.0011 * momentum * sine, 0.0030 / beta)
        assert abs((pt / (momentum * sine) - 1).std() / relative - 1) < 0.1
        d0 = math.hypot(0.0010, 0.0015 / (momentum * sine**1.5))
        assert abs(batch["tracks.d0_cm"].std() / d0 - 1) < 0.1


def test_displaced_tracks_are_correlated():
    """Of a particle that begins at 20 cm, the error of the direction is most of that of the impact parameter."""
    batch, _ = shoot(-13, 1.0, 80.0, mass=0.10566, vertex=(20.0, 0.0, 0.0))
    cov = covariances(batch)[np.abs(batch["tracks.phi0"]) < 0.3]  # those that fly outwards
    correlation = cov[:, 0, 1] / np.sqrt(cov[:, 0, 0] * cov[:, 1, 1])
    assert np.median(correlation) > 0.5
    assert np.median(np.sqrt(cov[:, 0, 0] / cov[:, 1, 1])) > 15


@pytest.mark.parametrize("flight_cm", [0.0, 2.0, 8.0, 25.0])
def test_vertex_fits_have_unit_pulls(flight_cm):
    """Two pions of a K0S: a least-squares vertex with their covariances has pulls of width 1 and chi-square of 1."""
    batch, true = k_short_pairs(flight_cm, n=3000)
    vertex, errors, chi2 = fit_vertices(batch, true)
    pulls = (vertex - true) / errors
    n = len(pulls)
    assert n > 500
    assert np.all(np.abs(pulls.mean(axis=0)) < 5 / math.sqrt(n))
    assert np.all(np.abs(pulls.std(axis=0) - 1) < 5 / math.sqrt(2 * n))
    assert stats.kstest(chi2, stats.chi2(1).cdf).pvalue > 1e-4


def test_k_short_mass_peak():
    """The pair mass at the vertex peaks at the K0S mass, with the width that the errors of the tracks give."""
    batch, true = k_short_pairs(2.0, n=4000)
    mass = mass_at(batch, true)
    low, middle, high = np.quantile(mass, [0.16, 0.5, 0.84])
    assert abs(middle - 0.497611) < 3e-4
    assert 1.0e-3 < 0.5 * (high - low) < 5e-3


def test_efficiency_rises_with_momentum_and_falls_outwards():
    """Of soft pions about half are found at 90 MeV, of hard ones 0.95; few layers cost a little."""

    def share(momentum, theta, **rest):
        return shoot(211, momentum, theta, mass=0.13957, **rest)[0]["tracks.offsets"][-1] / N

    soft = [share(p, 90.0) for p in (0.04, 0.09, 0.15, 0.5)]
    assert soft[0] == 0
    assert 0.3 < soft[1] < 0.7
    assert soft == sorted(soft)
    assert abs(soft[3] - 0.95) < 0.02
    assert 0.75 < share(1.0, 18.0) < 0.93
    assert abs(share(1.0, 80.0, vertex=(30.0, 0.0, 0.0)) / 0.95 - math.exp(-0.5 * 0.25)) < 0.03


def test_paths_are_those_of_the_helix():
    """The quick formulas of the response agree with `daq.source.helix` to a tenth of a micrometre."""
    surface = (125.0, -102.0, 196.0)
    random = np.random.default_rng(1)
    for _ in range(2000):
        x, y, z, px, py, pz = random.normal(size=6) * (3, 3, 5, 1, 1, 1)
        charge = 1 if random.random() < 0.5 else -1
        path = path_of(x, y, z, px, py, pz, math.hypot(px, py), charge)
        d0, phi0, omega, z0, tan_lambda = perigee(x, y, z, px, py, pz, charge)
        assert np.allclose(
            (path.d0, path.cosine, path.sine, path.omega, path.z0, path.tan_lambda),
            (d0, math.cos(phi0), math.sin(phi0), omega, z0, tan_lambda),
            rtol=1e-7,
            atol=1e-5,
        )
        quick = entry_of(path.d0, path.cosine, path.sine, omega, path.z0, tan_lambda, surface)
        plain = ecl_entry(d0, phi0, omega, z0, tan_lambda, surface)
        assert quick[0] == plain[0]
        assert not quick[0] or np.allclose(quick, plain, rtol=1e-6, atol=1e-4)
