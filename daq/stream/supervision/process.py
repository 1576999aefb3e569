"""The supervisor's hold on one process of a run: its pidfd, its pulse, its counts."""

from __future__ import annotations

import os
import select
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from daq.stream.node import Place
from daq.stream.statistics import Statistics
from daq.stream.supervision.health import Pulse


class Process:
    """One process of the run, across its restarts."""

    def __init__(self, place: Place):
        self.place = place
        self.pid = self.pidfd = -1
        self.restarts = self.hung = 0
        self.pulse = Pulse(place.name)
        self.statistics = Statistics(place.statistics)

    @property
    def frame(self) -> dict[str, Any]:
        """Return the last status frame, empty if there was none yet."""
        return self.pulse.frame

    def born(self, pid: int) -> None:
        """Take up the process that was just started; it may be dead already."""
        self.pid = pid
        self.pulse.born(time.monotonic())
        with suppress(ProcessLookupError):
            self.pidfd = os.pidfd_open(pid)

    def has_died(self, timeout_s: float = 0.0) -> bool:
        """Return whether it is dead, after waiting at most that long for it."""
        return self.pidfd < 0 or bool(select.select([self.pidfd], [], [], timeout_s)[0])

    def signal(self, which: signal.Signals) -> None:
        """Send a signal, if it is there to get it."""
        if self.pidfd >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.pidfd, which)

    def is_hung(self, now_s: float, hung_s: float) -> bool:
        """Return whether it does nothing at all any more, unless it waits for the disk."""
        if self.pulse.silent_s(now_s) < 0.1 * hung_s:
            return False
        try:
            _, _, after = Path(f"/proc/{self.pid}/stat").read_text().rpartition(") ")
        except (FileNotFoundError, ProcessLookupError):
            return False  # dead, which is another matter
        fields = after.split()
        cpu_s = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return self.pulse.is_hung(now_s, cpu_s, hung_s) and fields[0] != "D"

    def forget(self) -> None:
        """Let go of a dead process."""
        if self.pidfd >= 0:
            os.close(self.pidfd)
        self.pid = self.pidfd = -1
