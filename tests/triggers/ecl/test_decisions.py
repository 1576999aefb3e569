"""The ECL trigger against the public simulation, and what must hold for any input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from daq.jit import Array
from daq.settings import BeamSettings
from tests.triggers.vectors import ECL_SAMPLE, assert_bits, objects_of
from triggers.bits import flags_of
from triggers.ecl.cells import EclTable, cells
from triggers.ecl.decisions import ECL_NAMES, words_of_hits

TABLE = EclTable.for_beams(BeamSettings())


def bits_of(*hits: tuple[int, float], dtype: type = np.float64) -> dict[str, bool]:
    """Return the bits of one event of (cell, energy) hits."""
    ids, energies = (np.array(column) for column in zip(*sorted(hits), strict=True))
    words, malformed = words_of_hits(np.array([0, ids.size]), ids, energies.astype(dtype), TABLE)
    assert not malformed[0]
    return {name: bool(flags_of(words, i)[0]) for i, name in enumerate(ECL_NAMES)}


def clusters(bits: dict[str, bool]) -> int:
    """Return the number of clusters."""
    return sum(bits[f"clst_{k}"] << k for k in range(4))


def cell(ring: int, phi: int) -> int:
    """Return the barrel cell of a ring and an azimuth number that may wrap."""
    return 81 + 12 * ((phi - 1) % 36) + ring - 4


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sample_of_the_public_simulation(dtype: type):
    """Every bit of every event is that of the reference, in either precision."""
    table = pq.read_table(ECL_SAMPLE)
    hits = objects_of(table, "tc")
    words, malformed = words_of_hits(hits["tc.offsets"], hits["tc.id"], hits["tc.energy_gev"].astype(dtype), TABLE)
    assert_bits(words, ECL_NAMES, table)
    assert not malformed.any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_all_vectors_of_the_public_simulation(shared: Path, dtype: type):
    """Every bit of all 4,000 events is that of the reference, with the CM table that we compute."""
    table = pq.read_table(shared / "data" / "l1_ecl_vectors.parquet")
    hits = objects_of(table, "tc")
    words, _ = words_of_hits(hits["tc.offsets"], hits["tc.id"], hits["tc.energy_gev"].astype(dtype), TABLE)
    assert table.num_rows == 4000
    assert_bits(words, ECL_NAMES, table)


def test_computed_cm_table_is_the_public_one(shared: Path):
    """Angles and energy factors of all 576 cells agree."""
    public = np.genfromtxt(shared / "data" / "gdl" / "ecl_tc_cms_lut.csv", delimiter=",", names=True)
    assert_array_equal(TABLE.theta_cm_deg[1:], public["theta_cm_deg"])
    assert_array_equal(TABLE.phi_cm_deg[1:], public["phi_cm_deg"])
    assert_array_equal(np.rint(10 * TABLE.elab_over_ecm[1:]), public["elab_over_ecm_x10"])


def test_cm_table_follows_other_beams():
    """Symmetric head-on beams leave the angles of the cells as they are, and the energies."""
    table = EclTable.for_beams(BeamSettings(electron_gev=5.0, positron_gev=5.0, crossing_mrad=0.0))
    x, y, z = cells().xyz_cm[1:500].T  # without the column that the public table has elsewhere
    assert_array_equal(table.elab_over_ecm[1:], 1.0)
    assert np.abs(table.theta_cm_deg[1:500] - np.degrees(np.arctan2(np.hypot(x, y), z))).max() <= 0.5
    assert np.abs((table.phi_cm_deg[1:500] - np.degrees(np.arctan2(y, x)) + 180) % 360 - 180).max() <= 0.5


def test_neighbourhood_is_mutual_and_stays_in_its_region():
    """If a cell sees another, that one sees it; barrel and endcaps do not see each other."""
    near = {a: set(cells().neighbours[a].tolist()) - {0} for a in range(1, 577)}
    for a, others in near.items():
        assert cells().neighbours[a, 0] == a
        assert all(a in near[b] for b in others)
        assert {(b > 80) + (b > 512) for b in others} == {(a > 80) + (a > 512)}


def test_neighbours_touch():
    """Two cells are neighbours only if they lie within 45 cm, the longest diagonal of two cells side by side."""
    xyz_cm = cells().xyz_cm
    for a in range(1, 577):
        for b in set(cells().neighbours[a]) - {0}:
            assert np.linalg.norm(xyz_cm[a] - xyz_cm[b]) < 45.0


@pytest.mark.parametrize(
    ("ring", "count"), [(1, 7), (2, 8), (3, 6), (4, 6), (5, 9), (14, 9), (15, 6), (16, 6), (17, 6)]
)
def test_size_of_the_neighbourhood(ring: int, count: int):
    """3 x 3 inside, less at the rims; the innermost forward ring has half as many cells as the next."""
    of_ring = np.flatnonzero(cells().theta_id == ring)
    assert set((cells().neighbours[of_ring] > 0).sum(axis=1)) == {count}


def test_one_block_of_cells_is_one_cluster():
    """3 x 3 cells that touch, across azimuth 36 to 1, make one cluster with the energy of all."""
    block = [(cell(8 + i, 36 + j), 0.6 if i == j == 0 else 0.07) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    bits = bits_of(*block)
    assert clusters(bits) == 1
    assert bits["ecl_lml_6"]  # above 1 GeV in the CM frame: that takes every cell
    assert not bits_of(*block[:-2])["ecl_lml_6"]


def test_two_seeds_with_one_centre_count_twice():
    """The trigger does not remove the second cluster, so one deposit can look like two."""
    corners = [(cell(8, 10), 2.0), (cell(9, 9), 0.2)]  # corner to corner: neither vetoes the other
    assert clusters(bits_of(*corners)) == 2
    assert not bits_of(*corners)["ecl_lml_6"]  # two clusters above 1 GeV where there is one photon
    assert bits_of((cell(8, 10), 2.0), (cell(8, 9), 0.2))["ecl_lml_6"]  # side by side they are one


def test_seventh_cluster_overflows():
    """Six clusters are kept; barrel first, so the endcap one is lost."""
    barrel = [(cell(9, 1 + 5 * k), 0.2) for k in range(6)]
    assert not bits_of(*barrel)["ecl_oflo"]
    bits = bits_of(*barrel, (2, 7.0))
    assert bits["ecl_oflo"]
    assert clusters(bits) == 6
    assert not bits["ecl_lml_2"]  # its 7 GeV in ring 2 are gone
    assert bits["elum"]  # but not from the energy sum


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_thresholds_are_strict(dtype: type):
    """A cluster of exactly 0.3 GeV is not above 0.3 GeV, also where float32 cannot hold 0.3."""
    hits = [(cell(8, 3), 0.25), (cell(8, 13), 0.25)]
    assert not bits_of(*hits, (cell(8, 23), 0.3), dtype=dtype)["ecl_lml_0"]
    assert bits_of(*hits, (cell(8, 23), 0.301), dtype=dtype)["ecl_lml_0"]


def test_bhabha_pair_vetoes():
    """A back-to-back pair of 4 and 5 GeV (CM) is a 3D Bhabha; two of 4 GeV are not, nor a pair at a right angle."""
    forward, backward = cell(6, 1), cell(13, 19)
    high, low = TABLE.elab_over_ecm[forward], TABLE.elab_over_ecm[backward]
    assert bits_of((forward, 5.0 * high), (backward, 4.0 * low))["bha_veto"]
    assert not bits_of((forward, 4.0 * high), (backward, 4.0 * low))["bha_veto"]
    assert not bits_of((forward, 5.0 * high), (cell(13, 10), 4.0 * low))["bha_veto"]


def test_2d_bhabha_is_computed_but_not_sent():
    """Ring sums on their thresholds pass; the decision shows in the type word and the physics bit, not in its own."""
    bits = bits_of((cell(5, 1), 4.0), (cell(14, 19), 2.5))  # combinations 4, 5 and 6
    assert bits["bhabha2d"]
    assert not bits["ecl_bha"]
    assert not bits["ecl_phys"]
    assert [k for k in range(14) if bits[f"bha_type_{k}"]] == [8, 9, 10, 13]
    assert not bits_of((cell(5, 1), 4.0), (cell(14, 19), 2.499))["bhabha2d"]
    assert not bits_of((cell(5, 1), 4.0), (cell(14, 19), 2.5), (cell(9, 9), 0.2), (cell(9, 29), 0.2))["bhabha2d"]


def test_background_bits_do_not_see_the_innermost_ring():
    """Hits in opposite quadrants of rings 2-3 are background-like, those of ring 1 are not."""
    assert bits_of((2, 0.2), (42, 0.2))["ecl_bg_2"]  # ring 2, half a turn apart
    assert not bits_of((1, 0.2), (41, 0.2))["ecl_bg_0"]  # ring 1


def test_single_forward_cluster_is_no_hie():
    """One cluster of 2 GeV in rings 1-3 vetoes itself; in the barrel it fires."""
    assert not bits_of((2, 2.0))["hie1"]
    assert bits_of((cell(8, 1), 2.0))["hie1"]


barrel_hits = st.dictionaries(
    st.tuples(st.integers(4, 15), st.integers(1, 36)), st.integers(100, 5000), min_size=1, max_size=30
)


@given(barrel_hits)
def test_events_do_not_leak_into_each_other(hits: dict[tuple[int, int], int]):
    """An event after another has the bits that it has alone."""
    ids = np.array(sorted(cell(*place) for place in hits))
    energies = np.array([hits[place] for place in sorted(hits, key=lambda p: cell(*p))]) * 1e-3
    half = ids.size // 2
    both, _ = words_of_hits(np.array([0, half, ids.size]), ids, energies, TABLE)
    alone, _ = words_of_hits(np.array([0, ids.size - half]), ids[half:], energies[half:], TABLE)
    assert both[1] == alone[0]


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
    assert clusters(bits) == min(seeds, 6)
    assert bits["ecl_oflo"] == (seeds > 6)


@given(
    st.lists(st.tuples(st.integers(0, 65535), st.floats(width=32)), max_size=20),
    st.sampled_from([np.float32, np.float64]),
)
def test_hits_that_cannot_be_are_flagged_and_ignored(hits: list[tuple[int, float]], dtype: type):
    """Whatever stands in the arrays: no crash, a flag, and the bits of the good hits."""
    good: list[tuple[int, float]] = []
    for number, energy in hits:
        if (good[-1][0] if good else 0) < number <= 576 and 0.0 < energy < np.inf:
            good.append((number, energy))

    def words(chosen: list[tuple[int, float]]) -> tuple[Array, Array]:
        ids = np.array([number for number, _ in chosen], dtype=np.uint16)
        energies = np.array([energy for _, energy in chosen], dtype=dtype)
        return words_of_hits(np.array([0, ids.size]), ids, energies, TABLE)

    found, malformed = words(hits)
    assert malformed[0] == (len(good) < len(hits))
    assert_array_equal(found, words(good)[0])
