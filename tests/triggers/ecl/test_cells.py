"""The cell tables against the public ones, and the geometry that they must have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from daq.settings import BeamSettings
from tests.triggers.vectors import TABLE
from triggers.ecl.cells import EclTable, cells


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
