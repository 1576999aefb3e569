"""Counting on bit planes is counting sets of events; errors are what their formulas say."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from daq.jit import Array
from triggers.bits import planes_of_flags
from triggers.lines import Decisions
from triggers.rates import Differences, LineCounts, add_shared, estimate

SIZES = (0, 1, 2, 63, 64, 65, 130)


@dataclass
class Toy:
    """Blocks of events: what two menus say of them, who they are and what they weigh."""

    raw: list[Array]  # (lines, N) bool
    accepted: list[Array]
    others: list[Array]
    process: list[Array]
    weight: list[Array]

    def sets(self, of: list[Array]) -> list[set[tuple[int, int]]]:
        """Return the events (block, place) of each line."""
        n_lines = of[0].shape[0]
        return [{(b, int(i)) for b, flags in enumerate(of) for i in np.flatnonzero(flags[k])} for k in range(n_lines)]

    def count(self, events: set[tuple[int, int]]) -> tuple[float, float]:
        """Return the sum of weights and of squared weights, one event after the other."""
        weights = [float(self.weight[b][i]) for b, i in sorted(events)]
        return math.fsum(weights), math.fsum(w * w for w in weights)

    def of_process(self, number: int) -> set[tuple[int, int]]:
        """Return the events of a process."""
        return {(b, int(i)) for b, process in enumerate(self.process) for i in np.flatnonzero(process == number)}


N_PROCESSES = 3


@st.composite
def toys(draw: st.DrawFn) -> Toy:
    """Strategy: one to three blocks of up to 130 events with up to six lines; weights equal, few or all different."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_lines, share = draw(st.integers(1, 6)), draw(st.sampled_from([0.0, 0.05, 0.5, 1.0]))
    kind = draw(st.sampled_from(["one", "two", "few", "all"]))
    toy = Toy([], [], [], [], [])
    for _ in range(draw(st.integers(1, 3))):
        size = draw(st.sampled_from(SIZES))
        raw = rng.random((n_lines, size)) < share
        toy.raw.append(raw)
        toy.accepted.append(raw & (rng.random(raw.shape) < 0.7))
        toy.others.append(rng.random(raw.shape) < share)
        toy.process.append(rng.integers(0, N_PROCESSES, size))
        weights = {
            "one": np.ones(size),
            "two": np.full(size, 2.5),
            "few": rng.choice([1.0, -0.5, 3.0], size),
            "all": rng.normal(1, 2, size),
        }
        toy.weight.append(weights[kind])
    return toy


def counted(toy: Toy) -> LineCounts:
    """Return the counts of a toy's first menu."""
    counts = LineCounts(toy.raw[0].shape[0], N_PROCESSES)
    for raw, accepted, process, weight in zip(toy.raw, toy.accepted, toy.process, toy.weight, strict=True):
        decisions = Decisions(planes_of_flags(raw), planes_of_flags(accepted))
        counts.add(decisions, planes_of_flags(process == np.arange(N_PROCESSES)[:, None]), weight)
    return counts


@given(toys())
def test_counts_are_those_of_sets(toy: Toy):
    """Raw, accepted, unique, total and overlap, by process and weighted, agree with Python sets."""
    counts = counted(toy)
    raw, accepted = toy.sets(toy.raw), toy.sets(toy.accepted)
    everything = set().union(*accepted)
    for k, line in enumerate(accepted):
        rest = set().union(*(accepted[:k] + accepted[k + 1 :]))
        assert_allclose(counts.unique[k], toy.count(line - rest), atol=1e-9)
        for j, other in enumerate(accepted):
            assert_allclose(counts.pairs[k, j], toy.count(line & other), atol=1e-9)
        for p in range(N_PROCESSES):
            assert_allclose(counts.raw[p, k], toy.count(raw[k] & toy.of_process(p)), atol=1e-9)
            assert_allclose(counts.accepted[p, k], toy.count(line & toy.of_process(p)), atol=1e-9)
    for p in range(N_PROCESSES):
        assert_allclose(counts.total[p], toy.count(everything & toy.of_process(p)), atol=1e-9)


