"""Corners of the GRL; `test_inputs` compares all its bits with the public simulation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daq.event import EventBatch
from daq.jit import Array
from tests.triggers.vectors import bits_of_event, ready_clusters
from triggers.ecl.cells import cells
from triggers.ecl.clusters import ClusterCuts
from triggers.ecl.ready import ReadyEcl, ready_words
from triggers.grl.azimuth import BINS_64_OF_36
from triggers.grl.matching import GrlCuts, azimuth_at, nearest_sector
from triggers.grl.short_tracks import short_tables


def event(**groups: dict[str, Any] | list[int]) -> EventBatch:
    """Return one event with tracks (fields by name) and segments."""
    arrays: dict[str, Array] = {}
    for group, content in groups.items():
        fields = {group: content} if isinstance(content, list) else {f"{group}.{k}": v for k, v in content.items()}
        arrays |= {name: np.array(values) for name, values in fields.items()}
        arrays[f"{group}.offsets"] = np.array([0, len(next(iter(fields.values())))])
    return EventBatch(1, arrays)


def clusters_on(cell_ids: list[int], energy_gev: float = 1.5) -> ReadyEcl:
    """Return clusters of one event in the middle of cells."""
    chosen = np.array(cell_ids, dtype=np.int64)
    x_cm, y_cm, z_cm = cells().xyz_cm[chosen].T
    places = {"x_cm": x_cm, "y_cm": y_cm, "z_cm": z_cm, "tc_id": chosen, "theta_id": cells().theta_id[chosen]}
    return ready_clusters(chosen.size, **places, energy_gev=np.full(chosen.size, energy_gev))


def bin_on(number: int) -> int:
    """Return the azimuth bin of a cell."""
    return int(ready_words(clusters_on([number]), ClusterCuts())[0].azimuth_bin[0])


def test_empty_event_has_one_bit():
    """Nothing is there, so no short track points to the KLM, and that is a bit."""
    bits, malformed = bits_of_event({})
    assert [name for name, fired in bits.items() if fired] == ["seklm_0"]
    assert not malformed


def test_soft_track_matches_at_azimuth_0():
    """A track too soft to reach the ECL stands in bin 0: it matches a cluster there, and makes no pair."""
    at_0 = 81 + 7  # a barrel cell in the first 10 degrees
    assert bin_on(at_0) == 0
    bits, _ = bits_of_event(event(trk2d={"phi0": [3.0], "omega": [0.02]}), ready=clusters_on([at_0]))
    assert bits["cdcecl_0"] and not bits["n1gev_0"] and not bits["p9"]
    opposite = 81 + 12 * 18 + 7
    bits, _ = bits_of_event(event(trk2d={"phi0": [0.01], "omega": [1e-5]}), ready=clusters_on([opposite]))
    assert bits["p3"] and not bits["cdcecl_0"]


@pytest.mark.parametrize(("energy_gev", "one", "two"), [(1.0, False, False), (2.0, True, False), (2.1, True, True)])
def test_thresholds_of_isolated_clusters_are_strict(energy_gev: float, one: bool, two: bool):
    """A cluster counts above 1 and 2 GeV, not at them; matched ones count from 2 GeV on."""
    bits, _ = bits_of_event({}, ready=clusters_on([300], energy_gev))
    assert (bits["n1gev_0"], bits["n2gev_0"]) == (one, two)
    phi0 = float(bin_on(300) * math.pi / 18.0 + 0.05)
    bits, _ = bits_of_event(event(trk2d={"phi0": [phi0], "omega": [1e-6]}), ready=clusters_on([300], energy_gev))
    assert bits["cdcecl_0"] and not bits["n1gev_0"]
    assert bits["c2gev_0"] == (energy_gev >= 2.0)


def test_a_klm_sector_serves_one_track():
    """Two tracks to one sector are one match, though another sector is in reach of both."""
    tracks = {"phi0": [math.radians(20.0), math.radians(21.0)], "omega": [1e-6, 1e-6]}
    arrays = event(trk2d=tracks).arrays() | {"bklm_mask_fwd": np.array([0b10]), "bklm_mask_bwd": np.array([0b01])}
    bits, _ = bits_of_event(EventBatch(1, arrays))
    assert bits["cdcklm_0"] and not bits["cdcklm_1"]
    arrays["trk2d.phi0"] = np.radians([20.0, 25.0])
    bits, _ = bits_of_event(EventBatch(1, arrays))
    assert bits["cdcklm_1"] and not bits["cdcklm_0"]


@given(st.floats(-20.0, 20.0), st.integers(0, 255))
def test_nearest_sector_is_the_nearest_in_reach(phi: float, fired: int):
    """No fired sector is nearer, and the one found is within 32.5 degrees; where none is found none is."""
    found = nearest_sector(phi, fired, GrlCuts())
    distances = {k: abs((math.degrees(phi) - 45.0 * k + 180.0) % 360.0 - 180.0) for k in range(8) if fired >> k & 1}
    nearest = min(distances.values(), default=math.inf)
    if found < 0:
        assert nearest > 32.5 - 1e-9
    else:
        assert distances[found] < nearest + 1e-9 and distances[found] < 32.5 + 1e-9


@given(st.floats(-6.0, 6.0), st.floats(1e-5, 0.0158))
def test_tracks_bend_by_their_charge(phi0: float, omega: float):
    """The helix from the beam line: the chord of a circle of radius 1/omega; the other charge bends the other way."""
    radius_cm = 126.0
    bend = azimuth_at(phi0, omega, radius_cm) - phi0
    assert math.isclose(2.0 / omega * math.sin(-bend), radius_cm, rel_tol=1e-6)
    assert math.isclose(azimuth_at(phi0, -omega, radius_cm) - phi0, -bend, abs_tol=1e-9)


def test_every_64_bin_is_in_a_36_bin_and_neighbours_share():
    """The map has no hole, and turns into itself by a quadrant."""
    sets = [int(some) for some in BINS_64_OF_36]
    union = 0
    for some in sets:
        union |= some
    assert union == 2**64 - 1
    assert [some << 16 for some in sets[:27]] == sets[9:]


def segments_of(bins: tuple[int, ...]) -> list[int]:
    """Return one segment in a 64-bin of each of the superlayers 0 to 4."""
    tables = short_tables()
    chosen = []
    for layer, number in enumerate(bins):
        wanted = tables.segment_bins == np.uint64(1 << number % 64)
        chosen.append(int(np.flatnonzero((tables.segment_layer == layer) & wanted)[0]))
    return chosen


@pytest.mark.parametrize("seed", [0, 3, 31, 62, 63])
def test_each_pattern_is_a_short_track_anywhere(seed: int):
    """All patterns are found at any azimuth; an earlier pattern can only take the same bins, so flags are its own."""
    tables = short_tables()
    for offsets, endcap in zip(tables.offsets.astype(int) - 5, tables.endcap, strict=True):
        bins = (seed + offsets[0], seed + offsets[1], seed, seed + offsets[2], seed + offsets[3])
        bits, malformed = bits_of_event(event(segments=segments_of(bins)))
        assert bits["ts_0"] and not malformed
        assert (bits["fwd_s"], bits["bwd_s"]) == (endcap > 0, endcap < 0)


def test_full_track_takes_its_segments_from_the_short_ones():
    """On the road of a full track there is no short track; inner tracks do not mind."""
    segments = segments_of((10, 10, 10, 10, 10))
    on_road = {"phi0": [10.5 * math.pi / 32.0], "omega": [1e-4]}
    elsewhere = {"phi0": [40.5 * math.pi / 32.0], "omega": [1e-4]}
    assert not bits_of_event(event(segments=segments, trk2d=on_road))[0]["ts_0"]
    assert bits_of_event(event(segments=segments, trk2d=elsewhere))[0]["ts_0"]
    assert bits_of_event(event(segments=segments, trk2d=on_road))[0]["ti"]


def test_neighbours_are_one_short_track_also_across_the_seam():
    """Patterns in bins 63 and 0 of superlayer 2 are one track, those far apart are two."""
    beside = sorted({*segments_of((0,) * 5), *segments_of((63,) * 5)})
    assert bits_of_event(event(segments=beside))[0]["ts_0"]
    apart = sorted({*segments_of((20,) * 5), *segments_of((50,) * 5)})
    assert bits_of_event(event(segments=apart))[0]["ts_1"]


def test_full_tracks_are_mapped_only_beside_a_barrel_cluster():
    """The opening of a short and a full track needs a barrel cluster, which has nothing to do with it."""
    batch = event(segments=segments_of((0,) * 5), trk2d={"phi0": [3.0], "omega": [1e-4]})
    assert not bits_of_event(batch)[0]["s2fo"]
    assert not bits_of_event(batch, ready=clusters_on([520]))[0]["s2fo"]
    assert bits_of_event(batch, ready=clusters_on([300]))[0]["s2fo"]


@pytest.mark.parametrize(("mask", "sector"), [("eklm_mask_fwd", 1), ("eklm_mask_bwd", 0)])
def test_forward_sectors_are_renumbered(mask: str, sector: int):
    """An inner track at 20 degrees points to backward sector 0, but to forward sector 1."""
    arrays = event(segments=segments_of((4, 4, 4, 30, 30))).arrays()
    fired = [k for k in range(4) if bits_of_event(EventBatch(1, arrays | {mask: np.array([1 << k])}))[0]["ieklm"]]
    assert fired == [sector]


def inner_and_cluster(quadrant_bin: int) -> tuple[EventBatch, ReadyEcl]:
    """Return an inner track and an endcap cluster about a 36-bin, with backward sector 3 of the endcap KLM fired."""
    place = quadrant_bin * 64 // 36 + 1
    arrays = event(segments=segments_of((place, place, place, place + 30, place + 30))).arrays()
    backward = [k for k in range(513, 577) if bin_on(k) == quadrant_bin]
    return EventBatch(1, arrays | {"eklm_mask_bwd": np.array([0b1000])}), clusters_on(backward[:1])


def test_ideal_quadrant_3_has_bin_35():
    """With a cluster and an inner track in bin 35 the missing bin shows; in bin 30 nothing is missing."""
    for number, lost in ((35, True), (30, False)):
        batch, clusters = inner_and_cluster(number)
        belle2, ideal = bits_of_event(batch, ready=clusters)[0], bits_of_event(batch, "ideal", clusters)[0]
        assert ideal["ieklm"] and ideal["ecleklm"]
        assert belle2["ieklm"] != lost
        assert belle2["iecl"] and ideal["iecl"] and ideal["iecl_0"] and not ideal["iecl_1"]
        assert not belle2["iecl_0"] and not belle2["ecleklm"]


tracks_2d = st.lists(st.tuples(st.floats(width=32), st.floats(width=32)), max_size=6)


@given(tracks_2d, st.lists(st.integers(0, 65535), max_size=20), tracks_2d)
def test_whatever_comes_is_survived(
    tracks: list[tuple[float, float]],
    segments: list[int],
    tracks_3d: list[tuple[float, float]],
):
    """Angles that are no numbers, segments that do not exist: ignored or flagged, and the same each time."""
    batch = EventBatch(
        1,
        {
            "trk2d.offsets": np.array([0, len(tracks)]),
            "trk2d.phi0": np.array([a for a, _ in tracks], dtype=np.float32),
            "trk2d.omega": np.array([b for _, b in tracks], dtype=np.float32),
            "trk3d.offsets": np.array([0, len(tracks_3d)]),
            "trk3d.phi0": np.array([a for a, _ in tracks_3d], dtype=np.float32),
            "trk3d.cot_theta": np.array([b for _, b in tracks_3d], dtype=np.float32),
            "segments.offsets": np.array([0, len(segments)]),
            "segments": np.array(segments, dtype=np.uint16),
        },
    )
    bits, malformed = bits_of_event(batch)
    impossible = any(segment > 2335 for segment in segments) or any(
        not (abs(a) <= 2.0 * math.pi and abs(b) < 1.0) for a, b in tracks
    )
    assert malformed >= impossible
    assert bits["seklm_0"] != bits["seklm_1"]
