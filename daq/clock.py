"""The clocks of the collider: ticks, turns, and when bunches are injected. All of it is a function of time alone.

SuperKEKB's radio frequency is 508.887 MHz; a turn of 5120 buckets is 1280 ticks of four buckets, 4000000 / 508887 ns
= 7.860 ns each (Belle II public software, trigger time distribution). Times of events are whole nanoseconds: tick k
begins at its exact time, rounded (never a tie, 508887 is odd), and ends where the next one begins, so that every
nanosecond belongs to one tick. The arithmetic is on integers: nothing drifts in a long run, and what is vetoed can be
added up exactly.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from daq.jit import Array, kernel
from daq.settings import InjectionSettings

RF_HZ = 508.887e6
TICK_NS = 4e9 / RF_HZ
TICKS_A_TURN = 1280
NEVER = 2**62


class Injections(NamedTuple):
    """When bunches are injected, for the rings LER and HER: at ``first``, and every ``period`` after it."""

    first: Array
    """(2,) int64 tick of the first injection since the start of the run."""
    period: Array
    """(2,) int64 ticks from one to the next; 0 if there is none."""

    @classmethod
    def of(cls, settings: InjectionSettings) -> Injections:
        """Return the schedule of a run; its times are rounded to ticks."""
        rates = (settings.ler_hz, settings.her_hz)
        period_ns = [1e9 / rate if rate else 0.0 for rate in rates]
        apart = (0.0, 0.5 * period_ns[1])  # by default the rings take turns
        given = (settings.ler_first_ms, settings.her_first_ms)
        first_ns = [default if ms is None else ms * 1e6 for ms, default in zip(given, apart, strict=True)]
        first, period = (np.rint(np.array(ns) / TICK_NS).astype(np.int64) for ns in (first_ns, period_ns))
        return cls(first, period)

    @property
    def is_on(self) -> bool:
        """Return whether there is any injection."""
        return bool(self.period.any())

    def since(self, ticks: Array) -> tuple[Array, Array]:
        """Return the time since the last injection [us], float32, infinite if there was none, and its ring."""
        since_us, ring = np.empty(ticks.size, dtype="<f4"), np.empty(ticks.size, dtype="|u1")
        _since(self, ticks, TICK_NS * 1e-3, since_us, ring)
        return since_us, ring


@kernel
def ns_of_tick(tick: int) -> int:
    """Return the first nanosecond of a tick."""
    rest = tick % 508887
    return tick // 508887 * 4000000 + (8000000 * rest + 508887) // 1017774


@kernel
def tick_of_ns(time_ns: int) -> int:
    """Return the tick that a nanosecond belongs to."""
    tick = time_ns // 4000000 * 508887 + time_ns % 4000000 * 508887 // 4000000
    return tick + 1 if ns_of_tick(tick + 1) <= time_ns else tick


@kernel
def last_injection(injections: Injections, tick: int) -> tuple[int, int]:
    """Return (tick, ring) of the last injection at or before ``tick``; ring 0 if there was none. HER wins a tie."""
    last, ring = -1, 0
    for k in range(injections.first.size):
        if injections.period[k] > 0 and tick >= injections.first[k]:
            injected = tick - (tick - injections.first[k]) % injections.period[k]
            if injected >= last:
                last, ring = injected, k + 1  # as in `daq.event.InjectionRing`
    return last, ring


@kernel
def next_injection(injections: Injections, tick: int, never: int) -> int:
    """Return the tick of the first injection after ``tick``, ``never`` if there is none."""
    soonest = never
    for k in range(injections.first.size):
        if injections.period[k] > 0:
            injected = injections.first[k]
            if tick >= injected:
                injected = tick + injections.period[k] - (tick - injected) % injections.period[k]
            soonest = min(soonest, injected)
    return soonest


def to_ns(ticks: Array) -> Array:
    """Return the first nanoseconds of ticks, int64."""
    out = np.empty(ticks.size, dtype="<i8")
    _to_ns(ticks, out)
    return out


@kernel
def _to_ns(ticks: Array, out: Array) -> None:
    for i in range(ticks.size):
        out[i] = ns_of_tick(ticks[i])


@kernel
def _since(injections: Injections, ticks: Array, tick_us: float, since_us: Array, rings: Array) -> None:
    for i in range(ticks.size):
        injected, ring = last_injection(injections, ticks[i])
        since_us[i] = (ticks[i] - injected) * tick_us if ring else np.inf
        rings[i] = ring
