"""The response: what it measures is the particle, within the errors that it quotes."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daq.event import EventBatch
from daq.source.detector import DIAGONAL, respond
from daq.source.helix import perigee
from daq.source.particles import Particles

N = 4000


def shoot(pdg: int, momentum: float, theta_deg, *, mass: float = 0.0, n: int = N, vertex=(0.0, 0.0, 0.0)):
    """Return (batch, particles) of n events of one particle; the azimuth steps around."""
    theta = np.radians(np.broadcast_to(theta_deg, n))
    phi = np.arange(n) * 2.4
    p = np.broadcast_to(momentum, n)
    particles = Particles.build(
        np.arange(n + 1),
        pdg=np.full(n, pdg),
        px=p * np.sin(theta) * np.cos(phi),
        py=p * np.sin(theta) * np.sin(phi),
        pz=p * np.cos(theta),
        energy=np.hypot(p, mass),
        **{axis: np.full(n, value) for axis, value in zip("xyz", vertex, strict=True)},
    )
    batch = EventBatch(n, respond(particles, first_event=0, seed=3, run=1))
    return batch, particles


def owner(batch: EventBatch, group: str):
    return np.repeat(np.arange(len(batch)), np.diff(batch[f"{group}.offsets"]))


@pytest.mark.parametrize(("energy", "resolution"), [(0.65, 0.029), (1.0, 0.023), (2.0, 0.018), (5.0, 0.016)])
def test_photon_energy_resolution(energy, resolution):
    """The quoted resolution as half the width of the central 68 %, and a tail to low energy."""
    batch, _ = shoot(22, energy, 80.0)
    low, middle, high = np.quantile(batch["clusters.energy_gev"] / energy, [0.16, 0.5, 0.84])
    assert abs(0.5 * (high - low) / resolution - 1) < 0.15
    assert abs(middle - 1) < 0.01
    if energy > 1:  # below, noise covers the leakage
        ratio = batch["clusters.energy_gev"] / energy
        assert (ratio < 1 - 3 * resolution).sum() > 2 * (ratio > 1 + 3 * resolution).sum()


def test_photon_direction_resolution():
    """5 mrad in both angles, unbiased."""
    batch, particles = shoot(22, 2.0, 70.0)
    rows = owner(batch, "clusters")
    theta = batch["clusters.theta"] - math.radians(70)
    phi = batch["clusters.phi"] - np.arctan2(particles.py, particles.px)[rows]
    phi = np.sin(70 * math.pi / 180) * np.arctan2(np.sin(phi), np.cos(phi))
    for difference in (theta, phi):
        assert abs(difference.mean()) < 5e-3 * 4 / math.sqrt(N)
        assert abs(difference.std() / 5e-3 - 1) < 0.1


def test_photon_efficiency_and_acceptance():
    """A plateau of 0.97 on crystals, nothing in the gaps and beyond the ends, a turn-on at low energy."""

    def share(energy, theta):
        return shoot(22, energy, theta)[0]["clusters.offsets"][-1] / N

    assert abs(share(1.0, 90.0) - 0.97) < 0.01
    for theta in (10.0, 31.8, 129.5, 157.0):
        assert share(1.0, theta) == 0
    assert share(0.015, 90.0) < share(0.04, 90.0) < share(0.3, 90.0)


@pytest.mark.parametrize("vertex", [(0.0, 0.0, 0.0), (1.0, -0.5, 2.0), (15.0, 8.0, 5.0)])
@pytest.mark.parametrize("momentum", [0.4, 2.0])
def test_track_pulls_are_normal(vertex, momentum):
    """(measured - true) / error of the five parameters has mean 0 and width 1, also for displaced tracks."""
    batch, particles = shoot(-13, momentum, 75.0, mass=0.10566, vertex=vertex)
    rows = owner(batch, "tracks")
    assert rows.size > 0.5 * N
    columns = (getattr(particles, name)[rows] for name in ("x", "y", "z", "px", "py", "pz"))
    true = np.array([perigee(*values, 1) for values in zip(*columns, strict=True)])
    names = ("d0_cm", "phi0", "omega_per_cm", "z0_cm", "tan_lambda")
    measured = np.stack([batch[f"tracks.{name}"].astype(float) for name in names], axis=1)
    difference = measured - true
    difference[:, 1] = np.arctan2(np.sin(difference[:, 1]), np.cos(difference[:, 1]))
    pulls = difference / np.sqrt(batch["tracks.cov"][:, DIAGONAL])
    assert np.all(np.abs(pulls.mean(axis=0)) < 5 / math.sqrt(rows.size))
    assert np.all(np.abs(pulls.std(axis=0) - 1) < 5 / math.sqrt(2 * rows.size))
    assert np.all(batch["tracks.charge"] == 1)


def test_momentum_resolution():
    """sigma(pT)/pT = 0.0011 pT + 0.003/beta in quadrature: 0.37 % at 2 GeV."""
    batch, _ = shoot(-13, 2.0, 90.0, mass=0.10566)
    pt = 1 / (222.376 * np.abs(batch["tracks.omega_per_cm"]))
    assert abs((pt / 2.0 - 1).std() / math.hypot(0.0022, 0.003) - 1) < 0.1


def test_tracking_acceptance_and_displacement():
    """0.95 at 17-150 deg; falls with the distance of the vertex, but reaches to tens of centimetres."""

    def share(theta, rho):
        return shoot(211, 1.0, theta, mass=0.13957, vertex=(rho, 0.0, 0.0))[0]["tracks.offsets"][-1] / N

    assert abs(share(60.0, 0.0) - 0.95) < 0.015
    assert share(16.0, 0.0) == 0
    assert share(151.0, 0.0) == 0
    near, middle, far = share(80.0, 1.0), share(80.0, 30.0), share(80.0, 70.0)
    assert near > middle > far > 0.1
    assert share(80.0, 105.0) == 0


def test_clusters_point_back_to_their_tracks():
    """A muon leaves about 0.2 GeV where its helix enters, an electron its energy; both clusters know their track."""
    for pdg, mass, energy in ((13, 0.10566, 0.2), (11, 0.511e-3, 2.0)):
        batch, _ = shoot(pdg, 2.0, 60.0, mass=mass)
        assert abs(np.median(batch["clusters.energy_gev"]) / energy - 1) < 0.08
        assert batch["clusters.is_track"].mean() > 0.93  # the rest: the track was lost
        matched = np.diff(batch["tracks.clusters.offsets"])
        assert matched.mean() > 0.95
        assert not batch["tracks.clusters"].any()


def test_neutral_clusters_have_no_track():
    """A photon in an event without tracks is never called a track."""
    assert not shoot(22, 2.0, 60.0)[0]["clusters.is_track"].any()


def test_two_photons_in_a_hundred_fail_the_shower_shape():
    """The single-photon lines ask for a shape above 0.5, which costs 2 % of the photons; other deposits mostly fail."""
    batch, _ = shoot(22, 2.0, 60.0, n=20_000)
    assert abs((batch["clusters.zernike_mva"] < 0.5).mean() - 0.02) < 0.004
    assert (shoot(130, 2.0, 60.0, mass=0.4976)[0]["clusters.zernike_mva"] < 0.5).mean() > 0.6


def test_close_photons_merge():
    """Two photons 10 mrad apart are one cluster of their summed energy, 200 mrad apart two."""
    for angle, clusters in ((0.01, 1), (0.2, 2)):
        theta = np.tile([1.3, 1.3 + angle], N)
        particles = Particles.build(
            2 * np.arange(N + 1), pdg=np.full(2 * N, 22), px=np.sin(theta), pz=np.cos(theta), energy=np.ones(2 * N)
        )
        batch = EventBatch(N, respond(particles, first_event=0, seed=1, run=1))
        counts = np.diff(batch["clusters.offsets"])
        assert np.bincount(counts).argmax() == clusters
        assert (
            abs(np.median(batch["clusters.energy_gev"][np.repeat(counts, counts) == clusters]) * clusters / 2 - 1)
            < 0.01
        )


def test_identification_efficiencies():
    """Muons are called muons at 90 %, pions at 7 %; the likelihoods sum to 1."""
    for pdg, mass, share in ((13, 0.10566, 0.90), (211, 0.13957, 0.07)):
        batch, _ = shoot(pdg, 2.0, 60.0, mass=mass)
        likelihoods = np.stack([batch[f"tracks.pid_{name}"] for name in ("e", "mu", "pi", "k", "p")])
        assert np.allclose(likelihoods.sum(axis=0), 1, atol=1e-6)
        assert abs((likelihoods.argmax(axis=0) == 1).mean() - share) < 0.02


def test_klm_layers_need_momentum():
    """Muons reach the KLM from 0.6 GeV on, hadrons rarely."""
    layers = {p: shoot(13, p, 80.0, mass=0.10566)[0]["tracks.klm_layers"] for p in (0.5, 1.5)}
    assert not layers[0.5].any()
    assert np.median(layers[1.5]) >= 8
    assert (shoot(211, 1.5, 80.0, mass=0.13957)[0]["tracks.klm_layers"] > 0).mean() < 0.1


@pytest.mark.parametrize("vertex", [(130.0, 0.0, 0.0), (0.0, 20.0, 210.0), (-10.0, 0.0, -120.0)])
def test_what_starts_behind_the_calorimeter_leaves_nothing(vertex):
    """Photons and muons from a vertex behind it, whatever their direction, also straight through the detector."""
    for pdg, mass in ((22, 0.0), (13, 0.1057)):
        batch, _ = shoot(pdg, 2.0, np.linspace(1, 179, N), mass=mass, vertex=vertex)
        assert batch["tracks.offsets"][-1] == batch["clusters.offsets"][-1] == 0


def test_neutrinos_leave_nothing():
    """Nor do particles that the response does not know."""
    for pdg in (12, -14, 16, 9900015):
        batch, _ = shoot(pdg, 2.0, 60.0, n=50)
        assert batch["clusters.offsets"][-1] == batch["tracks.offsets"][-1] == 0


@given(st.integers(0, 2**40), st.integers(1, 60), st.integers(0, 60))
def test_response_does_not_depend_on_the_block(first, count, split):
    """Two blocks, or one: the same objects, in the same order."""
    split = min(split, count)
    momenta = np.random.default_rng(count).normal(size=(3, 3 * count))
    particles = Particles.build(
        3 * np.arange(count + 1),
        pdg=np.tile([22, 211, -11], count),
        energy=np.sqrt((momenta**2).sum(axis=0) + 0.02),
        **dict(zip(("px", "py", "pz"), momenta, strict=True)),
    )
    whole = EventBatch(count, respond(particles, first_event=first, seed=4, run=1))
    parts = [
        EventBatch(rows.size, respond(particles.take(rows), first_event=first + int(start), seed=4, run=1))
        for start, rows in ((0, np.arange(split)), (split, np.arange(split, count)))
    ]
    for name, values in EventBatch.concatenate(parts).arrays().items():
        assert np.array_equal(values, whole[name]), name
