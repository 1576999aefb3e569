"""What a process counts, in plain arrays.

One row of `COUNTERS` a number, one histogram of latencies. The arrays lie in a small file that is mapped into memory:
counting is an addition, and what a process counted before a SIGKILL is still there for its successor and for the
summary of the run. Monitors read the same object in-process; nothing here knows of them.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

BUCKETS_S: NDArray[np.float64] = np.geomspace(1e-5, 10.0, 25)
"""Upper edges of the latency histogram [s]: four a decade; one more bucket holds what is slower."""


class Counter(NamedTuple):
    """One number that a process keeps."""

    name: str
    meaning: str
    is_gauge: bool = False  # a gauge is the present value, anything else only grows


COUNTERS: tuple[Counter, ...] = (
    Counter("blocks_in", "blocks received, or made by the source"),
    Counter("events_in", "events alive in those blocks"),
    Counter("bytes_in", "bytes of those blocks on the wire"),
    Counter("blocks_out", "blocks sent, or made durable by the spool"),
    Counter("events_out", "events alive in those blocks"),
    Counter("bytes_out", "bytes of those blocks on the wire, or on disk"),
    Counter("busy_ns", "time spent on blocks [ns]"),
    Counter("cpu_ns", "CPU time of the whole process [ns]"),
    Counter("wire_errors", "frames that did not check out"),
    Counter("refused", "messages of barred peers dropped unread, and peers that were not let in"),
    Counter("resends", "blocks sent once more by the source"),
    Counter("lost_blocks", "blocks whose collisions the source could not hand over in time"),
    Counter("disk_errors", "times that a part could not be stored"),
    Counter("duplicates", "blocks that the spool had already"),
    Counter("strays", "blocks addressed to a predecessor of this process"),
    Counter("starts", "times the process was started"),
    Counter("queue", "blocks held in this process", is_gauge=True),
    Counter("oldest_ms", "age of the oldest of them [ms]; source and spool", is_gauge=True),
    Counter("credits", "blocks that could be sent now", is_gauge=True),
    Counter("current_block", "block at work, or -1", is_gauge=True),
)
_INDEX = {counter.name: index for index, counter in enumerate(COUNTERS)}


class Statistics:
    """The numbers of one process (role and slot), also across its restarts.

    ``statistics["blocks_in"] += 1`` counts; ``observe`` fills the latency histogram by batch.
    """

    def __init__(self, path: Path | None = None):
        size = len(COUNTERS) + BUCKETS_S.size + 1
        self._words: NDArray[np.int64]
        if path is None:
            self._words = np.zeros(size, dtype=np.int64)
        else:
            with path.open("ab") as file:  # all its bytes now: a full disk must not be a bus error later
                os.posix_fallocate(file.fileno(), 0, 8 * size)
            self._words = np.memmap(path, dtype=np.int64, mode="r+", shape=(size,))
        self._counters = self._words[: len(COUNTERS)]
        self.latency = self._words[len(COUNTERS) :]
        """Events by latency: bucket i holds those up to ``BUCKETS_S[i]``, the last those beyond."""
        self._cpu_before_ns = self["cpu_ns"]

    def begin(self) -> None:
        """Note that a process starts to count here."""
        self["starts"] += 1
        self["current_block"] = -1

    def __getitem__(self, name: str) -> int:
        return int(self._counters[_INDEX[name]])

    def __setitem__(self, name: str, value: int) -> None:
        self._counters[_INDEX[name]] = value

    def observe(self, seconds: float, events: int) -> None:
        """Count ``events`` that took ``seconds`` each."""
        self.latency[np.searchsorted(BUCKETS_S, seconds)] += events

    def note_cpu(self) -> None:
        """Bring ``cpu_ns`` up to date: one system call, so once a status frame."""
        self["cpu_ns"] = self._cpu_before_ns + time.process_time_ns()

    def snapshot(self) -> dict[str, Any]:
        """Return all numbers by name, and the latency quantiles [s]."""
        values = {counter.name: int(value) for counter, value in zip(COUNTERS, self._counters, strict=True)}
        return {**values, "latency_s": quantiles(self.latency)}


def quantiles(latency: NDArray[np.int64]) -> dict[str, float | None]:
    """Return p50, p90, p99 and the number of events of a latency histogram.

    A quantile is the upper edge of its bucket [s], so true to a factor 1.8; None without events, and for what lies
    beyond the last edge the last edge.
    """
    total = int(latency.sum())
    if not total:
        return {"events": 0, "p50": None, "p90": None, "p99": None}
    edges = np.append(BUCKETS_S, BUCKETS_S[-1])
    rank = np.searchsorted(np.cumsum(latency), np.array([0.50, 0.90, 0.99]) * total)
    return {"events": total, **{f"p{q}": float(edges[i]) for q, i in zip((50, 90, 99), rank, strict=True)}}
