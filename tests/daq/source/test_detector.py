"""The response: what it measures is the particle, within the errors that it quotes."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daq.event import EventBatch
from daq.source.detector import respond
from daq.source.particles import Particles
from tests.daq.source.guns import EMPTY, N, owner, shoot


def photons(batch: EventBatch, energy: float):
    """Select clusters that no track points at, with half of the energy at least: no conversions and no split-offs."""
    return ~batch["clusters.is_track"] & (batch["clusters.energy_gev"] > 0.5 * energy)


@pytest.mark.parametrize(("energy", "resolution"), [(0.65, 0.029), (1.0, 0.023), (2.0, 0.018), (5.0, 0.016)])
def test_photon_energy_resolution(energy, resolution):
    """The quoted resolution as half the width of the central 68 %, and a tail to low energy."""
    batch, _ = shoot(22, energy, 80.0)
    ratio = batch["clusters.energy_gev"][photons(batch, energy)] / energy
    low, middle, high = np.quantile(ratio, [0.16, 0.5, 0.84])
    assert abs(0.5 * (high - low) / resolution - 1) < 0.15
    assert abs(middle - 1) < 0.01
    if energy > 1:  # below, noise covers the leakage
        assert (ratio < 1 - 3 * resolution).sum() > 2 * (ratio > 1 + 3 * resolution).sum()


def test_photon_direction_resolution():
    """5 mrad in both angles, unbiased."""
    batch, particles = shoot(22, 2.0, 70.0, response=EMPTY)
    chosen = photons(batch, 2.0)
    rows = owner(batch, "clusters")[chosen]
    theta = batch["clusters.theta"][chosen] - math.radians(70)
    phi = batch["clusters.phi"][chosen] - np.arctan2(particles.py, particles.px)[rows]
    phi = np.sin(70 * math.pi / 180) * np.arctan2(np.sin(phi), np.cos(phi))
    for difference in (theta, phi):
        assert abs(difference.mean()) < 5e-3 * 4 / math.sqrt(N)
        assert abs(difference.std() / 5e-3 - 1) < 0.1


def test_photon_efficiency_and_acceptance():
    """A plateau of 0.97 on crystals, nothing in the gaps and beyond the ends, a turn-on at low energy."""

    def share(energy, theta):
        batch, _ = shoot(22, energy, theta, response=EMPTY)
        return np.count_nonzero(photons(batch, energy)) / N

    assert abs(share(1.0, 90.0) - 0.97) < 0.01
    for theta in (10.0, 31.8, 129.5, 157.0):
        assert share(1.0, theta) == 0
    assert share(0.03, 90.0) < share(0.06, 90.0) < share(0.3, 90.0)


def test_crack_at_90_degrees_in_the_cm():
    """cos(theta) = 0.2725 in the lab is 90 degrees in the CM: most photons are lost there, and none beside it."""

    def share(theta):
        batch, _ = shoot(22, 2.0, theta, response=EMPTY)
        return np.count_nonzero(photons(batch, 2.0)) / N

    crack = math.degrees(math.acos(0.2725))
    assert share(crack) < 0.2
    assert min(share(crack - 0.3), share(crack + 0.3)) > 0.95


def test_showers_beside_a_gap_leak():
    """A photon 0.1 degrees from the end of the barrel loses a good part of its energy, in its middle nothing."""
    medians = {
        theta: np.median(shoot(22, 2.0, theta, response=EMPTY)[0]["clusters.energy_gev"]) for theta in (32.3, 60)
    }
    assert medians[32.3] < 0.8 * medians[60]
    assert abs(medians[60] / 2.0 - 1) < 0.01


def test_hadron_showers_split_off():
    """Pions leave a second cluster more often than muons, which do not shower; it has less than the first one."""
    for pdg, mass, low, high in ((211, 0.13957, 0.02, 0.08), (13, 0.10566, 0.0, 0.0)):
        batch, _ = shoot(pdg, 2.0, 60.0, mass=mass)
        assert low <= np.mean(np.diff(batch["clusters.offsets"]) > 1) <= high


def test_shower_shape_and_time():
    """2 % of photons look hadronic, most hadrons do; abs(time) exceeds dt99 in 1 % of clusters."""
    batch, _ = shoot(22, 1.0, 60.0, response=EMPTY, n=5 * N)
    chosen = photons(batch, 1.0)
    size = np.count_nonzero(chosen)
    assert abs(np.mean(batch["clusters.zernike_mva"][chosen] < 0.5) - 0.02) < 5 * math.sqrt(0.02 / size)
    late = np.abs(batch["clusters.time_ns"][chosen]) > batch["clusters.dt99_ns"][chosen]
    assert abs(late.mean() - 0.01) < 5 * math.sqrt(0.01 / size)
    assert np.mean(shoot(211, 1.0, 60.0, mass=0.13957)[0]["clusters.zernike_mva"] < 0.5) > 0.6


def test_neutral_clusters_have_no_track():
    """A photon in an event without tracks is never called a track."""
    assert not shoot(22, 2.0, 60.0, response=EMPTY)[0]["clusters.is_track"].any()


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
