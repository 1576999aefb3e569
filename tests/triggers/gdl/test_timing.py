"""Time after accepts: minimum spacing, window and FIFO, against a simulation event by event."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from daq.errors import InputError
from daq.event import Outcome
from daq.jit import Array
from tests.triggers.gdl.plain import PlainL1
from triggers.gdl.settings import BufferSettings, TimingSettings
from triggers.gdl.timing import Limits, blind_time, decide, initial_state

events = st.lists(st.tuples(st.integers(0, 300), st.sampled_from(["fired", "held", "none"])), max_size=60)
buffers = st.builds(
    BufferSettings,
    window_accepts=st.integers(0, 4),
    window_ns=st.integers(1, 1500),
    fifo_depth=st.integers(0, 4),
    readout_ns=st.integers(1, 500),
)
timings = st.builds(TimingSettings, minimum_spacing_ns=st.integers(0, 500), buffer=buffers)
SPACING = TimingSettings(minimum_spacing_ns=200)


def arrays_of(gaps: list[tuple[int, str]]) -> tuple[Array, Array, Array, Array]:
    """Return (run, time_ns, fired, held) of events with the gaps in time."""
    time_ns = np.cumsum([gap for gap, _ in gaps], dtype=np.int64)
    fired, held = (np.array([what == each for _, what in gaps], dtype=np.bool_) for each in ("fired", "held"))
    return np.full(len(gaps), 3, dtype=np.uint32), time_ns, fired, held


def decided(timing: TimingSettings, *columns: Array, state: Array | None = None) -> tuple[Array, Array, Array]:
    """Return outcomes, opened blind time, and the state afterwards."""
    limits = Limits.of(timing)
    after = initial_state(limits) if state is None else state.copy()
    return *decide(limits, *columns, after), after


@given(events, timings)
def test_outcomes_are_those_of_a_simulation_event_by_event(gaps: list[tuple[int, str]], timing: TimingSettings):
    """Every outcome with its cause, whatever the rules."""
    run, time_ns, fired, held = arrays_of(gaps)
    plain = PlainL1(timing)
    expected = [plain.event(now, fired=on, held=up) for now, on, up in zip(time_ns.tolist(), fired, held, strict=True)]
    assert_array_equal(decided(timing, run, time_ns, fired, held)[0], np.array(expected, dtype=np.uint8))


@given(events, timings)
def test_blind_time_is_where_nothing_could_be_accepted(gaps: list[tuple[int, str]], timing: TimingSettings):
    """Nanosecond by nanosecond: a probe is lost, for the cause said, exactly in the blind time of that cause."""
    run, time_ns, fired, held = arrays_of(gaps)
    outcome, opened, _ = decided(timing, run, time_ns, fired, held)
    blind = blind_time(initial_state(Limits.of(timing)), outcome, time_ns, opened)
    probes = np.arange(0, 2000 + (time_ns[-1] if time_ns.size else 0))
    found = np.full(probes.size, -1)
    for begin, spacing_end, end in zip(*blind, strict=True):
        found[(probes >= max(0, spacing_end)) & (probes < end)] = Outcome.L1_DEAD_BUFFER
        found[(probes >= begin) & (probes < spacing_end)] = Outcome.L1_DEAD_SPACING
    plain, kept = PlainL1(timing), dict.fromkeys(time_ns[outcome == Outcome.KEPT].tolist(), 0)
    for now in time_ns[outcome == Outcome.KEPT].tolist():
        kept[now] += 1
    expected = []
    for now in probes.tolist():
        for _ in range(kept.get(now, 0)):  # a probe sees the accepts of its own nanosecond
            plain.event(now, fired=True, held=False)
        cause = plain.blind(now)
        expected.append(-1 if cause is None else int(cause))
    assert_array_equal(found, expected)
    assert (blind.begin[1:] <= blind.spacing_end[1:]).all()
    assert (blind.spacing_end <= blind.end).all()
    assert (blind.end[:-1] <= blind.begin[1:]).all()


@given(events, timings, st.lists(st.integers(0, 60), max_size=6))
def test_any_cut_into_blocks_gives_the_same_outcomes(
    gaps: list[tuple[int, str]], timing: TimingSettings, cuts: list[int]
):
    """The state carries all that a block needs to know of the blocks before, also of empty ones."""
    columns = arrays_of(gaps)
    outcome, opened, last = decided(timing, *columns)
    state = None
    parts = []
    for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(gaps)], strict=True):
        *part, state = decided(timing, *(column[begin:end] for column in columns), state=state)
        parts.append(part)
    assert_array_equal(np.concatenate([part[0] for part in parts])[: outcome.size], outcome)
    assert_array_equal(np.concatenate([part[1] for part in parts], axis=1)[:, : outcome.size], opened)
    assert state is not None
    assert_array_equal(state, last)


def test_the_window_of_the_silicon_readout():
    """Five accepts in 26 us, then none until the first of them is 26 us ago."""
    timing = TimingSettings(buffer=BufferSettings(window_accepts=5))
    times = np.array([0, 1000, 2000, 3000, 4000, 5000, 25_999, 26_000, 26_999, 27_000])
    fired = np.ones(times.size, dtype=np.bool_)
    outcome, _, _ = decided(timing, np.zeros(times.size, dtype=np.uint32), times, fired, ~fired)
    kept = [0, 1000, 2000, 3000, 4000, 26_000, 27_000]
    assert times[outcome == Outcome.KEPT].tolist() == kept
    assert set(outcome[outcome != Outcome.KEPT].tolist()) == {Outcome.L1_DEAD_BUFFER}


def test_a_fifo_loses_what_the_theory_of_queues_says():
    """Poisson arrivals, fixed service, D places: the loss of M/D/1/D at load 0.5 (Erlang's tables, D = 1: 1/3)."""
    rng = np.random.default_rng(1)
    times = np.cumsum(rng.exponential(2000.0, 400_000)).astype(np.int64)
    fired, run = np.ones(times.size, dtype=np.bool_), np.zeros(times.size, dtype=np.uint32)
    lost = []
    for depth in (1, 2):
        buffer = BufferSettings(fifo_depth=depth, readout_ns=1000)
        outcome, _, _ = decided(TimingSettings(minimum_spacing_ns=0, buffer=buffer), run, times, fired, ~fired)
        lost.append(float(np.mean(outcome == Outcome.L1_DEAD_BUFFER)))
    # D = 1: rho / (1 + rho). D = 2: with a0 = exp(-rho) the chance of no arrival in a service, the empty and the
    # one-event state after a departure have weights a0 and 1 - a0; loss = 1 - 1 / (rho + a0).
    expected = [0.5 / 1.5, 1 - 1 / (0.5 + np.exp(-0.5))]
    assert np.abs(np.array(lost) - expected).max() < 5 * np.sqrt(0.25 / times.size) + 1e-3


def test_a_new_run_begins_alive():
    """Time starts again with a run, and so does the trigger, also when it is a run seen before."""
    run, time_ns = np.array([1, 2, 1], dtype=np.uint32), np.array([10_000, 5, 10_050], dtype=np.int64)
    outcome, _, _ = decided(SPACING, run, time_ns, np.ones(3, np.bool_), np.zeros(3, np.bool_))
    assert outcome.tolist() == [Outcome.KEPT] * 3


def test_time_that_runs_backwards_is_refused():
    """The row and the time are named."""
    run, time_ns = np.array([1, 1, 1], dtype=np.uint32), np.array([5, 100, 99], dtype=np.int64)
    none = np.zeros(3, dtype=np.bool_)
    with pytest.raises(InputError, match=r"time_ns\[2\] = 99: must not run backwards in a run"):
        decided(SPACING, run, time_ns, none, none)
