"""Events of a few hits, and what the ECL says of them."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from daq.jit import Array
from tests.triggers.vectors import bits_of_event
from triggers.ecl.cells import cells
from triggers.ecl.clusters import TANGENTS, ClusterCuts, Clusters, Sums, find_clusters
from triggers.primitives import primitives_of


def cell(ring: int, phi: int) -> int:
    """Return the barrel cell of a ring and an azimuth number that may wrap."""
    return 81 + 12 * ((phi - 1) % 36) + ring - 4


def columns_of_hits(*hits: tuple[int, float], dtype: type = np.float64) -> dict[str, Array]:
    """Return one event of (cell, energy) hits at time 0, in the order given."""
    return {
        "tc.offsets": np.array([0, len(hits)]),
        "tc.id": np.array([number for number, _ in hits], dtype=np.int64),
        "tc.energy_gev": np.array([energy for _, energy in hits], dtype=dtype),
    }


def clusters_of(columns: dict[str, Array]) -> tuple[Clusters, Sums, Array]:
    """Return clusters and sums of events, and which are malformed."""
    malformed = np.zeros(columns["tc.offsets"].size - 1, dtype=np.bool_)
    primitives = primitives_of(columns, malformed.size)
    is_rounded = primitives.tc_energy_gev.dtype == np.float32
    clusters, sums = find_clusters(primitives, is_rounded, cells(), TANGENTS, ClusterCuts(), malformed)
    return clusters, sums, malformed


def bits_of(*hits: tuple[int, float], dtype: type = np.float64, ideal: bool = False) -> dict[str, bool]:
    """Return the bits of one event of (cell, energy) hits."""
    bits, malformed = bits_of_event(columns_of_hits(*sorted(hits), dtype=dtype), "ideal" if ideal else "belle2")
    assert not malformed
    return bits


def n_clusters(bits: dict[str, bool]) -> int:
    """Return the number of clusters."""
    return sum(bits[f"clst_{k}"] << k for k in range(4))


barrel_hits = st.dictionaries(
    st.tuples(st.integers(4, 15), st.integers(1, 36)), st.integers(100, 5000), min_size=1, max_size=30
)
"""Strategy: (ring, azimuth number) -> energy [MeV]."""
