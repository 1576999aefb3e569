"""Trigger primitives against the objects that they are made of."""

import math

import numpy as np
import pytest

from daq.event import EventBatch
from daq.source.front.cells import trigger_cells
from daq.source.front.numbers import OMEGA_STEP, PHI_STEP
from daq.source.helix import SEGMENT_STARTS, perigee, position
from daq.source.primitives import add_primitives

N = 3000


def with_clusters(energy, theta, phi, r=130.0, n: int = N) -> EventBatch:
    """Return n events of one cluster each."""
    columns = {"energy_gev": energy, "theta": theta, "phi": phi, "r_cm": r, "time_ns": 2.0}
    arrays = {f"clusters.{name}": np.broadcast_to(value, n) for name, value in columns.items()}
    return add_primitives(EventBatch(n, {"clusters.offsets": np.arange(n + 1), **arrays}), first_event=0, seed=1, run=1)


def with_tracks(pt: float, theta_deg: float, *, charge: int = 1, n: int = N, hits: int = 53, **rest) -> EventBatch:
    """Return n events of one track each, the azimuth stepping around."""
    phi = np.remainder(np.arange(n) * 2.4 + math.pi, 2 * math.pi) - math.pi
    columns = {
        "phi0": phi,
        "omega_per_cm": charge / (222.376 * pt),
        "tan_lambda": 1 / math.tan(math.radians(theta_deg)),
        "charge": charge,
        "n_cdc_hits": hits,
        **rest,
    }
    arrays = {f"tracks.{name}": np.broadcast_to(value, n) for name, value in columns.items()}
    batch = EventBatch(n, {"tracks.offsets": np.arange(n + 1), "tracks.clusters.offsets": np.zeros(n + 1), **arrays})
    return add_primitives(batch, first_event=0, seed=1, run=1)


def test_cells_share_the_energy_of_the_cluster():
    """Summed over its cells a 2 GeV cluster keeps its energy but for what is below threshold; ids rise."""
    phi = np.linspace(-math.pi, math.pi, N, endpoint=False)
    batch = with_clusters(2.0, np.linspace(0.7, 2.1, N), phi, 125 / np.sin(np.linspace(0.7, 2.1, N)))
    batch.check()
    event = np.repeat(np.arange(N), np.diff(batch["tc.offsets"]))
    sums = np.bincount(event, weights=batch["tc.energy_gev"], minlength=N)
    assert abs(np.mean(sums) / 2.0 - 1) < 0.04
    assert np.all(sums > 1.5)
    assert np.all(np.diff(batch["tc.id"].astype(int))[np.diff(event) == 0] > 0)
    assert batch["tc.energy_gev"].min() > 0.1
    assert abs(batch["tc.time_ns"].mean() - 2.0) < 0.2


@pytest.mark.parametrize("tc_id", [3, 81, 88, 300, 512, 540])
def test_most_energy_is_in_the_nearest_cell(tc_id):
    """A cluster at the centre of a cell gives it nearly all."""
    x, y, z = trigger_cells().positions[tc_id - 1]
    batch = with_clusters(3.0, math.atan2(math.hypot(x, y), z), math.atan2(y, x), math.hypot(x, y, z), n=200)
    event = np.repeat(np.arange(200), np.diff(batch["tc.offsets"]))
    largest = [batch["tc.id"][event == i][batch["tc.energy_gev"][event == i].argmax()] for i in range(200)]
    assert set(largest) == {tc_id}
    at_centre = batch["tc.energy_gev"][batch["tc.id"] == tc_id]
    assert 0.75 < at_centre.mean() / 3.0 < 1.0


def test_clusters_of_one_cell_add_up():
    """Two clusters of 80 MeV in one cell pass the threshold of 100 MeV that none passes alone."""
    x, y, z = trigger_cells().positions[299]
    place = {"theta": math.atan2(math.hypot(x, y), z), "phi": math.atan2(y, x), "r_cm": math.hypot(x, y, z)}
    for per_event, expected in ((1, 0.0), (2, 1.0)):
        columns = {**place, "energy_gev": 0.08, "time_ns": 0.0}
        arrays = {f"clusters.{name}": np.full(per_event * N, value) for name, value in columns.items()}
        offsets = per_event * np.arange(N + 1)
        batch = add_primitives(EventBatch(N, {"clusters.offsets": offsets, **arrays}), first_event=0, seed=1, run=1)
        assert abs(np.mean(np.diff(batch["tc.offsets"]) > 0) - expected) < 0.05


@pytest.mark.parametrize("charge", [-1, 1])
def test_2d_tracks_are_the_tracks_in_firmware_steps(charge):
    """Azimuth in steps of 1.125 deg, curvature in steps of which 34 are pT = 0.3 GeV; the sign is the charge."""
    assert math.isclose(34 * OMEGA_STEP, 1 / (222.376063 * 0.3), rel_tol=1e-6)
    batch = with_tracks(0.7, 80.0, charge=charge)
    found = np.diff(batch["trk2d.offsets"]) == 1
    assert found.mean() > 0.9
    difference = batch["trk2d.phi0"] - batch["tracks.phi0"][found]
    difference = np.arctan2(np.sin(difference), np.cos(difference))
    for name, value, step in (
        ("phi0", difference, PHI_STEP),
        ("omega", batch["trk2d.omega"] - charge / 155.663, OMEGA_STEP),
    ):
        steps = batch[f"trk2d.{name}"].astype(float) / step
        assert np.allclose(steps, np.rint(steps), atol=1e-3)
        # Rounded to steps after an error of 0.3 of a step in azimuth, of 0.6 in curvature.
        error = {"phi0": 0.3, "omega": 0.6}[name]
        assert abs(value.mean()) < 5 * step / math.sqrt(N) + (0.5 * step if name == "omega" else 0.0)
        assert abs(value.std() / step - math.hypot(error, math.sqrt(1 / 12))) < 0.15


