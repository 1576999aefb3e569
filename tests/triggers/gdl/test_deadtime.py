"""Dead time by section: the union of all blind time, each nanosecond once, whatever the blocks."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from daq.clock import to_ns
from daq.event import Outcome
from daq.jit import Array
from tests.triggers.gdl.plain import PlainL1
from tests.triggers.gdl.test_injection import N_TICKS, periods, schedule, vetoed_ticks, vetos
from tests.triggers.gdl.test_timing import buffers
from triggers.gdl.deadtime import CAUSES, dead_time
from triggers.gdl.injection import Windows
from triggers.gdl.settings import TimingSettings, VetoSettings
from triggers.gdl.timing import Limits, blind_time, decide, initial_state

EDGES = to_ns(np.arange(N_TICKS + 1))
END_NS = int(EDGES[-1])
LONG_AGO = schedule((0, 0), (0, 0))


def booked(
    timing: TimingSettings, injections, columns: dict[str, Array], cuts: list[int], section_ns: int
) -> dict[int, list[int]]:
    """Return section -> dead time by cause of a run that is cut into blocks before the events ``cuts``."""
    limits = Limits.of(timing)
    state = initial_state(limits)
    totals: dict[int, list[int]] = {}
    n, time_ns = columns["time_ns"].size, columns["time_ns"]
    starts = [0, *sorted(cuts)]
    for begin, end in zip(starts, [*starts[1:], n], strict=True):
        part = {name: values[begin:end] for name, values in columns.items()}
        before = state.copy()
        outcome, opened = decide(
            limits, np.ones(end - begin, dtype=np.uint32), part["time_ns"], part["fired"], part["held"], state
        )
        interval = int(time_ns[begin]) if begin else 0, int(time_ns[end]) if end < n else END_NS
        sections, dead = dead_time(
            blind_time(before, outcome, part["time_ns"], opened),
            Windows.of(timing.veto),
            injections,
            interval=interval,
            section_ns=section_ns,
            time_ns=part["time_ns"],
            vetoed=part["vetoed"],
        )
        for place, section in enumerate(sections.tolist()):
            row = totals.setdefault(section, [0, 0, 0])
            for k, cause in enumerate(CAUSES):
                row[k] += int(dead[cause][place])
    return {section: row for section, row in totals.items() if any(row)}


def by_the_nanosecond(timing: TimingSettings, ticks: Array, columns: dict[str, Array], section_ns: int):
    """Return the same by asking of each nanosecond whether anything could be accepted, and if not, why."""
    cause = np.where(np.repeat(ticks, np.diff(EDGES)), 2, -1)
    plain = PlainL1(timing)
    times, fired, held = (columns[name].tolist() for name in ("time_ns", "fired", "held"))
    for now, on, up, following in zip(times, fired, held, [*times[1:], END_NS], strict=True):
        plain.event(now, fired=on, held=up)
        # Until the next event the cause can only change where a limit ends: look at each of those moments.
        buffer = timing.buffer
        changes = {now, *(then + timing.minimum_spacing_ns for then in plain.accepts[-1:])}
        changes |= {then + buffer.window_ns for then in plain.accepts} | set(plain.queue)
        moments = sorted({max(now, moment) for moment in changes if moment < following})
        for begin, end in pairwise([*moments, following]):
            blind = plain.blind(begin)
            if blind is not None:
                cause[begin:end] = 0 if blind is Outcome.L1_DEAD_SPACING else 1
    totals: dict[int, list[int]] = {}
    for begin in range(0, END_NS, section_ns):
        row = [int((cause[begin : begin + section_ns] == k).sum()) for k in range(3)]
        if any(row):
            totals[begin // section_ns] = row
    return totals


@given(
    vetos,
    buffers,
    st.integers(0, 500),
    st.tuples(periods, periods),
    st.tuples(periods, st.integers(1, 4000)),
    st.lists(st.integers(1, 149), max_size=5, unique=True),
    st.integers(900, 80_000),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=60)
def test_dead_time_is_that_of_each_nanosecond(veto, buffer, spacing, first, period, cuts, section_ns, seed):
    """Spacing, buffers and injection together, in any blocks and sections: exactly the brute-force integral."""
    timing = TimingSettings(minimum_spacing_ns=spacing, buffer=buffer, veto=veto)
    injections = schedule(first, period)
    ticks = vetoed_ticks(veto, injections)
    rng = np.random.default_rng(seed)
    at = np.sort(rng.integers(0, N_TICKS, 150))
    kind = rng.random(150)
    # Some lines have no veto: they fire in vetoed ticks too. Those that are held do so only there.
    columns = {
        "time_ns": EDGES[at],
        "vetoed": ticks[at],
        "fired": (kind < 0.3) | ((kind < 0.6) & ~ticks[at]),
        "held": (kind >= 0.3) & (kind < 0.6) & ticks[at],
    }
    found = booked(timing, injections, columns, cuts, section_ns)
    assert found == by_the_nanosecond(timing, ticks, columns, section_ns)


def test_without_a_schedule_vetoed_time_is_estimated():
    """Of the time that is not blind, the share of the events that are vetoed; sections without one have none."""
    timing = TimingSettings(minimum_spacing_ns=100)
    time_ns = np.arange(0, 40_000, 1000)
    vetoed = (np.arange(40) % 4 == 0) & (time_ns < 20_000)
    columns = {"time_ns": time_ns, "vetoed": vetoed, "fired": ~vetoed, "held": vetoed}
    found = booked(timing, LONG_AGO, columns, [], 20_000)
    assert found[0] == [1500, 0, round((20_000 - 1500) * 0.25)]
    assert found[1] == [2000, 0, 0]


def test_a_run_without_veto_has_no_dead_time_of_it():
    """No injections and no vetoed events: none, however long the stretch between two events."""
    columns = {name: np.zeros(1, dtype=np.bool_) for name in ("vetoed", "held")}
    columns |= {"time_ns": np.array([10]), "fired": np.ones(1, dtype=np.bool_)}
    assert booked(TimingSettings(veto=VetoSettings()), LONG_AGO, columns, [], 5) == {
        2: [5, 0, 0], **{k: [5, 0, 0] for k in range(3, 42)}
    }  # fmt: skip
