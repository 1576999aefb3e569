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
from daq.jit import Array, kernel
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
    vetoed_sections = np.unique(time_ns[vetoed] // section_ns) * section_ns  # all that is known without a schedule
    held = (
        (np.array(interval[:1]), np.array(interval[1:]))
        if injections.is_on
        else (vetoed_sections, vetoed_sections + section_ns)
    )
    stretches = ((blind.begin, blind.spacing_end), (blind.spacing_end, blind.end), held)
    begin, end = (np.concatenate([stretch[k] for stretch in stretches]) for k in range(2))
    cause = np.repeat(np.arange(len(CAUSES)), [stretch[0].size for stretch in stretches])
    row, section, begin, end = _cut(begin, end, *interval, section_ns)
    cause = cause[row]
    sections = section[:1] if interval[0] // section_ns == (interval[1] - 1) // section_ns else np.unique(section)
    place = np.searchsorted(sections, section)

    dead = _totals(cause, place, end - begin, np.zeros((len(CAUSES), sections.size), dtype=np.int64))
    if injections.is_on:
        ns = vetoed_ns(windows, injections, begin, end)
        veto = _totals(cause, place, ns, np.zeros_like(dead))
        dead[2] = veto[2] - veto[0] - veto[1]
    else:
        of_event = time_ns // section_ns
        first, last = np.searchsorted(of_event, sections), np.searchsorted(of_event, sections + 1)
        counted = np.concatenate([[0], np.cumsum(vetoed)])
        share = (counted[last] - counted[first]) / np.maximum(last - first, 1)
        left = np.maximum(dead[2] - dead[0] - dead[1], 0)
        dead[2] = np.rint(left * share).astype(np.int64)
    return sections, dict(zip(CAUSES, dead, strict=True))


def busy_time(n_events: int, *, interval: tuple[int, int], section_ns: int) -> tuple[Array, Array, Array]:
    """Return (sections, events in them, dead time in them [ns]) of a block whose collisions nobody could take.

    All of its time is dead for this one cause, *busy*, whatever else would have held it. When its events were is not
    known: they are shared out by time.
    """
    _, section, begin, end = _cut(np.array(interval[:1]), np.array(interval[1:]), *interval, section_ns)
    share = np.rint(n_events * (end - interval[0]) / (interval[1] - interval[0])).astype(np.int64)
    return section, np.diff(share, prepend=0), end - begin


@kernel
def _cut(begin: Array, end: Array, low: int, high: int, section_ns: int) -> tuple[Array, Array, Array, Array]:
    """Return (row, section, begin, end) of what of the stretches [begin, end) is in [low, high), cut into sections."""
    count = 0
    for i in range(begin.size):
        one, other = max(begin[i], low), min(end[i], high)
        if one < other:
            count += (other - 1) // section_ns - one // section_ns + 1
    out = np.empty((4, count), np.int64)
    k = 0
    for i in range(begin.size):
        one, other = max(begin[i], low), min(end[i], high)
        while one < other:
            section = one // section_ns
            out[0, k], out[1, k], out[2, k] = i, section, one
            one = min(other, (section + 1) * section_ns)
            out[3, k] = one
            k += 1
    return out[0], out[1], out[2], out[3]


@kernel
def _totals(cause: Array, place: Array, values: Array, out: Array) -> Array:
    """Add values up by (cause, place)."""
    for i in range(values.size):
        out[cause[i], place[i]] += values[i]
    return out