def test_2d_finder_thresholds():
    """A turn-on at 0.3 GeV, nothing that leaves before the fourth axial superlayer, little from far off the beam."""
    share = {
        name: with_tracks(pt, theta, **rest)["trk2d.offsets"][-1] / N
        for name, pt, theta, rest in (
            ("prompt", 1.0, 80.0, {}),
            ("threshold", 0.3, 80.0, {}),
            ("soft", 0.25, 80.0, {}),
            ("forward", 1.0, 22.0, {}),
            ("displaced", 1.0, 80.0, {"d0_cm": 8.0}),
            ("no_hits", 1.0, 80.0, {"hits": 0}),
        )
    }
    assert share["prompt"] > 0.9
    assert 0.3 < share["threshold"] < 0.9
    assert share["soft"] == share["forward"] == share["no_hits"] == 0
    assert share["displaced"] < 0.05


def test_3d_tracks_measure_z():
    """Fitter and network agree with the track within their resolutions, the network better."""
    batch = with_tracks(1.0, 70.0, z0_cm=7.0)
    for group, z0_error, cot_error in (("trk3d", 8.0, 0.10), ("trknn", 3.0, 0.05)):
        assert batch[f"{group}.offsets"][-1] > 0.8 * N
        assert abs(batch[f"{group}.z0_cm"].mean() - 7.0) < 5 * z0_error / math.sqrt(N)
        assert abs(batch[f"{group}.z0_cm"].std() / z0_error - 1) < 0.1
        assert abs(batch[f"{group}.cot_theta"].std() / cot_error - 1) < 0.1


def test_segments_lie_on_the_helix():
    """Rising ids; in axial superlayers the azimuth of the id is that of the track at the middle radius."""
    batch = with_tracks(0.6, 80.0, charge=-1)
    offsets, segments = batch["segments.offsets"], batch["segments"].astype(int)
    assert segments.max() < 2336
    assert np.mean(np.diff(offsets)) > 8
    inside = np.ones(segments.size - 1, dtype=bool)
    inside[offsets[1:-1] - 1] = False
    assert np.all(np.diff(segments)[inside] > 0)
    event = np.repeat(np.arange(N), np.diff(offsets))
    for layer, radius in ((0, 20.3), (4, 62.9), (8, 106.6)):
        here = (segments >= SEGMENT_STARTS[layer]) & (segments < SEGMENT_STARTS[layer + 1])
        size = SEGMENT_STARTS[layer + 1] - SEGMENT_STARTS[layer]
        azimuth = (segments[here] - SEGMENT_STARTS[layer] + 0.5) / size * 2 * math.pi
        # Half the chord subtends asin(radius / (2 R)): the turn of a track from the beam line.
        expected = batch["tracks.phi0"][event[here]] - np.arcsin(0.5 * radius * batch["tracks.omega_per_cm"][0])
        away = np.abs(np.remainder(azimuth - expected + math.pi, 2 * math.pi) - math.pi)
        assert away.max() <= math.pi / size * 1.01


def test_displaced_tracks_have_no_inner_segments():
    """A track with 20 hits begins outside: its segments are in the outer superlayers."""
    inner = SEGMENT_STARTS[4]
    assert np.all(with_tracks(1.0, 80.0, hits=20)["segments"] >= inner)
    assert np.any(with_tracks(1.0, 80.0, hits=53)["segments"] < inner)


@pytest.mark.parametrize("theta_deg", [30.0, 60.0, 100.0, 140.0])
def test_klm_sector_is_where_the_track_points(theta_deg):
    """One bit of the right half, at the azimuth of the track; too few layers fire nothing."""
    batch = with_tracks(2.0, theta_deg, klm_layers=10)
    assert not with_tracks(2.0, theta_deg, klm_layers=2)["klm_track_sectors"].any()
    masks = {name: batch[name] for name in ("bklm_mask_fwd", "bklm_mask_bwd", "eklm_mask_fwd", "eklm_mask_bwd")}
    fired = max(masks, key=lambda name: np.count_nonzero(masks[name]))
    assert np.all(masks[fired] > 0)
    assert (
        fired
        == {30.0: "eklm_mask_fwd", 60.0: "bklm_mask_fwd", 100.0: "bklm_mask_bwd", 140.0: "eklm_mask_bwd"}[theta_deg]
    )
    sector = np.log2(masks[fired]).astype(int)
    assert np.array_equal(sector, batch["klm_track_sectors"])
    if fired.startswith("b"):
        track = perigee(0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 1)
        turn = math.atan2(*position(*track, 200.0)[1::-1])
        away = np.remainder(batch["tracks.phi0"] + turn - sector * math.pi / 4 + math.pi, 2 * math.pi) - math.pi
        assert np.abs(away).max() < math.pi / 8 + 0.02


def test_event_time_needs_a_segment():
    """cdc_t0 is 0 exactly where the CDC saw nothing."""
    assert np.all(with_tracks(1.0, 80.0)["cdc_t0"] != 0)
    assert not with_clusters(1.0, 1.5, 0.3)["cdc_t0"].any()
