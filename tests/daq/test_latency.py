"""Histograms of latencies: what is noted block by block adds up to the books of the run."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daq.latency import EDGES_US, LatencyNote, books, histogram, quantiles

times = st.lists(st.floats(1e-3, 1e9), min_size=1, max_size=60)


@given(times, st.integers(0, 60))
def test_parts_add_up_to_the_whole(values, cut):
    """The histogram of two parts, put one after the other, has the quantiles of the whole."""
    whole = quantiles(*histogram(np.array(values)))
    parts = [histogram(np.array(values[rows])) for rows in (slice(0, cut), slice(cut, None))]
    assert quantiles(parts[0][0] + parts[1][0], parts[0][1] + parts[1][1]) == whole


@given(times)
def test_a_quantile_is_never_below_the_true_one_and_at_most_a_bin_above(values):
    """The smallest time that the wanted share of events does not exceed, rounded up to the edge of its bin."""
    found = quantiles(*histogram(np.array(values)))
    assert found["events"] == len(values)
    for name, share in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)):
        true = sorted(values)[int(np.ceil(share * len(values))) - 1]
        true = min(max(true, EDGES_US[0]), EDGES_US[-1])
        assert true * 0.995 <= found[name] <= true * 1.16  # three digits are written; a bin is 15 % wide


def test_a_value_may_count_more_than_once():
    """The time of a block counts for each of its events."""
    bins, counts = histogram(np.array([3.0]), 290)
    assert counts == [290]
    assert EDGES_US[bins[0] - 1] < 3.0 <= EDGES_US[bins[0]]
    assert histogram(np.array([])) == ([], [])


def test_nothing_measured_has_no_quantiles():
    """None, not 0: nothing took no time."""
    assert quantiles([], []) == {"events": 0, "p50": None, "p99": None, "p99.9": None, "max": None}


NOTE: LatencyNote = {"block_bins": [30], "block_counts": [300], "over_budget": [2], "decided": [0, 2], "over_cap": [1]}
TIMED: LatencyNote = NOTE | {
    "event_bins": [60, 61],
    "event_counts": [1, 1],
    "line_ns": [2000, 80],
    "line_max_ns": [1500, 50],
    "line_over": [1, 0],
}


def test_the_books_are_the_sum_of_the_notes():
    """Events, decisions by time and overruns add up; a line's time is shared among the sampled events."""
    summary = books([NOTE, TIMED, TIMED], {"slow": 1.0, "quick": 2.0})
    assert summary["block"]["events"] == 900
    assert summary["event"]["events"] == 4
    assert (summary["over_budget"], summary["over_cap"]) == (6, 3)
    assert (summary["kept_by_time"], summary["rejected_by_time"]) == (0, 6)
    assert summary["lines"] == {
        "slow": {"budget": 1.0, "mean": 1.0, "max": 1.5, "over_budget": 2},
        "quick": {"budget": 2.0, "mean": 0.04, "max": 0.05, "over_budget": 0},
    }


@pytest.mark.parametrize("notes", [[], [NOTE]])
def test_books_without_a_sampled_event(notes):
    """Then nothing is said of the lines."""
    summary = books(notes, {"line": 1.0})
    assert summary["lines"] == {}
    assert summary["event"]["p50"] is None
    assert summary["block"]["events"] == 300 * len(notes)
