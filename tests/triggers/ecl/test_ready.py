"""ECL objects that come ready; `test_inputs` compares their bits with the public simulation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_array_equal

from daq.errors import EventError
from tests.triggers.vectors import ECL_SAMPLE, bits_of_event, ready_clusters
from triggers.ecl.clusters import NO_ECL_NS, ClusterCuts
from triggers.ecl.decisions import ECL_BITS
from triggers.ecl.ready import BIT_NUMBERS, ready_words


def test_bit_numbers_are_those_of_the_packed_words():
    """In the words that the simulation packs each decision stands at its number."""
    table = pq.read_table(ECL_SAMPLE)
    for name, number in BIT_NUMBERS.items():
        word = table[f"ecl_word_{number // 32}"].to_numpy()
        assert_array_equal(word >> (number % 32) & 1, table[name].to_numpy(), err_msg=name)
    not_in_words = {"ecl_active", "clst_0", "clst_1", "clst_2", "clst_3", "bhabha2d"}
    assert set(ECL_BITS) - set(BIT_NUMBERS) == not_in_words


@pytest.mark.parametrize("count", [0, 1, 7, 15, 16, 17])
def test_clusters_are_counted_in_four_bits(count: int):
    """All that are given count, up to 15; 16 are none."""
    found, malformed = bits_of_event({}, ready=ready_clusters(count))
    assert sum(found[f"clst_{k}"] << k for k in range(4)) == count % 16
    assert found["ecl_active"] and not malformed


def test_no_record_has_no_bits_and_no_time():
    """Words and time of a record that is not present are not looked at."""
    absent = ready_clusters(
        2,
        ecl_present=np.array([False]),
        ecl_words=np.full((1, 4), 2**32 - 1, np.uint32),
        ecl_time_ns=np.array([np.nan]),
    )
    found, malformed = bits_of_event({}, ready=absent)
    assert [name for name in ECL_BITS if found[name]] == ["clst_1"]
    assert not malformed
    assert ready_words(absent, ClusterCuts())[0].event_time_ns[0] == NO_ECL_NS


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, value) for name in ("x_cm", "z_cm", "energy_gev", "time_ns") for value in (np.nan, np.inf)),
        ("energy_gev", -1.0),
        ("energy_gev", 0.0),
        ("tc_id", 0),
        ("tc_id", 577),
        ("theta_id", 0),
        ("theta_id", 18),
    ],
)
def test_a_cluster_that_cannot_be_is_flagged_and_ignored(name: str, value: float):
    """The other one is counted."""
    array = np.array([value, 1], dtype=type(value))
    found, malformed = bits_of_event({}, ready=ready_clusters(2, **{name: array}))
    assert malformed
    assert found["clst_0"] and not found["clst_1"]


def test_a_cluster_on_the_axis_and_a_time_that_is_no_number_are_flagged():
    """Neither has a direction or a time to compare with."""
    assert bits_of_event({}, ready=ready_clusters(2, x_cm=np.zeros(2), y_cm=np.zeros(2)))[1]
    assert bits_of_event({}, ready=ready_clusters(2, ecl_time_ns=np.array([np.nan])))[1]


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("offsets", np.array([0, 3]), r"clusters\.offsets\[-1\] = 3: must end at the number of objects, 2"),
        ("offsets", np.array([1, 2]), r"clusters\.offsets\[0\] = 1: must start at 0"),
        ("offsets", np.array([0, 1, 2]), "shape of clusters.offsets"),
        ("tc_id", np.array([1]), "shape of clusters.tc_id"),
        ("ecl_words", np.zeros((1, 3), np.uint32), "shape of ecl_words"),
        ("ecl_time_ns", np.zeros(2), "shape of ecl_time_ns"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(name: str, value: Any, rule: str):
    """No kernel sees them."""
    with pytest.raises(EventError, match=rule):
        ready_clusters(2, **{name: value})
