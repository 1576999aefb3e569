"""Minimum spacing of accepts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from daq.errors import InputError
from daq.event import Outcome
from daq.jit import Array
from triggers.gdl.timing import space_out

events = st.lists(st.tuples(st.integers(0, 300), st.booleans()), max_size=60)


def arrays_of(gaps: list[tuple[int, bool]]) -> tuple[Array, Array, Array]:
    """Return (run, time_ns, fired) of events with the gaps in time."""
    time_ns = np.cumsum([gap for gap, _ in gaps], dtype=np.int64)
    return np.full(len(gaps), 3, dtype=np.uint32), time_ns, np.array([fired for _, fired in gaps], dtype=np.bool_)


@given(events, st.integers(0, 500))
def test_definition(gaps: list[tuple[int, bool]], spacing_ns: int):
    """An event is kept if it fires and no kept one is nearer than the spacing."""
    run, time_ns, fired = arrays_of(gaps)
    kept: list[int] = []
    expected = []
    for now, on in zip(time_ns.tolist(), fired.tolist(), strict=True):
        if not on:
            expected.append(Outcome.L1_REJECTED)
        elif any(now - then < spacing_ns for then in kept):
            expected.append(Outcome.L1_DEAD_SPACING)
        else:
            expected.append(Outcome.KEPT)
            kept.append(now)
    outcome, _ = space_out(run, time_ns, fired, spacing_ns)
    assert_array_equal(outcome, np.array(expected, dtype=np.uint8))


@given(events, st.lists(st.integers(0, 60), max_size=6), st.integers(0, 500))
def test_any_cut_into_blocks_gives_the_same_outcomes(gaps: list[tuple[int, bool]], cuts: list[int], spacing_ns: int):
    """The state carries all that a block needs to know of the blocks before, also of empty ones."""
    run, time_ns, fired = arrays_of(gaps)
    whole, last = space_out(run, time_ns, fired, spacing_ns)
    state = None
    parts = []
    for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(gaps)], strict=True):
        part, state = space_out(run[begin:end], time_ns[begin:end], fired[begin:end], spacing_ns, state)
        parts.append(part)
    assert_array_equal(np.concatenate(parts)[: whole.size], whole)
    assert state is not None
    assert_array_equal(state, last)


def test_the_state_that_is_given_stays_as_it_is():
    """A block may be decided again: the state before it is not written to."""
    run, time_ns, fired = arrays_of([(1000, True), (50, True)])
    state = np.array([3, 900], dtype=np.int64)
    first, _ = space_out(run, time_ns, fired, 200, state)
    again, _ = space_out(run, time_ns, fired, 200, state)
    assert state.tolist() == [3, 900]
    assert first.tolist() == again.tolist() == [Outcome.L1_DEAD_SPACING] * 2


def test_a_new_run_begins_alive():
    """Time starts again with a run, and so does the trigger."""
    run, time_ns = np.array([1, 2], dtype=np.uint32), np.array([10_000, 5], dtype=np.int64)
    outcome, _ = space_out(run, time_ns, np.array([True, True]), 200)
    assert outcome.tolist() == [Outcome.KEPT, Outcome.KEPT]


def test_time_that_runs_backwards_is_refused():
    """The row and the time are named."""
    run, time_ns = np.array([1, 1, 1], dtype=np.uint32), np.array([5, 100, 99], dtype=np.int64)
    with pytest.raises(InputError, match=r"time_ns\[2\] = 99: must not run backwards in a run"):
        space_out(run, time_ns, np.zeros(3, dtype=np.bool_), 200)
