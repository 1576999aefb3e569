"""Injection veto: the input bit ``veto`` of the GDL, and the time that it covers.

After an injection into a ring the veto holds everything for a while, then, until it ends, the ticks of the turn in
which the injected bunch comes by. Only the last injection counts, as the event record (Belle II's trigger time
distribution) has no other. A tick is vetoed as a whole, and every nanosecond belongs to one tick (`daq.clock`): the
vetoed time of a schedule of injections is a sum over whole numbers, exactly what the events in it are told.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from daq.clock import (
    NEVER,
    TICK_NS,
    TICKS_A_TURN,
    Injections,
    last_injection,
    next_injection,
    ns_of_tick,
    tick_of_ns,
)
from daq.event import EventBatch
from daq.jit import Array, kernel
from triggers.gdl.settings import RingVetoSettings, VetoSettings


class Windows(NamedTuple):
    """The windows of the veto in ticks, (3,) int64 by ring: none, LER, HER."""

    full: Array
    """Everything is vetoed before this time since the injection."""
    end: Array
    """Nothing is from here on."""
    gate: Array
    """Place in the turn where the gate opens."""
    length: Array
    """Length of the gate."""
    turn: int
    """Ticks of a turn."""

    @classmethod
    def of(cls, settings: VetoSettings) -> Windows:
        """Return the windows of the settings; a tick is in a window if its beginning is."""
        rings = [_in_ticks(ring) for ring in (settings.ler, settings.her)]
        full, end, gate, length = np.ascontiguousarray(np.array([(0, 0, 0, 0), *rings], dtype=np.int64).T)
        return cls(full, end, gate, length, TICKS_A_TURN)


def _in_ticks(ring: RingVetoSettings) -> tuple[int, int, int, int]:
    full, end, opens, closes = (
        math.ceil(1e3 * time_us / TICK_NS)
        for time_us in (ring.full_us, ring.end_us, ring.gate_begin_us, ring.gate_begin_us + ring.gate_length_us)
    )
    return full, end, opens, min(closes - opens, TICKS_A_TURN)


def veto_plane(windows: Windows, batch: EventBatch) -> Array:
    """Return the plane of the veto bit, (ceil(N / 64),) uint64.

    An event of an unknown ring, or with a time since the injection that cannot be, is not vetoed.
    """
    out = np.zeros(-(-batch.size // 64), dtype=np.uint64)
    _veto_plane(windows, batch["t_injection_us"], batch["injection_ring"], batch["bunch"], 1e3 / TICK_NS, out)
    return out


@kernel
def _veto_plane(windows: Windows, since_us: Array, ring: Array, bunch: Array, ticks_us: float, out: Array) -> None:
    for i in range(ring.size):
        which = ring[i]
        if 0 < which < windows.full.size and 0.0 <= since_us[i] < 1e5:
            since = np.int64(np.rint(since_us[i] * ticks_us))  # float32 is fine enough to tell the tick up to 65 ms
            place = (np.int64(bunch[i]) - windows.gate[which]) % windows.turn
            if since < windows.full[which] or (since < windows.end[which] and place < windows.length[which]):
                out[i // 64] |= np.uint64(1) << np.uint64(i % 64)


def vetoed_ns(windows: Windows, injections: Injections, begin_ns: Array, end_ns: Array) -> Array:
    """Return how much of each stretch of time [begin, end) is vetoed, (M,) int64 [ns]."""
    out = np.zeros(begin_ns.size, dtype=np.int64)
    _vetoed_ns(windows, injections, begin_ns, end_ns, NEVER, out)
    return out


@kernel
def _vetoed_ns(windows: Windows, injections: Injections, begin: Array, end: Array, never: int, out: Array) -> None:
    for i in range(out.size):
        if begin[i] >= end[i]:
            continue
        first, last = tick_of_ns(begin[i]), tick_of_ns(end[i] - 1)
        injected, ring = last_injection(injections, first)
        if ring == 0:
            injected, ring = last_injection(injections, next_injection(injections, first, never))
        while ring > 0 and injected <= last:  # where there is one injection, there is a next one
            after = next_injection(injections, injected, never)
            full = min(after, injected + windows.full[ring])
            stop = min(after, injected + windows.end[ring])
            out[i] += max(0, min(end[i], ns_of_tick(full)) - max(begin[i], ns_of_tick(injected)))
            # Gates: whole ticks first, then what of the outermost ticks lies outside of the stretch.
            low, high = max(full, first), min(stop, last + 1)
            if low < high:
                out[i] += _gates_ns(windows, ring, low, high)
                if low == first and _in_gate(windows, ring, first):
                    out[i] -= begin[i] - ns_of_tick(first)
                if high == last + 1 and _in_gate(windows, ring, last):
                    out[i] -= ns_of_tick(last + 1) - end[i]
            injected, ring = last_injection(injections, after)


@kernel
def _in_gate(windows: Windows, ring: int, tick: int) -> bool:
    return bool((tick - windows.gate[ring]) % windows.turn < windows.length[ring])


@kernel
def _gates_ns(windows: Windows, ring: int, low: int, high: int) -> int:
    """Return the time of all gates in the ticks [low, high)."""
    gate, length, turn = windows.gate[ring], windows.length[ring], windows.turn
    one, other = (low - gate) // turn, (high - gate) // turn  # the gates that low and high are in, or past
    opens, closes = one * turn + gate, other * turn + gate
    whole = _sum_of_ns(other - one, turn, opens + length) - _sum_of_ns(other - one, turn, opens)
    before = ns_of_tick(min(low, opens + length)) - ns_of_tick(opens)
    begun = ns_of_tick(min(high, closes + length)) - ns_of_tick(closes)
    return whole - before + begun


@kernel
def _sum_of_ns(count: int, step: int, tick: int) -> int:
    """Return the sum of ``ns_of_tick(tick + k * step)`` over k from 0 to ``count`` - 1, without a loop over k.

    By the Euclid-like reduction of sums of floor((a k + b) / c): Graham, Knuth and Patashnik, Concrete Mathematics,
    section 3.5.
    """
    total = count * (tick // 508887) * 4000000
    a, b, c = 8000000 * step, 8000000 * (tick % 508887) + 508887, 1017774
    n = count
    while n > 0:
        total += n * (n - 1) // 2 * (a // c) + n * (b // c)
        a, b = a % c, b % c
        n, b = (a * n + b) // c, (a * n + b) % c
        a, c = c, a
    return total
