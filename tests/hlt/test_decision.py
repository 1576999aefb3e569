"""Prescales, reject lines and the final rule."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from daq.jit import Array
from hlt.decision import Lines, decide
from triggers.prescale import line_keys


def lines_of(prescales: list[int], rejects: list[bool], seed: int = 1) -> Lines:
    """Return lines named by their place."""
    names = [f"line_{k}" for k in range(len(prescales))]
    return Lines(line_keys("hlt", names, seed), np.array(prescales, dtype=np.uint64), np.array(rejects, dtype=np.bool_))


def unpacked(words: Array, n_lines: int) -> Array:
    """Return the (N, L) bits of packed words."""
    return np.unpackbits(words.view(np.uint8), axis=1, bitorder="little")[:, :n_lines].astype(bool)


def numbers(n_events: int, run: int = 1) -> tuple[Array, Array]:
    """Return run and event numbers."""
    return np.full(n_events, run, dtype=np.uint32), np.arange(n_events, dtype=np.uint64)


@given(st.data(), st.integers(0, 20), st.integers(1, 130), st.booleans())
def test_the_rules_of_the_decision(data, n_events, n_lines, accept_mode):
    """Raw is the cut; 0 never, 1 always; reject lines ignore the prescale; the mode joins the lines."""
    flags = st.lists(st.booleans(), min_size=n_lines, max_size=n_lines)
    rejects = data.draw(flags)
    prescales = [int(flag) for flag in data.draw(flags)]
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    passed = rng.random((n_events, n_lines)) < rng.choice([0.02, 0.5])
    raw, prescaled, accept = decide(passed, *numbers(n_events), lines_of(prescales, rejects), accept_mode=accept_mode)
    is_reject, is_on = np.array(rejects), np.array(prescales) == 1
    assert_array_equal(unpacked(raw, n_lines), passed)
    assert_array_equal(unpacked(prescaled, n_lines), passed & (is_reject | is_on))
    accepted = (passed & is_on & ~is_reject).any(axis=1)
    rejected = (passed & is_reject).any(axis=1)
    assert_array_equal(accept, accepted | ~rejected if accept_mode else accepted & ~rejected)
    assert raw.shape == (n_events, -(-n_lines // 64))


@pytest.mark.parametrize("prescale", [2, 3, 10, 1000])
def test_a_prescale_keeps_one_in_n(prescale):
    """The kept fraction is 1/n within five standard deviations, and differently so for another line, run or seed."""
    n_events = 200_000
    passed = np.ones((n_events, 2), dtype=np.bool_)
    lines = lines_of([prescale, prescale], [False, False])
    kept = unpacked(decide(passed, *numbers(n_events), lines, accept_mode=False)[1], 2)
    sigma = np.sqrt(n_events * (1 / prescale) * (1 - 1 / prescale))
    assert (np.abs(kept.sum(axis=0) - n_events / prescale) < 5 * sigma).all()
    other_run = unpacked(decide(passed, *numbers(n_events, run=2), lines, accept_mode=False)[1], 2)
    other_seed = lines_of([prescale, prescale], [False, False], seed=2)
    reseeded = unpacked(decide(passed, *numbers(n_events), other_seed, accept_mode=False)[1], 2)
    for one, two in ((kept[:, 0], kept[:, 1]), (kept[:, 0], other_run[:, 0]), (kept[:, 0], reseeded[:, 0])):
        both, expected = (one & two).sum(), n_events / prescale**2
        assert abs(both - expected) < 5 * np.sqrt(expected) + 5  # independent draws


def test_a_line_keeps_its_draws_in_another_menu():
    """What a prescale keeps depends on the line's name, not on its place or its neighbours."""
    n_events = 5000
    keys = line_keys("hlt", ["alone"], seed=3)
    many = line_keys("hlt", ["other", "alone", "third"], seed=3)
    prescales, rejects = np.array([7, 7, 7], dtype=np.uint64), np.zeros(3, dtype=np.bool_)
    single = Lines(keys, prescales[:1], rejects[:1])
    one = decide(np.ones((n_events, 1), dtype=bool), *numbers(n_events), single, accept_mode=False)[1]
    all_of = decide(
        np.ones((n_events, 3), dtype=bool), *numbers(n_events), Lines(many, prescales, rejects), accept_mode=False
    )
    assert_array_equal(unpacked(one, 1)[:, 0], unpacked(all_of[1], 3)[:, 1])


@given(st.data(), st.integers(1, 60), st.lists(st.integers(0, 5), min_size=1, max_size=70), st.integers(1, 30))
def test_counters_keep_the_first_and_each_nth(data, n_events, prescales, cut):
    """Of the events that pass a line in a run: the first, then each n-th, wherever the blocks are cut."""
    n_lines = len(prescales)
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    passed = rng.random((n_events, n_lines)) < 0.6
    run = np.sort(rng.integers(1, 3, n_events)).astype(np.uint32)
    expected = np.zeros_like(passed)
    for line, prescale in enumerate(prescales):
        for number in (1, 2):
            rows = np.flatnonzero(passed[:, line] & (run == number))
            expected[rows[::prescale] if prescale else [], line] = True
    lines, counters, found = lines_of(prescales, [False] * n_lines), np.zeros(n_lines, dtype=np.int64), []
    for rows in (slice(0, cut), slice(cut, None)):
        if cut < n_events and rows.start and run[cut] != run[cut - 1]:
            counters[:] = 0  # a new run
        numbers_of = run[rows], np.arange(n_events, dtype=np.uint64)[rows]
        raw, prescaled, accept = decide(passed[rows], *numbers_of, lines, accept_mode=False, counters=counters)
        assert_array_equal(unpacked(raw, n_lines), passed[rows])
        found.append(unpacked(prescaled, n_lines))
        assert_array_equal(accept, found[-1].any(axis=1))
    assert_array_equal(np.concatenate(found), expected)


def test_counters_let_reject_lines_alone():
    """A reject line ignores its prescale, and counts nothing."""
    counters = np.array([0, 5], dtype=np.int64)
    lines = lines_of([3, 9], [False, True])
    passed = np.ones((4, 2), dtype=np.bool_)
    _, prescaled, accept = decide(passed, *numbers(4), lines, accept_mode=False, counters=counters)
    assert_array_equal(unpacked(prescaled, 2), [[1, 1], [0, 1], [0, 1], [1, 1]])
    assert not accept.any()
    assert counters.tolist() == [1, 5]
