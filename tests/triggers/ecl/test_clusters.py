"""The cluster finder against the public simulation, and what must hold for any hits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from tests.triggers.ecl.hits import barrel_hits, bits_of, cell, clusters_of, columns_of_hits, n_clusters
from tests.triggers.vectors import ECL_SAMPLE, bits_of_columns, bits_of_event, objects_of
from triggers.ecl.clusters import NO_ECL_NS


def check_clusters(table: pa.Table) -> None:
    """Fail unless clusters and sums of the hits are those of the reference."""
    hits, expected = objects_of(table, "tc"), objects_of(table, "clusters")
    clusters, sums, _ = clusters_of(hits)
    assert_array_equal(clusters.offsets, expected["clusters.offsets"])
    n = clusters.offsets[-1]
    assert_array_equal(clusters.cell[:n], expected["clusters.tc_id"])
    assert_array_equal(clusters.theta_id[:n], expected["clusters.theta_id"])
    assert_allclose(clusters.energy_gev[:n], expected["clusters.energy_gev"], rtol=1e-12)
    assert_allclose(clusters.time_ns[:n], expected["clusters.time_ns"], rtol=0, atol=1e-9)
    phi_deg = np.degrees(np.arctan2(expected["clusters.y_cm"], expected["clusters.x_cm"])) % 360.0
    assert_array_equal(clusters.azimuth_bin[:n], np.floor(phi_deg / 10.0))
    assert_array_equal(sums.found, table["n_clusters_found"].to_numpy())
    assert_array_equal(sums.isolated, table["icn"].to_numpy())
    assert_allclose(sums.inner_gev, table["etot_gev"].to_numpy(), rtol=1e-12)
    assert_allclose(sums.total_gev, table["etot_1to17_gev"].to_numpy(), rtol=1e-12)
    has_hits = np.diff(hits["tc.offsets"]) > 0
    assert_array_equal(sums.timing_cell[has_hits], table["timing_tc_id"].to_numpy()[has_hits])
    assert_array_equal(clusters.event_time_ns, np.where(has_hits, table["event_time_ns"].to_numpy(), NO_ECL_NS))
    for k, passed in enumerate(np.array(table["bhabha2d_comb"].to_pylist()).T):
        assert_array_equal(sums.combinations >> (13 - k) & 1, passed)


def test_clusters_of_the_sample():
    """Clusters, sums, isolated clusters, time and ring combinations are those of the simulation."""
    check_clusters(pq.read_table(ECL_SAMPLE))


def test_clusters_of_all_vectors(shared: Path):
    """The same for all 4,000 shared events."""
    check_clusters(pq.read_table(shared / "data" / "l1_ecl_vectors.parquet"))


def test_one_cluster_across_the_seam():
    """The centroid of cells of azimuth numbers 36 and 1 lies between them, not on the other side."""
    clusters, _, _ = clusters_of(columns_of_hits((cell(8, 1), 1.0), (cell(8, 36), 1.0)))
    assert clusters.offsets[1] == 1
    assert clusters.azimuth_bin[0] in (0, 35)
    assert clusters.is_barrel[0]


@pytest.mark.parametrize(("number", "side"), [(1, "forward"), (80, "forward"), (300, "barrel"), (513, "backward")])
def test_sides(number: int, side: str):
    """A cluster of one cell is where the cell is."""
    clusters, _, _ = clusters_of(columns_of_hits((number, 1.0)))
    assert bool(clusters.forward_bins[0]) == (side == "forward")
    assert bool(clusters.backward_bins[0]) == (side == "backward")
    assert clusters.any_barrel[0] == (side == "barrel")


@given(barrel_hits)
def test_events_do_not_leak_into_each_other(hits: dict[tuple[int, int], int]):
    """An event after another has the bits that it has alone."""
    ordered = sorted((cell(*place), mev * 1e-3) for place, mev in hits.items())
    half = len(ordered) // 2
    both = columns_of_hits(*ordered) | {"tc.offsets": np.array([0, half, len(ordered)])}
    bits, _ = bits_of_columns(both, 2)
    assert {name: bool(flags[1]) for name, flags in bits.items()} == bits_of(*ordered[half:])


@given(barrel_hits)
def test_cluster_count_of_the_barrel_is_that_of_the_definition(hits: dict[tuple[int, int], int]):
    """The table-driven seeds are those of the rule written out with rings and azimuth numbers."""

    def hit(ring: int, phi: int) -> bool:
        return (ring, (phi - 1) % 36 + 1) in hits

    seeds = sum(
        not (hit(ring, phi - 1) or hit(ring + 1, phi)) and not (hit(ring, phi + 1) and hit(ring + 1, phi + 1))
        for ring, phi in hits
    )
    bits = bits_of(*((cell(*place), mev * 1e-3) for place, mev in hits.items()))
    assert n_clusters(bits) == min(seeds, 6)
    assert bits["ecl_oflo"] == (seeds > 6)


@given(
    st.lists(st.tuples(st.integers(0, 65535), st.floats(width=32)), max_size=20),
    st.sampled_from([np.float32, np.float64]),
)
def test_hits_that_cannot_be_are_flagged_and_ignored(hits: list[tuple[int, float]], dtype: type):
    """Whatever stands in the arrays: no crash, a flag, and the bits of the good hits."""
    good: list[tuple[int, float]] = []
    for number, energy in hits:
        kept = np.rint(energy * 1e6) if dtype is np.float32 else energy  # less than half a keV is nothing
        if (good[-1][0] if good else 0) < number <= 576 and 0.0 < kept < np.inf:
            good.append((number, energy))
    found, malformed = bits_of_event(columns_of_hits(*hits, dtype=dtype))
    assert malformed == (len(good) < len(hits))
    assert found == bits_of_event(columns_of_hits(*good, dtype=dtype))[0]


def test_a_cell_time_that_is_no_number_is_flagged():
    """The hit is ignored: it can neither time the event nor stand in a cluster."""
    columns = columns_of_hits((90, 1.0), (90, 1.0)) | {"tc.offsets": np.array([0, 1, 2])}
    clusters, sums, malformed = clusters_of(columns | {"tc.time_ns": np.array([np.nan, 3.0])})
    assert malformed.tolist() == [True, False]
    assert sums.found.tolist() == [0, 1]
    assert clusters.event_time_ns.tolist() == [NO_ECL_NS, 3.0]
