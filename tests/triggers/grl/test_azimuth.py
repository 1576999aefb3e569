"""Sets of azimuth bins as words, against sets."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.triggers.vectors import ready_clusters
from triggers.ecl.clusters import ClusterCuts
from triggers.ecl.ready import ready_words
from triggers.grl.azimuth import BINS_64_OF_36, any_apart, bin_of, spread_36, spread_64, to_36

bins_36 = st.frozensets(st.integers(0, 35), max_size=8)
bins_64 = st.frozensets(st.integers(0, 63), max_size=8)
steps = st.tuples(st.integers(-20, 20), st.integers(0, 34)).map(lambda t: (t[0], t[0] + t[1]))


def word(bins: frozenset[int]) -> np.uint64:
    """Return the word of a set."""
    return np.uint64(sum(1 << k for k in bins))


@given(bins_36, bins_64, steps)
def test_spread_is_every_step(some: frozenset[int], more: frozenset[int], ends: tuple[int, int]):
    """Doubling the width may not differ from one step after the other."""
    reach = range(ends[0], ends[1] + 1)
    assert spread_36(word(some), *ends) == word(frozenset((k + step) % 36 for k in some for step in reach))
    assert spread_64(word(more), *ends) == word(frozenset((k + step) % 64 for k in more for step in reach))


@given(bins_36, bins_36, st.sampled_from([(17, 19), (16, 20), (9, 27), (3, 33)]))
def test_any_apart_is_some_pair(one: frozenset[int], other: frozenset[int], window: tuple[int, int]):
    """Distances go around the circle, either way."""
    pairs = any(window[0] <= (a - b) % 36 <= window[1] for a in one for b in other)
    assert any_apart(word(one), word(other), window) == pairs


@given(bins_64)
def test_36_bins_are_those_that_share_a_64_bin(some: frozenset[int]):
    """The map of the tables."""
    expected = frozenset(k for k in range(36) if int(BINS_64_OF_36[k]) & int(word(some)))
    assert to_36(word(some), BINS_64_OF_36) == word(expected)


@given(st.floats(-1.0, 1.0), st.floats(-1.0, 1.0))
def test_azimuth_bin_of_a_cluster_is_that_of_its_angle(x: float, y: float):
    """Tangents of the edges tell the bin that the arc tangent does, but within its rounding; also on the axes."""
    bins = math.degrees(math.atan2(y, x)) / 10.0
    assume(math.hypot(x, y) > 1e-6)
    assume(x == 0.0 or y == 0.0 or abs(bins - round(bins)) > 1e-9)
    one = ready_clusters(1, x_cm=np.array([x]), y_cm=np.array([y]))
    clusters, _, _ = ready_words(one, ClusterCuts())
    assert clusters.azimuth_bin[0] == bin_of(math.atan2(y, x))
