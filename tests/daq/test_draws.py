"""Draws, four counters at a time: the words are those of `daq.philox`, the numbers those of their distributions."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from daq import draws as wide
from daq import philox
from daq.jit import kernel


@kernel
def fill(draws, which, seed, event, out):
    """Fill ``out`` with uniform (0), normal (1) or exponential (2) numbers."""
    wide.start(draws, seed, 1, event, 3)
    for i in range(out.size):
        if which == 0:
            out[i] = wide.uniform(draws)
        elif which == 1:
            out[i] = wide.normal(draws)
        else:
            out[i] = wide.exponential(draws)


def many(which, seed, event, out):
    fill(wide.new_draws()[0], which, seed, event, out)


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**56 - 1), st.integers(0, 255))
def test_words_are_those_of_philox(seed, run, event, stream):
    """Word j of counter c comes at place 4 j + c of each sixteen."""
    one, four = philox.new_draws(), wide.new_draws()[0]
    philox.start(one, seed, run, event, stream)
    wide.start(four, seed, run, event, stream)
    plain = np.array([philox.uniform(one) for _ in range(32)]).reshape(2, 4, 4)
    ours = np.array([wide.uniform(four) for _ in range(32)]).reshape(2, 4, 4)
    assert np.array_equal(ours, plain.transpose(0, 2, 1))


@pytest.mark.parametrize(("which", "law"), [(0, stats.uniform), (1, stats.norm), (2, stats.expon)])
def test_distributions(which, law):
    """Kolmogorov and Smirnov on a million numbers, and no correlation of neighbours."""
    out = np.zeros(1_000_000)
    many(which, 5, 9, out)
    assert stats.kstest(out, law().cdf).pvalue > 1e-4
    assert abs(np.corrcoef(out[:-1], out[1:])[0, 1]) < 5 / math.sqrt(out.size)


def test_normal_tails():
    """Beyond the ziggurat's last edge, 3.654, there are as many as there should be, distributed as they should be."""
    out = np.zeros(4_000_000)
    many(1, 6, 9, out)
    edge = 3.6541528853610088
    expected = 2 * stats.norm.sf(edge) * out.size
    beyond = np.abs(out[np.abs(out) > edge])
    assert abs(beyond.size - expected) < 5 * math.sqrt(expected)
    assert stats.kstest(stats.norm.sf(beyond) / stats.norm.sf(edge), "uniform").pvalue > 1e-4


def test_start_points_at_the_first_number_again():
    """Whatever was drawn before."""
    first, again = np.zeros(40), np.zeros(40)
    many(1, 7, 3, first)
    many(1, 7, 3, again)
    assert np.array_equal(first, again)
    many(1, 7, 4, again)
    assert not np.any(first == again)
