"""The clocks of the collider: ticks and nanoseconds, turns, injections."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from daq.clock import (
    NEVER,
    TICK_NS,
    TICKS_A_TURN,
    Injections,
    last_injection,
    next_injection,
    ns_of_tick,
    tick_of_ns,
    to_ns,
)
from daq.settings import InjectionSettings

EXACT_TICK_NS = Fraction(4_000_000, 508_887)
rings = st.tuples(st.integers(0, 300), st.integers(0, 90))


def test_published_numbers():
    """508.887 MHz / 4: 127.22 MHz; a turn takes 10.061 us; ticks of 7.86 ns."""
    assert round(1e3 / TICK_NS, 2) == 127.22
    assert round(TICK_NS, 2) == 7.86
    assert round(TICKS_A_TURN * TICK_NS / 1e3, 3) == 10.061
    assert abs(TICK_NS / EXACT_TICK_NS - 1) < 1e-15


@given(st.integers(-(10**6), 10**15))
def test_a_tick_begins_at_its_exact_time_rounded(tick: int):
    """However late in the run."""
    assert ns_of_tick(tick) == round(tick * EXACT_TICK_NS)
    assert to_ns(np.array([tick]))[0] == ns_of_tick(tick)


@given(st.integers(0, 10**16))
def test_every_nanosecond_belongs_to_one_tick(time_ns: int):
    """The one that has begun and whose successor has not."""
    tick = tick_of_ns(time_ns)
    assert ns_of_tick(tick) <= time_ns < ns_of_tick(tick + 1)


@given(st.tuples(rings, rings), st.integers(0, 600))
def test_last_and_next_injection(rings: tuple[tuple[int, int], tuple[int, int]], tick: int):
    """Those of a list of all injections; where both rings are injected at once, HER counts."""
    first, period = np.array(rings, dtype=np.int64).T.copy()
    injections = Injections(first, period)
    every = sorted(
        (begin + k * step, ring) for ring, (begin, step) in enumerate(rings, start=1) if step for k in range(700)
    )
    assert last_injection(injections, tick) == max((each for each in every if each[0] <= tick), default=(-1, 0))
    assert next_injection(injections, tick, NEVER) == min((at for at, _ in every if at > tick), default=NEVER)


def test_the_schedule_of_settings():
    """By default LER begins with the run and HER half a period later; without a rate there is no injection."""
    quiet = Injections.of(InjectionSettings())
    assert not quiet.is_on
    both = Injections.of(InjectionSettings(ler_hz=25.0, her_hz=12.5))
    assert both.is_on
    assert np.abs(both.period * TICK_NS - (40e6, 80e6)).max() < TICK_NS
    assert np.abs(both.first * TICK_NS - (0.0, 40e6)).max() < TICK_NS
    given = Injections.of(InjectionSettings(ler_hz=25.0, her_hz=25.0, ler_first_ms=3.0, her_first_ms=1.0))
    assert np.abs(given.first * TICK_NS - (3e6, 1e6)).max() < TICK_NS
