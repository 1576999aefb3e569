"""Counts survive the process that counted; quantiles bracket the truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daq.stream.statistics import BUCKETS_S, Statistics, quantiles


def test_a_successor_goes_on_counting(tmp_path: Path):
    """What was counted into a file is there for whoever opens it next, also while the first still counts."""
    first = Statistics(tmp_path / "l1-0")
    first.begin()
    first["blocks_in"] += 3
    first.observe(0.001, 5)
    second = Statistics(tmp_path / "l1-0")
    second.begin()
    second["blocks_in"] += 1
    assert first.snapshot() == second.snapshot()
    assert (first["blocks_in"], first["starts"], first["current_block"]) == (4, 2, -1)
    assert first.snapshot()["latency_s"]["events"] == 5


@given(st.lists(st.floats(1e-5, 10.0), min_size=1, max_size=50))
def test_quantiles_are_true_to_a_bucket(seconds: list[float]):
    """A quantile lies above the true one by less than the width of a bucket."""
    statistics = Statistics()
    for value in seconds:
        statistics.observe(value, 1)
    width = BUCKETS_S[1] / BUCKETS_S[0]
    for name, q in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99)):
        true = np.quantile(seconds, q, method="inverted_cdf")
        assert true <= statistics.snapshot()["latency_s"][name] * (1 + 1e-12)
        assert statistics.snapshot()["latency_s"][name] <= true * width * (1 + 1e-12)


def test_no_events_no_quantile():
    """Nothing seen is None, not zero; beyond the last edge is the last edge."""
    statistics = Statistics()
    assert statistics.snapshot()["latency_s"] == {"events": 0, "p50": None, "p90": None, "p99": None}
    statistics.observe(100.0, 2)
    assert quantiles(statistics.latency)["p99"] == pytest.approx(10.0)


def test_cpu_time_adds_up_over_restarts(tmp_path: Path):
    """CPU time counted before a restart is not lost, and never runs backwards."""
    first = Statistics(tmp_path / "x")
    first.note_cpu()
    before = first["cpu_ns"]
    second = Statistics(tmp_path / "x")
    second.note_cpu()
    assert second["cpu_ns"] > before > 0
