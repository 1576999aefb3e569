"""Corners of the CDC and KLM triggers; `test_inputs` compares all their bits with the public simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.triggers.vectors import bits_of_event
from triggers.cdc import CDC_BITS, CdcCuts, momentum_bin
from triggers.klm import KLM_BITS


def bits_of(**arrays: list[float]) -> tuple[dict[str, bool], bool]:
    """Return the bits of one event, and whether it is malformed; ``trk2d_phi0`` stands for ``trk2d.phi0``."""
    given_arrays = {name.replace("_", ".", 1): np.array(values) for name, values in arrays.items()}
    groups = {name.split(".")[0]: values.size for name, values in given_arrays.items()}
    full = {f"{group}.offsets": np.array([0, count]) for group, count in groups.items()} | given_arrays
    for group, count in groups.items():
        for name in ("phi0", "omega", *(("z0_cm", "cot_theta") if group != "trk2d" else ())):
            full.setdefault(f"{group}.{name}", np.full(count, 0.005))
    return bits_of_event(full)


@pytest.mark.parametrize("count", range(7))
def test_counts_are_one_hot(count: int):
    """No bit for no track; then exactly one: for 1, 2, 3, and for more."""
    bits, _ = bits_of(trk2d_phi0=[0.1] * count, trk3d_z0_cm=[1.0] * count, trknn_z0_cm=[1.0] * count)
    for stem in ("t2", "t3", "ty"):
        assert [bits[f"{stem}_{k}"] for k in range(4)] == [min(count, 4) == k + 1 for k in range(4)]


@pytest.mark.parametrize(
    ("degrees", "fired"),
    [
        ((5.0, 92.0), "open90 f2f30"),
        ((-5.0, 92.0), "open90 f2f30"),  # truncation: bin 0 reaches from -10 to 10 degrees
        ((-5.0, 85.0), "f2f30"),
        ((1.0, 179.0), "b2b3 b2b5 b2b7 b2b9 open90 f2f30"),
        ((1.0, 165.0), "b2b5 b2b7 b2b9 open90 f2f30"),
        ((-175.0, 45.0), "b2b7 b2b9 open90 f2f30"),
        ((-175.0, 55.0), "b2b9 open90 f2f30"),
        ((-350.0, 350.0), ""),
        ((-175.0, 175.0), ""),  # 10 degrees apart, but the bins differ by 34: not folded
        ((12.0, 38.0), ""),
    ],
)
def test_pairs_of_2d_tracks(degrees: tuple[float, float], fired: str):
    """Opening angles are differences of truncated bins, not folded."""
    bits, _ = bits_of(trk2d_phi0=[math.radians(value) for value in degrees])
    assert bits["cdc_open90"] == ("open90" in fired)
    for name in ("b2b3", "b2b5", "b2b7", "b2b9"):
        assert bits[f"cdc_{name}"] == (name in fired)
    assert bits["f2f30"] == ("f2f30" in fired)


@pytest.mark.parametrize(
    ("momentum_gev", "z_cm", "fires"),
    [
        (0.6, 0.0, False),
        (0.9, 0.0, True),
        (0.9, 16.0, False),
        (-0.9, -14.0, True),
        (5.0, 0.0, True),
        (15.0, 0.0, False),
    ],
)
def test_single_track(momentum_gev: float, z_cm: float, fires: bool):
    """The cut is 0.7 GeV, 15 cm; a track above 10.2 GeV overflows the curvature and fails."""
    omega = 0.3 * 1.5 / momentum_gev / 100.0
    bits, _ = bits_of(trknn_omega=[omega], trknn_z0_cm=[z_cm], trknn_cot_theta=[0.05])
    assert bits["typ"] == fires


@given(st.floats(-0.99, 0.99), st.floats(allow_nan=False, allow_infinity=False))
def test_momentum_of_any_track(omega: float, cot_theta: float):
    """Any finite track has a momentum that is a whole number, or -1 for infinity; charge and side do not matter."""
    found = momentum_bin(omega, cot_theta, CdcCuts())
    assert found == -1 or found >= 0
    assert found == momentum_bin(-omega, cot_theta, CdcCuts())
    if cot_theta:
        assert found == momentum_bin(omega, -cot_theta, CdcCuts())


@pytest.mark.parametrize(
    "arrays",
    [
        {"trk2d_phi0": [math.nan]},
        {"trk2d_phi0": [1e30]},
        {"trk2d_omega": [math.inf]},
        {"trk3d_z0_cm": [math.nan]},
        {"trknn_omega": [2.0]},
        {"trknn_z0_cm": [math.inf]},
        {"trknn_cot_theta": [math.nan]},
    ],
)
def test_tracks_that_cannot_be_are_flagged_and_ignored(arrays: dict[str, list[float]]):
    """The event says so, and its bits are those without the track."""
    bits, malformed = bits_of(**arrays)
    assert malformed
    assert not any(bits[name] for name in CDC_BITS)


@pytest.mark.parametrize(("tracks", "expected"), [(0, 0), (1, 0b0011), (3, 0b0111), (4, 0b1001), (8, 0b0001)])
def test_klm_count_is_binary(tracks: int, expected: int):
    """The number of trigger tracks in three bits, beside the bit for any."""
    columns = {"klm_track_sectors.offsets": np.array([0, tracks]), "klm_track_sectors": np.arange(tracks) % 8}
    bits, malformed = bits_of_event(columns)
    assert [bits[name] for name in KLM_BITS][:4] == [bool(expected >> k & 1) for k in range(4)]
    assert not malformed


@pytest.mark.parametrize(
    ("sectors", "pairs"), [([], 0), ([0, 1], 0), ([7, 3], 1), ([0, 4, 1, 5], 2), ([2, 6, 2, 6], 4), ([0, 4, 8], 1)]
)
def test_klm_pairs_of_opposite_sectors(sectors: list[int], pairs: int):
    """One-hot: one pair of tracks whose sectors differ by four, two, more; there is no sector 8."""
    tracks = np.array(sectors, dtype=np.int64)
    bits, malformed = bits_of_event(
        {"klm_track_sectors.offsets": np.array([0, tracks.size]), "klm_track_sectors": tracks}
    )
    assert [bits[f"klmb2b_{k}"] for k in range(3)] == [min(pairs, 3) == k + 1 for k in range(3)]
    assert malformed == (8 in sectors)


@pytest.mark.parametrize(
    ("masks", "barrel", "endcap"),
    [((0, 0, 0, 0), 0, 0), ((0b101, 0b110, 0, 0), 3, 0), ((0, 0, 0b11, 0b1011), 0, 5), ((255, 255, 15, 15), 8, 8)],
)
def test_ideal_klm_counts_sectors(masks: tuple[int, int, int, int], barrel: int, endcap: int):
    """A sector of the barrel counts once, whichever half fired; the endcaps have sectors of their own."""
    names = [f"{part}_mask_{side}" for part in ("bklm", "eklm") for side in ("fwd", "bwd")]
    bits, _ = bits_of_event({name: np.array([mask]) for name, mask in zip(names, masks, strict=True)}, "ideal")
    for part, count in (("klm", barrel), ("eklm", endcap)):
        assert bits[f"{part}_hit"] == (count > 0)
        assert [bits[f"{part}_{k}"] for k in range(3)] == [bool(count >> k & 1) for k in range(3)]
