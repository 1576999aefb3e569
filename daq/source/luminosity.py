"""How the luminosity goes with time, and which ticks of a turn have colliding bunches.

A *fill* begins at full luminosity, is held there for a while if the luminosity is levelled, and decays exponentially
until the next fill takes its place. Both the integral of this and its inverse are closed forms, so that collisions at
any time cost no more than collisions at a constant rate.

Approximate: a new fill is there at once, without the minutes that the machine takes for it; all bunches share alike.
"""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import numpy as np

from daq.clock import TICK_NS, TICKS_A_TURN
from daq.jit import Array, kernel_lean
from daq.settings import BunchSettings, ProfileSettings


class Profile(NamedTuple):
    """Luminosity against time, in ticks; *full* time is that which full luminosity would need for as much of it."""

    levelled: float
    """How long a fill stays at full luminosity."""
    lifetime: float
    """Lifetime of what follows."""
    fill: float
    """Length of a fill; 0 if the luminosity is constant."""
    full_in_fill: float
    """Full time of a whole fill."""

    @classmethod
    def of(cls, settings: ProfileSettings) -> Profile:
        """Return the profile of a run."""
        if settings.lifetime_s is None or settings.fill_s is None:
            return cls(0.0, 0.0, 0.0, 0.0)
        seconds = (settings.levelled_s or 0.0, settings.lifetime_s, settings.fill_s)
        levelled, lifetime, fill = (value * 1e9 / TICK_NS for value in seconds)
        return cls(levelled, lifetime, fill, levelled - lifetime * math.expm1(-(fill - levelled) / lifetime))

    def full_s(self, time_s: float) -> float:
        """Return the full time of the first ``time_s`` seconds of the run [s]."""
        if self.fill == 0.0:
            return time_s
        fills, rest = divmod(time_s * 1e9 / TICK_NS, self.fill)
        decayed = max(0.0, rest - self.levelled)
        in_fill = rest if rest < self.levelled else self.levelled - self.lifetime * math.expm1(-decayed / self.lifetime)
        return (fills * self.full_in_fill + in_fill) * TICK_NS * 1e-9


class Pattern(NamedTuple):
    """The ticks of a turn in which bunches collide."""

    filled: Array
    """(B,) int64 rising places in the turn."""
    share: float
    """Share of all ticks that this is."""
    turn: int
    """Ticks of a turn."""

    @classmethod
    def of(cls, settings: BunchSettings) -> Pattern:
        """Return the pattern of a run: trains of the same length, a gap after each."""
        edges = TICKS_A_TURN * np.arange(settings.trains + 1) // settings.trains
        trains = [
            np.arange(begin, end - settings.gap_ticks, settings.spacing_ticks)
            for begin, end in itertools.pairwise(edges)
        ]
        filled = np.concatenate(trains).astype(np.int64)
        return cls(filled, filled.size / TICKS_A_TURN, TICKS_A_TURN)


@kernel_lean
def time_of(profile: Profile, full: float) -> float:
    """Return the time, in ticks since the start of the run, at which so much full time has passed."""
    if profile.fill == 0.0:
        return full
    fills = math.floor(full / profile.full_in_fill)
    rest = max(0.0, full - fills * profile.full_in_fill)
    if rest >= profile.levelled:
        # The last digits may reach beyond the end of the fill: no collision is lost to them.
        left = max(1e-300, 1.0 - (rest - profile.levelled) / profile.lifetime)
        rest = profile.levelled - profile.lifetime * math.log(left)
    return fills * profile.fill + min(rest, profile.fill)


@kernel_lean
def bunch_tick(pattern: Pattern, time: float) -> int:
    """Return the tick with a bunch that stands for a time: as many of them before it as the turns so far have had."""
    passed = int(time * pattern.share)
    turn = passed // pattern.filled.size
    place: int = pattern.filled[passed - turn * pattern.filled.size]
    return turn * pattern.turn + place
