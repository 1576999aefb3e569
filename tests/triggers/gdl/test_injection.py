"""Injection veto: which events it holds, and how much time it covers, nanosecond by nanosecond."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from daq.clock import Injections, to_ns
from daq.event import EventBatch
from daq.jit import Array
from daq.settings import InjectionSettings
from tests.triggers.gdl.plain import PlainL1
from triggers.gdl.injection import Windows, veto_plane, vetoed_ns
from triggers.gdl.settings import HerVetoSettings, LerVetoSettings, TimingSettings, VetoSettings

N_TICKS = 6000  # four turns and a half


def rings(of: type) -> st.SearchStrategy:
    """Return windows that begin, end and overlap within a few turns."""
    times = st.floats(0, 45).map(lambda us: round(us, 3))
    return st.tuples(times, times, st.floats(0, 10).map(lambda us: round(us, 3)), st.floats(0, 10.06)).map(
        lambda t: of(full_us=min(t[:2]), end_us=max(t[:2]), gate_begin_us=t[2], gate_length_us=round(t[3], 3))
    )


vetos = st.builds(VetoSettings, ler=rings(LerVetoSettings), her=rings(HerVetoSettings))
periods = st.integers(0, 4000)


def schedule(first: tuple[int, int], period: tuple[int, int]) -> Injections:
    """Return a schedule in ticks."""
    return Injections(np.array(first, dtype=np.int64), np.array(period, dtype=np.int64))


def vetoed_ticks(veto: VetoSettings, injections: Injections) -> Array:
    """Return which of the first ticks are vetoed, tick by tick in plain Python."""
    plain = PlainL1(TimingSettings(veto=veto))
    last, flags = (0, 0), []
    for tick in range(N_TICKS):
        for ring, (first, period) in enumerate(zip(*(each.tolist() for each in injections), strict=True), start=1):
            if period and tick >= first and (tick - first) % period == 0:
                last = tick, ring
        flags.append(plain.vetoed(tick - last[0], last[1], tick % 1280))
    return np.array(flags)


@given(vetos, st.tuples(periods, periods), st.tuples(periods, periods), st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_vetoed_time_is_that_of_the_vetoed_ticks(
    veto: VetoSettings, first: tuple[int, int], period: tuple[int, int], seed: int
):
    """Of any stretch of time it is the number of its nanoseconds that lie in a vetoed tick."""
    injections = schedule(first, period)
    ticks = vetoed_ticks(veto, injections)
    edges = to_ns(np.arange(N_TICKS + 1))
    covered = np.concatenate([[0], np.cumsum(np.repeat(ticks, np.diff(edges)))])  # vetoed ns before each ns
    stretches = np.sort(np.random.default_rng(seed).integers(0, edges[-1] + 1, (200, 2)), axis=1)
    stretches[:3] = (0, 0), (0, edges[-1]), (edges[5], edges[5] + 1)
    found = vetoed_ns(Windows.of(veto), injections, stretches[:, 0], stretches[:, 1])
    assert_array_equal(found, covered[stretches[:, 1]] - covered[stretches[:, 0]])


@given(vetos, st.tuples(periods, periods), st.tuples(periods, periods))
@settings(max_examples=60)
def test_events_are_told_what_their_tick_is(veto: VetoSettings, first: tuple[int, int], period: tuple[int, int]):
    """From the columns of the event model, float32 and all, comes the veto of the tick."""
    injections = schedule(first, period)
    ticks = np.arange(N_TICKS)
    since_us, ring = injections.since(ticks)
    columns = {"t_injection_us": since_us, "injection_ring": ring, "bunch": ticks % 1280}
    plane = veto_plane(Windows.of(veto), EventBatch(N_TICKS, columns))
    flags = np.unpackbits(plane.view(np.uint8), bitorder="little")[:N_TICKS].astype(bool)
    assert_array_equal(flags, vetoed_ticks(veto, injections))


@pytest.mark.parametrize("start_s", [0, 3600, 10**7])
def test_the_last_tick_of_a_long_veto_is_told_from_the_first_that_is_free(start_s: int):
    """Up to 65 ms after the injection float32 is fine enough, however late in the run."""
    veto = VetoSettings(
        ler=LerVetoSettings(full_us=64_999.9, end_us=64_999.9), her=HerVetoSettings(full_us=0, end_us=0)
    )
    windows = Windows.of(veto)
    begin = start_s * 127_000_000
    injections = schedule((begin, 0), (10**9, 0))
    ticks = begin + windows.full[1] + np.arange(-40, 40)
    since_us, ring = injections.since(ticks)
    plane = veto_plane(windows, EventBatch(80, {"t_injection_us": since_us, "injection_ring": ring}))
    flags = np.unpackbits(plane.view(np.uint8), bitorder="little")[:80].astype(bool)
    assert_array_equal(flags, np.arange(80) < 40)
    edges = to_ns(ticks[[0, 40, 79]])
    assert vetoed_ns(windows, injections, edges[:1], edges[2:])[0] == edges[1] - edges[0]


def test_what_cannot_be_is_not_vetoed():
    """Negative times, times that are no number, rings that do not exist."""
    times, ring = np.array([-1.0, np.nan, np.inf, 5.0, 5.0], dtype="f4"), np.array([1, 1, 2, 0, 77], dtype="u1")
    assert not veto_plane(
        Windows.of(VetoSettings()), EventBatch(5, {"t_injection_us": times, "injection_ring": ring})
    ).any()


def test_top_up_at_the_default_windows():
    """25 Hz a ring: 500 us of each 20 ms, and the two strips for the rest: 2.5 + 1.45 + 0.63 % of the time."""
    injections = Injections.of(InjectionSettings(ler_hz=25.0, her_hz=25.0))
    whole = vetoed_ns(Windows.of(VetoSettings()), injections, np.array([10**9]), np.array([11 * 10**9]))[0]
    strips = 25 * 19.5e-3 * np.array([0.30, 0.13]) / (5120 / 508.887)
    assert whole / 1e10 == pytest.approx(0.025 + strips.sum(), rel=5e-3)
