"""The decisions of the ECL on events made by hand; `test_inputs` compares all of them with the public simulation."""

from __future__ import annotations

import numpy as np
import pytest

from tests.triggers.ecl.hits import bits_of, cell, n_clusters
from tests.triggers.vectors import TABLE


def test_one_block_of_cells_is_one_cluster():
    """3 x 3 cells that touch, across azimuth 36 to 1, make one cluster with the energy of all."""
    block = [(cell(8 + i, 36 + j), 0.6 if i == j == 0 else 0.07) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    bits = bits_of(*block)
    assert n_clusters(bits) == 1
    assert bits["ecl_lml_6"]  # above 1 GeV in the CM frame: that takes every cell
    assert not bits_of(*block[:-2])["ecl_lml_6"]


def test_two_seeds_with_one_centre_count_twice():
    """The trigger does not remove the second cluster, so one deposit can look like two."""
    corners = [(cell(8, 10), 2.0), (cell(9, 9), 0.2)]  # corner to corner: neither vetoes the other
    assert n_clusters(bits_of(*corners)) == 2
    assert not bits_of(*corners)["ecl_lml_6"]  # two clusters above 1 GeV where there is one photon
    assert bits_of((cell(8, 10), 2.0), (cell(8, 9), 0.2))["ecl_lml_6"]  # side by side they are one


def test_seventh_cluster_overflows():
    """Six clusters are kept; barrel first, so the endcap one is lost."""
    barrel = [(cell(9, 1 + 5 * k), 0.2) for k in range(6)]
    assert not bits_of(*barrel)["ecl_oflo"]
    bits = bits_of(*barrel, (2, 7.0))
    assert bits["ecl_oflo"]
    assert n_clusters(bits) == 6
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
    ideal = bits_of((cell(5, 1), 4.0), (cell(14, 19), 2.5), ideal=True)
    assert ideal["ecl_bha"]
    assert [k + 1 for k in range(14) if ideal[f"bha_type_{k}"]] == [4, 5, 6]
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
