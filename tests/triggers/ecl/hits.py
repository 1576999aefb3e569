"""Events of a few hits, and what the ECL says of them."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from daq.jit import Array
from tests.triggers.vectors import TABLE
from triggers.bits import flags_of
from triggers.ecl.clusters import Clusters, Sums, find_clusters
from triggers.ecl.decisions import ECL_BITS, ecl_words


def cell(ring: int, phi: int) -> int:
    """Return the barrel cell of a ring and an azimuth number that may wrap."""
    return 81 + 12 * ((phi - 1) % 36) + ring - 4


def found_of(*hits: tuple[int, float], dtype: type = np.float64) -> tuple[Clusters, Sums]:
    """Return clusters and sums of one event of (cell, energy) hits."""
    ids, energies = (np.array(column) for column in zip(*sorted(hits), strict=True))
    clusters, sums, malformed = find_clusters(
        np.array([0, ids.size]), ids, energies.astype(dtype), np.zeros(ids.size, dtype)
    )
    assert not malformed[0]
    return clusters, sums


def bits_of(*hits: tuple[int, float], dtype: type = np.float64, ideal: bool = False) -> dict[str, bool]:
    """Return the bits of one event of (cell, energy) hits."""
    words = ecl_words(*found_of(*hits, dtype=dtype), TABLE, ideal=ideal)
    return {name: bool(flags_of(words, i)[0]) for i, name in enumerate(ECL_BITS)}


def n_clusters(bits: dict[str, bool]) -> int:
    """Return the number of clusters."""
    return sum(bits[f"clst_{k}"] << k for k in range(4))


def words_of_hits(offsets: Array, ids: Array, energies: Array) -> tuple[Array, Array]:
    """Return the words of events of hits at time 0, and who is malformed."""
    clusters, sums, malformed = find_clusters(offsets, ids, energies, np.zeros(ids.size))
    return ecl_words(clusters, sums, TABLE), malformed


barrel_hits = st.dictionaries(
    st.tuples(st.integers(4, 15), st.integers(1, 36)), st.integers(100, 5000), min_size=1, max_size=30
)
"""Strategy: (ring, azimuth number) -> energy [MeV]."""
