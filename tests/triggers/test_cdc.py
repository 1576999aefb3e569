"""The CDC and KLM triggers against the public simulation, and their corners."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daq.event import EventBatch
from tests.triggers.vectors import GRL_SAMPLE, assert_bits, cdc_t0_of, objects_of
from triggers.bits import flags_of
from triggers.cdc import CDC_NAMES, CUTS, cdc_words, momentum_bin
from triggers.klm import KLM_NAMES, klm_words


class Arrays(dict):  # type: ignore[type-arg]
    """Arrays in the precision of the file, by the names of the event model."""

    size: int


def arrays_of(table: pa.Table, dtype: type) -> Arrays:
    """Return the inputs of the reference vectors."""
    out = Arrays(cdc_t0=cdc_t0_of(table))
    out.size = table.num_rows
    for group in ("trk2d", "trk3d", "trknn"):
        for name, values in objects_of(table, group).items():
            out[name] = values if name.endswith("offsets") else values.astype(dtype)
    out.update(objects_of(table, "klm_track_sectors"))
    return out


def check_against(table: pa.Table, dtype: type) -> None:
    """Fail unless all bits of the CDC and the KLM are those of the reference."""
    arrays = arrays_of(table, dtype)
    words, malformed = cdc_words(arrays)  # type: ignore[arg-type]
    assert_bits(words, CDC_NAMES, table)
    assert_bits(klm_words(arrays), KLM_NAMES, table)  # type: ignore[arg-type]
    assert not malformed.any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sample_of_the_public_simulation(dtype: type):
    """Every bit of every event is that of the reference, in either precision."""
    check_against(pq.read_table(GRL_SAMPLE), dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_all_vectors_of_the_public_simulation(shared: Path, dtype: type):
    """Every bit of all 3,800 events is that of the reference."""
    table = pq.read_table(shared / "data" / "l1_grl_vectors.parquet")
    assert table.num_rows == 3800
    check_against(table, dtype)


def bits_of(**arrays: list[float]) -> tuple[dict[str, bool], bool]:
    """Return the bits of one event, and whether it is malformed; ``trk2d_phi0`` stands for ``trk2d.phi0``."""
    given_arrays = {name.replace("_", ".", 1): np.array(values) for name, values in arrays.items()}
    groups = {name.split(".")[0]: values.size for name, values in given_arrays.items()}
    full = {f"{group}.offsets": np.array([0, count]) for group, count in groups.items()} | given_arrays
    for group, count in groups.items():
        for name in ("phi0", "omega", *(("z0_cm", "cot_theta") if group != "trk2d" else ())):
            full.setdefault(f"{group}.{name}", np.full(count, 0.005))
    words, malformed = cdc_words(EventBatch(1, full))
    return {name: bool(flags_of(words, i)[0]) for i, name in enumerate(CDC_NAMES)}, bool(malformed[0])


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
    found = momentum_bin(omega, cot_theta, CUTS)
    assert found == -1 or found >= 0
    assert found == momentum_bin(-omega, cot_theta, CUTS)
    if cot_theta:
        assert found == momentum_bin(omega, -cot_theta, CUTS)


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
    assert not any(bits.values())


@pytest.mark.parametrize(("tracks", "expected"), [(0, 0), (1, 0b0011), (3, 0b0111), (4, 0b1001), (8, 0b0001)])
def test_klm_count_is_binary(tracks: int, expected: int):
    """The number of trigger tracks in three bits, beside the bit for any."""
    batch = EventBatch(
        1, {"klm_track_sectors.offsets": np.array([0, tracks]), "klm_track_sectors": np.arange(tracks) % 8}
    )
    assert int(klm_words(batch)[0, 0]) & 0b1111 == expected


@pytest.mark.parametrize(
    ("sectors", "pairs"), [([], 0), ([0, 1], 0), ([7, 3], 1), ([0, 4, 1, 5], 2), ([2, 6, 2, 6], 4), ([0, 4, 8], 2)]
)
def test_klm_pairs_of_opposite_sectors(sectors: list[int], pairs: int):
    """One-hot: one pair of tracks whose sectors differ by four, two, more; order does not matter."""
    arrays = {"klm_track_sectors.offsets": np.array([0, len(sectors)]), "klm_track_sectors": np.array(sectors)}
    words = klm_words(EventBatch(1, arrays))
    fired = [bool(flags_of(words, KLM_NAMES.index(f"klmb2b_{k}"))[0]) for k in range(3)]
    assert fired == [min(pairs, 3) == k + 1 for k in range(3)]
