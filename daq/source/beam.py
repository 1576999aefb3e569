"""The beam clock: when events collide.

The collision times are a Poisson process, rounded down to the ticks of the machine (`daq.clock`). Its rate goes with
the luminosity, and only ticks with a bunch have collisions (`daq.source.luminosity`).

Event k's time may depend on (seed, run, k) alone, though a Poisson process is a sum over all earlier events. So events
come in groups of 1024 on a fixed grid, in the time that it would take at full luminosity: that of 1024 collisions is a
Gamma(1024) number, and given the last of them the other 1023 are uniform and sorted. Both are drawn from the group's
own counter; only the group times are summed. The profile of the luminosity then stretches this time.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from daq.clock import RF_HZ, TICKS_A_TURN, Injections, to_ns
from daq.event import TimType
from daq.jit import Array, kernel
from daq.philox import STREAM_BEAM, STREAM_BEAM_TIMES, exponential, new_draws, normal, start, uniform
from daq.settings import BeamSettings
from daq.source.luminosity import Pattern, Profile, bunch_tick, time_of

_GROUP = 1024


class Beam:
    """Collision times of one run, and the luminosity that they come with.

    Approximate: top-up injections leave the luminosity as it is, and every bunch has the same share of it.
    """

    def __init__(self, settings: BeamSettings, *, rate_hz: float, seed: int, run: int):
        """Take the rate of collisions at full luminosity."""
        self.rate_hz = rate_hz
        self._luminosity_cm2_s = settings.luminosity_cm2_s
        self._profile = Profile.of(settings.profile)
        self._pattern = Pattern.of(settings.bunches)
        self.injections = Injections.of(settings.injection)
        self._seed, self._run = seed, run
        # A block asks for its times, its begin and its end, which is the begin of the next.
        self._group = functools.lru_cache(maxsize=4)(self._make_group)
        self._group_ends = np.zeros(1, dtype=np.int64)  # [g] is the end of group g - 1 [ticks]; grows as needed

    def stamp(self, first: int, count: int) -> dict[str, Array]:
        """Return the columns of the event model that the clock fills, for ``count`` events from ``first``."""
        ticks = self._ticks(first, count)
        since_us, ring = self.injections.since(ticks)
        return {
            "run": np.full(count, self._run, dtype="<u4"),
            "event": np.arange(first, first + count, dtype="<u8"),
            "time_ns": to_ns(ticks),
            "bunch": (ticks % TICKS_A_TURN).astype("<u2"),
            "t_injection_us": since_us,
            "injection_ring": ring,
            "tim_type": np.full(count, TimType.PHYSICS, dtype="|u1"),
        }

    def interval_ns(self, first: int, count: int) -> tuple[int, int]:
        """Return the stretch [begin, end) of the run that belongs to these events.

        It reaches from the first of them (for event 0: from the start of the run) to the first that follows, so
        the intervals of consecutive ranges tile the run.
        """
        return self._time_ns(first) if first else 0, self._time_ns(first + count) if first + count else 0

    def delivered_fb(self, begin_ns: int, end_ns: int) -> float:
        """Return the luminosity delivered in the interval [fb-1]."""
        full_s = self._profile.full_s(end_ns * 1e-9) - self._profile.full_s(begin_ns * 1e-9)
        return self._luminosity_cm2_s * full_s * 1e-39  # 1 fb-1 = 1e39 cm-2

    def _time_ns(self, event: int) -> int:
        return int(to_ns(self._ticks(event, 1))[0])

    def _ticks(self, first: int, count: int) -> Array:
        first_group, end_group = first // _GROUP, -(-(first + count) // _GROUP)
        groups = [np.empty(0, dtype=np.int64), *map(self._group, range(first_group, end_group))]
        return np.concatenate(groups)[first - first_group * _GROUP :][:count]

    def _make_group(self, group: int) -> Array:
        """Return the ticks of a group of events."""
        self._extend(group + 1)
        ticks = np.empty(_GROUP, dtype=np.int64)
        ends = self._group_ends[group], self._group_ends[group + 1]
        key = (self._seed, self._run, STREAM_BEAM_TIMES)
        _fill_group(key, new_draws(), group, ends, self._profile, self._pattern, ticks)
        return ticks

    def _extend(self, n_groups: int) -> None:
        known = self._group_ends.size - 1
        if n_groups > known:
            wanted = max(n_groups, 2 * known)
            lengths = np.empty(wanted - known, dtype=np.int64)
            key = (self._seed, self._run, STREAM_BEAM)
            _group_lengths(key, new_draws(), known, _GROUP, RF_HZ / 4 / self.rate_hz, lengths)
            self._group_ends = np.concatenate([self._group_ends, self._group_ends[-1] + np.cumsum(lengths)])


@kernel
def _gamma(draws: Any, shape: float) -> float:
    """Return a Gamma(shape >= 1) number of scale 1; Marsaglia and Tsang, ACM TOMS 26 (2000) 363."""
    d = shape - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    while True:
        x = normal(draws)
        v = (1.0 + c * x) ** 3
        if v > 0.0 and math.log(uniform(draws)) < 0.5 * x * x + d - d * v + d * math.log(v):
            return d * v


@kernel
def _group_lengths(
    key: tuple[int, int, int], states: Array, first: int, size: int, ticks_an_event: float, out: Array
) -> None:
    draws = states[0]
    seed, run, stream = key
    for i in range(out.size):
        start(draws, seed, run, first + i, stream)
        out[i] = np.int64(math.ceil(_gamma(draws, float(size)) * ticks_an_event))


@kernel
def _fill_group(
    key: tuple[int, int, int], states: Array, group: int, ends: tuple[int, int], profile: Profile, pattern: Pattern,
    out: Array,
) -> None:  # fmt: skip
    draws = states[0]
    seed, run, stream = key
    start(draws, seed, run, group, stream)
    begin, length = ends[0], ends[1] - ends[0]
    # Sorted uniform numbers are the running sum of exponential gaps over their total.
    gaps = np.empty(out.size)
    total = 0.0
    for j in range(out.size):
        total += exponential(draws)
        gaps[j] = total
    for j in range(out.size):
        out[j] = bunch_tick(pattern, time_of(profile, begin + gaps[j] / total * length))
