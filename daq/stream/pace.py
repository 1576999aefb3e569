"""The clock of a run that is paced: how far the collisions have come. Pure: whoever asks says what time it is.

The clock runs ``speed`` seconds a second. It stands still while the run is paused and while there is no source: time
in which nobody looks at collisions is not part of the run, and has no luminosity.
"""

from __future__ import annotations


class RunClock:
    """Time of the run [ns] against the time of the machine [s]."""

    def __init__(self, speed: float):
        self.speed = speed
        self._since: tuple[float, int] | None = None

    def run_from(self, now_s: float, run_ns: int) -> None:
        """Let the clock run, from ``run_ns`` at ``now_s`` on; one that runs already is left alone."""
        if self._since is None:
            self._since = now_s, run_ns

    def halt(self) -> None:
        """Let the clock stand still."""
        self._since = None

    def late_s(self, now_s: float, run_ns: int) -> float:
        """Return how long ago ``run_ns`` was [s of the machine]; negative for how long until then."""
        if self._since is None:
            raise RuntimeError("the clock of the run stands still")
        then_s, then_ns = self._since
        return (now_s - then_s) - (run_ns - then_ns) * 1e-9 / self.speed
