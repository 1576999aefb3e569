"""Whether a process is alive, and which one holds up the run. Pure: times and frames come as arguments.

A process sends status frames from the loop that does its work, so one that is stopped, dead-locked or lost in a kernel
falls silent. One that computes gets ten times the patience of one that uses no CPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_BUSY_PATIENCE = 10
_BUSY_CPU = 0.1  # of the silent time: above it a process computes


class Pulse:
    """What is known of the life of one process since it was born."""

    def __init__(self, name: str):
        self.name = name
        self.born(0.0)

    def born(self, now_s: float) -> None:
        """Begin to watch a new process."""
        self.frame: dict[str, Any] = {}
        self._spoke_s = self._moved_s = self._at_block_s = now_s
        self._cpu_s: float | None = None

    def spoke(self, frame: dict[str, Any], now_s: float) -> None:
        """Take in a status frame."""
        before, after = self.frame.get("statistics", {}), frame["statistics"]
        if any(before.get(name) != after[name] for name in ("blocks_in", "blocks_out")):
            self._moved_s = now_s
        if before.get("current_block") != after["current_block"]:
            self._at_block_s = now_s
        self.frame, self._spoke_s, self._cpu_s = frame, now_s, None

    def forgive(self, seconds: float) -> None:
        """Leave out a time in which nobody listened."""
        self._spoke_s += seconds
        self._moved_s += seconds
        self._at_block_s += seconds

    def silent_s(self, now_s: float) -> float:
        """Return for how long it has said nothing [s]."""
        return now_s - self._spoke_s

    def is_hung(self, now_s: float, cpu_s: float, hung_s: float) -> bool:
        """Return whether it has been silent for too long; ``cpu_s`` is all the CPU time that it has used.

        To be asked again and again while it is silent.
        """
        if self._cpu_s is None:
            self._cpu_s = cpu_s
        silent_s = self.silent_s(now_s)
        computes = cpu_s - self._cpu_s > _BUSY_CPU * silent_s
        return silent_s > hung_s * (_BUSY_PATIENCE if computes else 1)

    def holds_up(self, now_s: float, after_s: float) -> str | None:
        """Return how this process holds up the run, None if it does not, or not for long enough."""
        if trouble := self.frame.get("trouble"):
            return f"{self.name}: {trouble}"
        if (silent_s := self.silent_s(now_s)) > after_s:
            return f"{self.name} has said nothing for {silent_s:.0f} s"
        if not self.frame:
            return None
        block, at_block_s = self.frame["statistics"]["current_block"], now_s - self._at_block_s
        if block >= 0 and at_block_s > after_s:
            return f"{self.name} has been at block {block} for {at_block_s:.0f} s"
        return None

    def has_work_waiting(self, now_s: float, after_s: float) -> bool:
        """Return whether blocks wait here to be passed on, and none has been for long enough."""
        return self.frame.get("statistics", {}).get("queue", 0) > 0 and now_s - self._moved_s > after_s


def stalled_stage(downstream: Sequence[Pulse], now_s: float, after_s: float) -> str | None:
    """Return which process holds up a run in which nothing becomes durable any more, and how; None if none has work.

    Parameters
    ----------
    downstream
        All processes, in the order spool, workers, L1, source: who is further down is asked first.
    now_s, after_s
        Time, and how long a process may be at one thing without being suspect [s].
    """
    for pulse in downstream:
        if (reason := pulse.holds_up(now_s, after_s)) is not None:
            return reason
    for pulse in downstream:
        if pulse.has_work_waiting(now_s, after_s):
            return f"{pulse.name} has blocks that nobody takes, or waits for one that does not come"
    return None