@given(toys())
def test_differences_are_those_of_sets(toy: Toy):
    """Two menus with some lines in common, in another order: only the events that differ are counted."""
    n_lines = toy.raw[0].shape[0]
    names_a = [f"line{k}" for k in range(n_lines)]
    names_b = [f"line{k}" for k in reversed(range(1, n_lines + 1))]  # without line 0, with one that A does not have
    differences = Differences(names_a, names_b)
    for a, b, weight in zip(toy.accepted, toy.others, toy.weight, strict=True):
        planes = planes_of_flags(a), planes_of_flags(b)
        differences.add(Decisions(planes[0], planes[0]), Decisions(planes[1], planes[1]), weight)
    a, b = (
        dict(zip(names_a, toy.sets(toy.accepted), strict=True)),
        dict(zip(names_b, toy.sets(toy.others), strict=True)),
    )
    assert differences.lines == tuple(names_a[1:])
    for k, name in enumerate(differences.lines):
        assert_allclose(differences.only_a[k], toy.count(a[name] - b[name]), atol=1e-9)
        assert_allclose(differences.only_b[k], toy.count(b[name] - a[name]), atol=1e-9)
    any_a, any_b = set().union(*a.values()), set().union(*b.values())
    expected = [toy.count(events) for events in (any_a & any_b, any_a - any_b, any_b - any_a)]
    assert_allclose(differences.accepts, expected, atol=1e-9)


def test_a_toy_by_hand():
    """Five events, three lines, one prescaled away: every number can be checked by eye."""
    #                  events: 0  1  2  3  4
    raw = np.array([[1, 1, 1, 0, 0], [0, 1, 1, 1, 0], [1, 0, 0, 0, 0]], dtype=bool)
    accepted = raw.copy()
    accepted[0, 0] = False  # the prescale of the first line drops event 0
    toy = Toy([raw], [accepted], [accepted], [np.array([0, 0, 1, 1, 2])], [np.array([1.0, 2.0, 3.0, 4.0, 5.0])])
    counts = counted(toy)
    assert_array_equal(counts.raw.sum(axis=0), [[6, 14], [9, 29], [1, 1]])
    assert_array_equal(counts.accepted.sum(axis=0), [[5, 13], [9, 29], [1, 1]])
    assert_array_equal(counts.unique, [[0, 0], [4, 16], [1, 1]])
    assert_array_equal(counts.total, [[3, 5], [7, 25], [0, 0]])
    assert_array_equal(counts.pairs[..., 0], [[5, 5, 0], [5, 9, 0], [0, 0, 1]])


@given(toys())
def test_equal_weights_are_counted_as_different_ones_are(toy: Toy):
    """The short way of equal weights and the long way of any weights give the same counts."""
    for flags in toy.raw:
        planes, size = planes_of_flags(flags), flags.shape[1]
        both = np.zeros((2, flags.shape[0], flags.shape[0], 2))
        add_shared(planes, planes.copy(), np.ones(size), both[0])
        add_shared(planes, planes.copy(), np.append(np.ones(size), 7.0), both[1])  # the last one is of no event
        assert_array_equal(both[0], both[1])


@given(st.integers(0, 2**32 - 1), st.sampled_from(SIZES[1:]))
def test_error_of_a_share_is_that_of_the_sum_over_events(seed: int, size: int):
    """The error follows from what each event adds, also where a part is taken away; of weight one it is binomial."""
    rng = np.random.default_rng(seed)
    weight, adds = rng.exponential(size=size), rng.integers(-1, 2, size)

    def count(chosen: Array) -> Array:
        return np.array([weight[chosen].sum(), (weight[chosen] ** 2).sum()])

    everything = np.ones(size, dtype=bool)
    value, error = estimate(count(adds == 1), count(adds == -1), whole=count(everything))
    share = (weight * adds).sum() / weight.sum()
    assert_allclose(value, share)
    assert_allclose(error, np.sqrt((weight**2 * (adds - share) ** 2).sum()) / weight.sum())
    n = int((adds == 1).sum())
    _, binomial = estimate(np.array([n, n], dtype=float), whole=np.array([size, size], dtype=float))
    assert_allclose(binomial, math.sqrt(n / size * (1 - n / size) / size), atol=1e-12)


def test_errors_without_a_whole_are_those_of_poisson():
    """Counts of 9 events have an error of 3; what two menus share is in neither count and adds no error."""
    value, error = estimate(np.array([9.0, 9.0]))
    assert (value, error) == (9, 3)
    value, error = estimate(np.array([9.0, 9.0]), np.array([16.0, 16.0]))
    assert (value, error) == (-7, 5)
    value, error = estimate(np.zeros(2), whole=np.zeros(2))
    assert math.isnan(value)
    assert math.isnan(error)


@pytest.mark.parametrize("size", SIZES)
def test_planes_of_flags(size: int):
    """Bit k of word w is event 64 w + k; beyond the last event there is none."""
    flags = np.random.default_rng(size).random((3, size)) < 0.5
    planes = planes_of_flags(flags)
    assert planes.shape == (3, -(-size // 64))
    for line, event in itertools.product(range(3), range(64 * planes.shape[1])):
        bit = bool(planes[line, event // 64] >> np.uint64(event % 64) & np.uint64(1))
        assert bit == (event < size and bool(flags[line, event]))
