"""The beam clock: a Poisson process on the ticks of the machine, the same however it is cut."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from daq.clock import RF_HZ, TICK_NS, TICKS_A_TURN
from daq.event import InjectionRing
from daq.settings import BeamSettings, InjectionSettings
from daq.source.beam import Beam

RATE_HZ = 2e5


def beam(seed: int = 1, run: int = 1, rate_hz: float = RATE_HZ, **injection: float) -> Beam:
    return Beam(BeamSettings(injection=InjectionSettings(**injection)), rate_hz=rate_hz, seed=seed, run=run)


def test_gaps_are_exponential():
    """The gaps of a Poisson process: Kolmogorov distance below the 0.1 % point, also in mean and spread."""
    gaps = np.diff(beam().stamp(0, 200_001)["time_ns"]) * 1e-9 * RATE_HZ
    assert abs(gaps.mean() - 1) < 4 / math.sqrt(gaps.size)
    assert abs(gaps.std() - 1) < 6 / math.sqrt(gaps.size)
    expected = 1 - np.exp(-np.sort(gaps))
    distance = np.abs(expected - (np.arange(gaps.size) + 0.5) / gaps.size).max()
    assert distance < 1.95 / math.sqrt(gaps.size) + TICK_NS * 1e-9 * RATE_HZ


def test_counts_in_equal_stretches_are_poisson():
    """Variance over mean is 1 on scales below, at and above a group of 1024: the seams of the groups do not show."""
    times = beam(seed=3).stamp(0, 400_000)["time_ns"]
    for events in (100, 1000, 4000):
        edges = np.arange(0, times[-1], events / RATE_HZ * 1e9)
        counts = np.histogram(times, edges)[0]
        assert abs(counts.var() / events - 1) < 5 * math.sqrt(2 / counts.size)


@given(st.integers(0, 5000), st.integers(1, 3000), st.data())
def test_times_do_not_depend_on_the_cut(first, count, data):
    """Any range of events, split anywhere and asked for in any order, gives the same columns, with injections too."""
    split = data.draw(st.integers(0, count))
    whole = beam(ler_hz=300.0, her_hz=170.0).stamp(first, count)
    other = beam(ler_hz=300.0, her_hz=170.0)
    tail = other.stamp(first + split, count - split)
    head = other.stamp(first, split)
    for name, values in whole.items():
        assert_array_equal(np.concatenate([head[name], tail[name]]), values, err_msg=name)


def test_bunch_and_time_tell_the_same_tick():
    """The bunch is the tick of the time, modulo the turn; times never run backwards."""
    stamps = beam().stamp(0, 50_000)
    ticks = np.rint(stamps["time_ns"] / TICK_NS).astype(np.int64)
    assert_array_equal(ticks % TICKS_A_TURN, stamps["bunch"])
    assert np.all(np.diff(stamps["time_ns"]) >= 0)
    assert math.isclose(TICK_NS, 4e9 / RF_HZ)
    assert np.unique(stamps["bunch"]).size == TICKS_A_TURN


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=6))
def test_intervals_tile_the_run(counts):
    """The first begins at 0, each begins where the last ended, and holds the times of its events."""
    clock, first, previous_end = beam(), 0, 0
    for count in counts:
        begin, end = clock.interval_ns(first, count)
        times = clock.stamp(first, count)["time_ns"]
        assert begin == previous_end
        assert begin <= times[0] <= times[-1] <= end
        first, previous_end = first + count, end


def test_injections_come_round_and_do_not_change_the_times():
    """Each ring in its turn; the time since the last one starts at 0 and stays below the shorter gap."""
    quiet, stamps = (beam(**rates).stamp(0, 30_000) for rates in ({}, {"ler_hz": 100.0, "her_hz": 100.0}))
    assert_array_equal(quiet["time_ns"], stamps["time_ns"])
    assert set(quiet["injection_ring"].tolist()) == {InjectionRing.NONE}
    assert np.isinf(quiet["t_injection_us"]).all()
    # LER at 0, 10, 20, ... ms, HER at 5, 15, ... ms.
    time_us = stamps["time_ns"] / 1e3
    expected = np.where(time_us % 10_000 < 5000, InjectionRing.LER, InjectionRing.HER)
    edge = np.abs((time_us + 1) % 5000 - 1) < 0.1  # rounding to ticks
    assert_array_equal(stamps["injection_ring"][~edge], expected[~edge])
    assert np.abs(stamps["t_injection_us"] - time_us % 5000)[~edge].max() < 0.1


def test_nothing_was_injected_before_the_first_injection():
    """No ring, and an infinite time."""
    stamps = beam(ler_hz=10.0, ler_first_ms=20.0).stamp(0, 10_000)
    before = stamps["time_ns"] < 20e6 - 10
    assert 0 < before.sum() < 10_000
    assert_array_equal(stamps["injection_ring"], np.where(before, InjectionRing.NONE, InjectionRing.LER))
    assert_array_equal(np.isinf(stamps["t_injection_us"]), before)


def test_seed_and_run_change_the_times():
    """Two runs of one seed, and two seeds, share no more than the odd tick."""
    times = [beam(seed, run).stamp(0, 100)["time_ns"] for seed, run in ((1, 1), (1, 2), (2, 1))]
    assert np.isin(times[0], times[1]).sum() < 5
    assert np.isin(times[0], times[2]).sum() < 5


@pytest.mark.parametrize("rate_hz", [10.0, 1e7])
def test_mean_rate_is_the_asked_one(rate_hz):
    """Also where many collisions share a tick."""
    times = beam(rate_hz=rate_hz).stamp(0, 100_000)["time_ns"]
    assert abs(times[-1] * 1e-9 * rate_hz / 1e5 - 1) < 0.02


def test_design_luminosity_delivers_one_inverse_femtobarn_in_half_an_hour():
    """6e35 cm-2 s-1 for 1e39 / 6e35 s is 1 fb-1."""
    assert math.isclose(beam().delivered_fb(0, round(1e9 * 1e39 / 6e35)), 1, rel_tol=1e-9)
