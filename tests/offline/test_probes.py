"""The photon that a pair recoils against is the photon that was there; objects of an event are the right ones."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from daq.event import EventBatch
from daq.jit import Array
from daq.settings import BeamSettings, HltSettings, L1Settings, RunSettings, SourceSettings
from daq.source.helix import perigee
from daq.source.kinematics import collision_frame
from daq.source.mix import MixSource
from daq.source.particles import Particles
from offline.probes import PREDICTED, TRUE, predicted_probes, true_probes

FRAME = collision_frame(BeamSettings())


def mu_pairs(n: int) -> Particles:
    """Return e+e- -> mu+ mu- (gamma) at particle level."""
    menus = {"l1": L1Settings(menu="physics"), "hlt": HltSettings(menu="physics")}
    source = SourceSettings(processes=("mu_pair",))
    return MixSource(RunSettings(name="t", events=n, source=source, **menus)).particles(0, n)


def perfect(particles: Particles) -> EventBatch:
    """Return the events with a track without errors for each muon, and a cluster for each photon."""
    n = len(particles)
    owner = np.repeat(np.arange(n), np.diff(particles.offsets))
    muons, photons = np.abs(particles.pdg) == 13, particles.pdg == 22
    columns = zip(particles.px[muons], particles.py[muons], particles.pz[muons], particles.pdg[muons], strict=True)
    helix = np.array([perigee(0.0, 0.0, 0.0, px, py, pz, -int(np.sign(pdg))) for px, py, pz, pdg in columns])
    momentum = np.stack([particles.px, particles.py, particles.pz])[:, photons]
    offsets = {
        f"{group}.offsets": np.concatenate([[0], np.cumsum(np.bincount(owner[chosen], minlength=n))])
        for group, chosen in (("tracks", muons), ("clusters", photons))
    }
    return EventBatch(
        n,
        {
            **offsets,
            "tracks.charge": np.sign(helix[:, 2]),
            "tracks.phi0": helix[:, 1],
            "tracks.omega_per_cm": helix[:, 2],
            "tracks.tan_lambda": helix[:, 4],
            "tracks.pid_mu": np.full(len(helix), 0.9),
            "clusters.energy_gev": particles.energy[photons],
            "clusters.theta": np.arctan2(np.hypot(momentum[0], momentum[1]), momentum[2]),
            "clusters.phi": np.arctan2(momentum[1], momentum[0]),
        },
    )


def direction(table: dict[str, Array]) -> Array:
    """Return unit vectors toward the photons of a table."""
    theta, phi = np.radians(table["theta_deg"]), np.radians(table["phi_deg"])
    return np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)])


def test_the_recoil_of_a_perfect_pair_is_the_true_photon():
    """With one photon and no errors the prediction is the photon, and the recoil has no mass."""
    particles = mu_pairs(4000)
    photons = np.repeat(np.arange(4000), np.diff(particles.offsets))[particles.pdg == 22]
    particles = particles.take(np.flatnonzero(np.bincount(photons, minlength=4000) == 1))
    true, found = true_probes(particles, ("mu_pair",), FRAME), predicted_probes(perfect(particles), FRAME)
    hard = true["e_cm_gev"] > 0.2
    assert hard.sum() > 100
    assert_allclose(found["e_cm_gev"][hard], true["e_cm_gev"][hard], atol=2e-5)
    assert_allclose(found["e_lab_gev"][hard], true["e_lab_gev"][hard], atol=3e-5)
    assert_allclose(direction(found)[:, hard], direction(true)[:, hard], atol=2e-4)
    assert_allclose(found["recoil_m2_gev2"][hard], 0, atol=1e-3)
    assert found["found"][hard].all()
    assert_allclose(found["found_e_cm_gev"][hard], true["e_cm_gev"][hard], rtol=1e-4)
    assert_array_equal(found["other_e_cm_gev"][hard], 0)
    assert_allclose(found["pt_gev"], true["pt_gev"], rtol=1e-5)
    assert_allclose(found["track_theta_deg"], true["track_theta_deg"], atol=1e-3)
    assert set(true) == set(TRUE)
    assert set(found) == set(PREDICTED)


def test_true_objects_of_an_event():
    """The photon of most CM energy, the charged particle of most pt, the farthest vertex; NaN where there is none."""
    particles = Particles.build(
        np.array([0, 5, 6]),
        pdg=np.array([22, 22, -211, 13, 12, 2112]),
        px=np.array([0.0, 2.0, 0.3, 0.0, 5.0, 1.0]),
        py=np.array([1.0, 0.0, 0.0, -0.5, 0.0, 0.0]),
        pz=np.array([0.0, 0.0, 0.0, 0.5, 0.0, 0.0]),
        energy=np.array([1.0, 2.0, 0.331, 0.715, 5.0, 1.4]),
        x=np.array([0.0, 0.0, 3.0, 0.0, 50.0, 0.0]),
        y=np.array([0.0, 0.0, 4.0, 0.0, 0.0, 0.0]),
    )
    found = true_probes(particles, ("toy",), FRAME)
    assert_allclose(found["e_lab_gev"], [2.0, np.nan])
    assert_allclose(found["theta_deg"], [90.0, np.nan])
    assert_allclose(found["phi_deg"], [0.0, np.nan])
    assert_allclose(found["other_e_cm_gev"], [FRAME.to_cm[3] @ [0, 1, 0, 1], 0.0])
    assert_allclose(found["pt_gev"], [0.5, np.nan])
    assert_allclose(found["track_theta_deg"], [45.0, np.nan])
    assert_allclose(found["radius_cm"], [5.0, np.nan])
    assert_allclose(found["isolation_deg"], [0.0, 180.0])  # the pion flies with the photon
    assert_array_equal(found["n_photons"], [2, 0])
    assert_array_equal(found["n_charged"], [2, 0])
    assert list(found["process"]) == ["toy", "toy"]


@pytest.mark.parametrize("charges", [[], [1], [1, 1], [1, 0], [1, -1, 1]])
def test_without_a_pair_there_is_no_prediction(charges):
    """Only two tracks of opposite charge predict a photon; what else is known of the event stays known."""
    n = len(charges)
    batch = EventBatch(
        1,
        {
            "tracks.offsets": np.array([0, n]),
            "tracks.charge": np.array(charges),
            "tracks.omega_per_cm": 0.004 * np.array(charges),
            "tracks.tan_lambda": np.zeros(n),
            "clusters.offsets": np.array([0, 1]),
            "clusters.energy_gev": np.array([1.0]),
            "clusters.theta": np.array([1.5]),
        },
    )
    found = predicted_probes(batch, FRAME)
    assert np.isnan(found["e_cm_gev"][0])
    assert not found["found"][0]
    assert found["n_tracks"][0] == n
    assert found["other_e_lab_gev"][0] == 1.0
    assert np.isnan(found["pt_gev"][0]) == (n == 0)


def test_other_clusters_are_all_but_the_one_that_was_found():
    """A cluster of a track is never the photon; the nearest of the rest is, if it is near."""
    particles = mu_pairs(2000)
    true = true_probes(particles, ("mu_pair",), FRAME)
    row = np.flatnonzero((true["e_cm_gev"] > 1) & (true["other_e_cm_gev"] == 0) & (true["theta_deg"] > 20))[:1]
    one = perfect(particles).take(row)
    theta, phi = one["clusters.theta"][0], one["clusters.phi"][0]
    tracks = {name: array for name, array in one.arrays().items() if name.startswith("tracks.")}
    clusters = {
        "clusters.offsets": np.array([0, 4]),
        "clusters.energy_gev": np.array([0.9, 0.5, 0.4, 0.2]),
        "clusters.theta": np.array([theta, theta + 0.1, theta + 0.05, theta]),
        "clusters.phi": np.array([phi, phi, phi, phi + 1.0]),
        "clusters.is_track": np.array([True, False, False, False]),
    }
    found = predicted_probes(EventBatch(1, tracks | clusters), FRAME)
    toward = direction({"theta_deg": np.degrees(np.array([theta + 0.05])), "phi_deg": np.degrees(np.array([phi]))})
    assert found["found"][0]
    assert found["found_e_cm_gev"][0] == pytest.approx(0.4 * (FRAME.to_cm[3] @ [*toward[:, 0], 1.0]), rel=1e-5)
    assert found["other_e_lab_gev"][0] == pytest.approx(0.9)
    assert found["isolation_deg"][0] == pytest.approx(0.0, abs=0.2)  # the cluster of the track lies on the prediction
