"""Dead time by luminosity section: every nanosecond of a block is live, or dead for one cause.

Causes, in order of priority: *spacing* and *buffer* (nothing at all can be accepted; see `triggers.gdl.timing`), then
*injection* (lines that the veto holds cannot fire). A stretch of dead time is cut where a section or the block ends;
what is left of it belongs to the next one. So the dead time of a run is that of its union, and delivered minus dead is
the live time of the vetoed lines. A line without ``!veto`` is also live in the dead time of injection. A whole block is
dead for the cause *busy* if the chain was slower than the clock of the run (`busy_time`).
"""

from __future__ import annotations

import numpy as np

from daq.clock import Injections
from daq.jit import Array
from triggers.gdl.injection import Windows, vetoed_ns
from triggers.gdl.timing import Blind

CAUSES = ("spacing", "buffer", "injection")


def dead_time(
    blind: Blind,
    windows: Windows,
    injections: Injections,
    *,
    interval: tuple[int, int],
    section_ns: int,
    time_ns: Array,
    vetoed: Array,
) -> tuple[Array, dict[str, Array]]:
    """Return the sections that a block has dead time in, rising, and cause -> (S,) int64 dead time in them [ns].

    Without a schedule of injections (a replay of recorded events) the vetoed time is not known. It is then estimated:
    of the time of a section that is not blind, the share of the block's events in it that are vetoed.

    Parameters
    ----------
    blind
        Blind time after accepts, of the block and what the one before has left.
    windows, injections
        The veto, and the schedule of injections.
    interval : (int, int)
        The time that the block stands for, [begin, end) [ns].
    section_ns : int
        Length of a luminosity section [ns].
    time_ns : (N,) int64
        Times of the events of the block, rising.
    vetoed : (N,) bool
        The veto bit of the events.
    """
    begin, end = interval
    rows = {
        "spacing": _pieces(blind.begin, blind.spacing_end, interval, section_ns),
        "buffer": _pieces(blind.spacing_end, blind.end, interval, section_ns),
    }
    section = time_ns // section_ns
    if injections.is_on:
        rows["injection"] = _pieces(np.array([begin]), np.array([end]), interval, section_ns)
    else:  # only the sections with vetoed events
        some = np.unique(section[vetoed])
        rows["injection"] = np.stack(
            [some, np.maximum(begin, some * section_ns), np.minimum(end, (some + 1) * section_ns)], axis=1
        )
    sections = np.unique(np.concatenate([pieces[:, 0] for pieces in rows.values()]))

    def totals(values: dict[str, Array]) -> dict[str, Array]:
        sums = {cause: np.zeros(sections.size, dtype=np.int64) for cause in rows}
        for cause, pieces in rows.items():
            np.add.at(sums[cause], np.searchsorted(sections, pieces[:, 0]), values[cause])
        return sums

    dead = totals({cause: pieces[:, 2] - pieces[:, 1] for cause, pieces in rows.items()})
    if injections.is_on:
        veto = totals({cause: vetoed_ns(windows, injections, *pieces.T[1:]) for cause, pieces in rows.items()})
        dead["injection"] = veto["injection"] - veto["spacing"] - veto["buffer"]
    else:
        first, last = np.searchsorted(section, sections), np.searchsorted(section, sections + 1)
        counted = np.concatenate([[0], np.cumsum(vetoed)])
        share = (counted[last] - counted[first]) / np.maximum(last - first, 1)
        left = np.maximum(dead["injection"] - dead["spacing"] - dead["buffer"], 0)
        dead["injection"] = np.rint(left * share).astype(np.int64)
    return sections, dead


def busy_time(n_events: int, *, interval: tuple[int, int], section_ns: int) -> tuple[Array, Array, Array]:
    """Return (sections, events in them, dead time in them [ns]) of a block whose collisions nobody could take.

    All of its time is dead for this one cause, *busy*, whatever else would have held it. When its events were is not
    known: they are shared out by time.
    """
    section, begin, end = _pieces(np.array(interval[:1]), np.array(interval[1:]), interval, section_ns).T
    share = np.rint(n_events * (end - interval[0]) / (interval[1] - interval[0])).astype(np.int64)
    return section, np.diff(share, prepend=0), end - begin


def _pieces(begin: Array, end: Array, interval: tuple[int, int], section_ns: int) -> Array:
    """Return (section, begin, end) of what of the stretches [begin, end) is in the interval, cut into sections."""
    begin, end = np.maximum(begin, interval[0]), np.minimum(end, interval[1])
    inside = begin < end
    begin, end = begin[inside], end[inside]
    first = begin // section_ns
    counts = (end - 1) // section_ns - first + 1
    row = np.repeat(np.arange(begin.size), counts)
    section = first[row] + np.arange(row.size) - np.repeat(np.cumsum(counts) - counts, counts)
    cut = (section, np.maximum(begin[row], section * section_ns), np.minimum(end[row], (section + 1) * section_ns))
    return np.stack(cut, axis=1)
