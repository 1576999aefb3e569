"""The random numbers: the published test vectors, and independence of everything but (seed, run, event, stream)."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from daq import philox
from daq.jit import kernel


@kernel
def fill(seed, run, event, stream, out):
    draws = philox.new_draws()
    philox.start(draws, seed, run, event, stream)
    for place in range(out.size):
        out[place] = philox.uniform(draws)


@kernel
def fill_normal(seed, out):
    draws = philox.new_draws()
    philox.start(draws, seed, 0, 0, 0)
    for place in range(out.size):
        out[place] = philox.normal(draws)


def numbers(seed: int, run: int, event: int, stream: int, count: int = 8) -> np.ndarray:
    out = np.empty(count)
    fill(seed, run, event, stream, out)
    return out


def test_known_answer_for_counter_and_key_zero():
    """Philox 4x32-10 with all-zero counter and key gives the words of the authors' published test vectors."""
    words = np.array([0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8])
    np.testing.assert_array_equal(numbers(0, 0, 0, 0, 4), (words + 0.5) / 2**32)


def test_known_answer_for_digits_of_pi():
    """The published vector with counter and key from the digits of pi checks rounds, key schedule and word order."""
    draws = np.zeros(11, dtype=np.uint64)
    draws[:6] = [0xA4093822, 0x299F31D0, 0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344]
    philox._refill(draws)
    assert [int(word) for word in draws[6:10]] == [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**56 - 1), st.integers(0, 200), st.data())
def test_each_coordinate_matters(seed: int, run: int, event: int, stream: int, data: st.DataObject):
    """Another seed, run, event or stream is another sequence; the same four are the same sequence."""
    here = numbers(seed, run, event, stream)
    np.testing.assert_array_equal(here, numbers(seed, run, event, stream))
    which = data.draw(st.sampled_from(["seed", "run", "event", "stream"]))
    other = {"seed": seed, "run": run, "event": event, "stream": stream}
    other[which] ^= 1
    assert not np.array_equal(here, numbers(**other))


@kernel
def fill_by_four(key, event, out):
    for group in range(out.size // 4):
        out[4 * group : 4 * group + 4] = philox.four(key, event, group)


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**56 - 1), st.integers(0, 200))
def test_four_at_a_time_are_the_same_numbers(seed: int, run: int, event: int, stream: int):
    """As those that come one by one, for any seed, run, event and stream."""
    out = np.empty(12)
    fill_by_four((seed, run, stream), event, out)
    np.testing.assert_array_equal(out, numbers(seed, run, event, stream, 12))


def test_uniform_fills_the_interval():
    """100,000 numbers in 100 bins: the chi-square of uniformity is not improbable."""
    counts, _ = np.histogram(numbers(5, 1, 2, 3, 100_000), bins=100, range=(0, 1))
    chi2 = ((counts - 1000.0) ** 2 / 1000.0).sum()
    assert 50 < chi2 < 160  # 99 degrees of freedom: both tails beyond 1e-4


def test_normal_has_moments():
    """Mean 0, variance 1, kurtosis 3, within five standard errors."""
    out = np.empty(200_000)
    fill_normal(9, out)
    assert abs(out.mean()) < 5 / np.sqrt(out.size)
    assert abs(out.var() - 1) < 5 * np.sqrt(2 / out.size)
    assert abs((out**4).mean() - 3) < 5 * np.sqrt(96 / out.size)
