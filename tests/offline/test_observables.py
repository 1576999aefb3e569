"""Observables are what four-momenta say, and photons are what the cuts say."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose

from daq.event import EventBatch
from daq.settings import BeamSettings
from offline.observables import Frame, PhotonCuts, TrackCuts, observables, photon_columns, select
from tests.offline import toy

PHOTONS = PhotonCuts(energy_min_gev=0.1)
TRACKS = TrackCuts(d0_max_cm=2.0, z0_max_cm=5.0)


def lab_clusters(photons: np.ndarray) -> dict[str, np.ndarray]:
    """Return unsmeared clusters of (n, 3, 4) CM photons."""
    energy, *p = toy.FRAME.total
    lab = toy.boosted(photons.reshape(-1, 4), np.broadcast_to(np.array(p) / energy, (photons.shape[0] * 3, 3)))
    return {
        "energy_gev": lab[:, 0],
        "theta": np.arccos(lab[:, 3] / lab[:, 0]),
        "phi": np.arctan2(lab[:, 2], lab[:, 1]),
        "zernike_mva": np.ones(lab.shape[0]),
    }


def test_centre_of_mass_energy():
    """7.007 on 4.000 GeV at 83 mrad is the Upsilon(4S); with no crossing angle it is 4 E E."""
    assert Frame.of(BeamSettings()).sqrt_s_gev == pytest.approx(10.579, abs=1e-3)
    head_on = Frame.of(BeamSettings(electron_gev=8.0, positron_gev=3.5, crossing_mrad=0.0))
    assert head_on.s_gev2 == pytest.approx(4 * 8.0 * 3.5)


@pytest.mark.parametrize("mass_gev", [0.2, 3.0, 8.0])
def test_unsmeared_signal_is_at_its_mass_in_both_observables(mass_gev: float):
    """One pair and its recoil have the squared mass, and all three photons the squared CM energy."""
    photons = toy.signal(mass_gev, 500, np.random.default_rng(4))
    rows, columns = photon_columns(np.arange(0, 1501, 3), lab_clusters(photons), toy.FRAME)
    assert rows.size == 500
    for name in ("m2_gamma_gamma", "m2_recoil"):
        assert_allclose(np.abs(columns[name] - mass_gev**2).min(axis=1), 0.0, atol=1e-9 * toy.FRAME.s_gev2)
    assert_allclose(columns["m2_gamma_gamma"], columns["m2_recoil"], atol=1e-9 * toy.FRAME.s_gev2)
    assert_allclose(columns["mass_3gamma_gev"], toy.FRAME.sqrt_s_gev)


def test_order_of_clusters_does_not_matter():
    """Combinations are ordered by energy, not by place in the event."""
    rng = np.random.default_rng(5)
    clusters = lab_clusters(toy.background(50, rng))
    shuffled = np.concatenate([3 * event + rng.permutation(3) for event in range(50)])
    offsets = np.arange(0, 151, 3)
    _, one = photon_columns(offsets, clusters, toy.FRAME)
    _, other = photon_columns(offsets, {name: values[shuffled] for name, values in clusters.items()}, toy.FRAME)
    for name, values in one.items():
        assert_allclose(values, other[name])


def test_the_three_most_energetic_photons_are_used():
    """A soft fourth photon changes the count and nothing else."""
    clusters = lab_clusters(toy.background(1, np.random.default_rng(6)))
    extra = {"energy_gev": 0.12, "theta": 1.5, "phi": 0.3, "zernike_mva": 0.0}
    with_fourth = {name: np.append(values, extra[name]) for name, values in clusters.items()}
    _, one = photon_columns(np.array([0, 3]), clusters, toy.FRAME)
    _, other = photon_columns(np.array([0, 4]), with_fourth, toy.FRAME)
    for name, values in one.items():
        assert_allclose(values, other[name])


def four_clusters(**changes: list) -> pl.DataFrame:
    """Return one event with four photon clusters, between two empty events."""
    clusters = {
        "energy_gev": [5.0, 3.0, 2.0, 1.0],
        "theta": [0.8, 1.4, 1.8, 1.0],
        "phi": [0.0, 2.0, -2.0, 1.0],
        "time_ns": [0.0, 0.0, 0.0, 0.0],
        "dt99_ns": [10.0, 10.0, 10.0, 10.0],
        "zernike_mva": [0.9, 0.9, 0.9, 0.9],
        "is_track": [False] * 4,
        "has_photon_hypothesis": [True] * 4,
    } | changes
    batch = EventBatch(
        3,
        {
            "event": np.array([10, 11, 12]),
            "clusters.offsets": np.array([0, 0, 4, 4]),
            **{f"clusters.{name}": np.array(values) for name, values in clusters.items()},
            "tracks.offsets": np.array([0, 1, 3, 3]),
            "tracks.d0_cm": np.array([0.0, 0.5, 30.0]),
        },
    )
    frame = pl.from_arrow(batch.to_arrow())
    assert isinstance(frame, pl.DataFrame)
    return frame


@pytest.mark.parametrize(
    ("changes", "cuts", "photons"),
    [
        ({}, {}, 4),
        ({}, {"energy_min_gev": 1.5}, 3),
        ({}, {"theta_deg": (50.0, 180.0)}, 3),
        ({"is_track": [False, True, False, False]}, {}, 3),
        ({"has_photon_hypothesis": [True, True, True, False]}, {}, 3),
        ({"zernike_mva": [0.9, 0.1, 0.9, 0.9]}, {"zernike_mva_min": 0.5}, 3),
        ({"time_ns": [0.0, -25.0, 19.0, 0.0]}, {"time_dt99_max": 2.0}, 3),
    ],
)
def test_what_counts_as_a_photon(changes: dict, cuts: dict, photons: int):
    """Each cut takes away the cluster that breaks it; events with fewer than three photons have no row."""
    settings = PhotonCuts(**{"energy_min_gev": 0.1, **cuts})
    table = observables(four_clusters(**changes), settings, TRACKS, toy.FRAME)
    assert table["event"].to_list() == [11]
    assert table["n_photons"].to_list() == [photons]
    assert table["n_tracks"].to_list() == [1]  # the other one is far from the beam line


def test_fewer_than_three_photons_is_no_row():
    """An event that cannot be a candidate does not appear, so no cut ever sees a missing number."""
    table = observables(four_clusters(), PhotonCuts(energy_min_gev=2.5), TRACKS, toy.FRAME)
    assert table.height == 0


def test_selection_is_sql_on_the_columns():
    """All cuts must hold."""
    table = observables(four_clusters(), PHOTONS, TRACKS, toy.FRAME)
    assert select(table, ["n_photons = 4", "photon_energy_max_gev BETWEEN 4.9 AND 5.1"]).height == 1
    assert select(table, ["n_photons = 4", "n_tracks = 0"]).height == 0
