"""The timing of the L1 once more, event by event in plain Python: lists, a queue, no arithmetic on sums."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from daq.event import InjectionRing, Outcome
from triggers.gdl.settings import TimingSettings


@dataclass
class PlainL1:
    """One run: what became of each event, and why nothing can be accepted at some time."""

    timing: TimingSettings
    accepts: list[int] = field(default_factory=list)
    """Times of all accepts [ns]."""
    queue: deque[int] = field(default_factory=deque)
    """Times at which the events in the FIFO will have been read out."""

    def blind(self, now: int) -> Outcome | None:
        """Return the cause for which nothing can be accepted now, None if something can."""
        buffer = self.timing.buffer
        if self.accepts and now < self.accepts[-1] + self.timing.minimum_spacing_ns:
            return Outcome.L1_DEAD_SPACING
        while self.queue and self.queue[0] <= now:
            self.queue.popleft()
        recent = [then for then in self.accepts if then > now - buffer.window_ns]
        if buffer.window_accepts and len(recent) >= buffer.window_accepts:
            return Outcome.L1_DEAD_BUFFER
        if buffer.fifo_depth and len(self.queue) >= buffer.fifo_depth:
            return Outcome.L1_DEAD_BUFFER
        return None

    def event(self, now: int, *, fired: bool, held: bool) -> Outcome:
        """Return what becomes of an event that the lines accept (``fired``), or would without veto (``held``)."""
        if not fired and not held:
            return Outcome.L1_REJECTED
        cause = self.blind(now)
        if cause is not None:
            return cause
        if not fired:
            return Outcome.L1_DEAD_INJECTION
        self.accepts.append(now)
        free = self.queue[-1] if self.queue else now
        self.queue.append(max(now, free) + self.timing.buffer.readout_ns)
        return Outcome.KEPT

    def vetoed(self, since_ticks: int, ring: int, bunch: int) -> bool:
        """Return whether the injection veto is on, so many ticks after the last injection."""
        if ring == InjectionRing.NONE:
            return False
        windows = self.timing.veto.ler if ring == InjectionRing.LER else self.timing.veto.her
        since_us, place_us, turn_us = (ticks * 4000 / 508_887 for ticks in (since_ticks, bunch, 1280))
        opens, closes = windows.gate_begin_us, windows.gate_begin_us + windows.gate_length_us
        is_open = opens <= place_us < closes or opens <= place_us + turn_us < closes
        return since_us < windows.full_us or (since_us < windows.end_us and is_open)
