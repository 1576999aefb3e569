"""The random numbers: the published test vectors, independence of everything but (seed, run, event, stream), laws."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from daq import philox
from daq.jit import kernel

UNIFORM, NORMAL, EXPONENTIAL = range(3)
_WORD = 0xFFFFFFFF


@kernel
def fill(states, which, key, event, out):
    """Fill ``out`` with numbers of one law."""
    draws = states[0]
    seed, run, stream = key
    philox.start(draws, seed, run, event, stream)
    for i in range(out.size):
        if which == UNIFORM:
            out[i] = philox.uniform(draws)
        elif which == NORMAL:
            out[i] = philox.normal(draws)
        else:
            out[i] = philox.exponential(draws)


def numbers(which: int, count: int, *, seed: int, run: int = 1, event: int = 9, stream: int = 3) -> np.ndarray:
    out = np.empty(count)
    fill(philox.new_draws(), which, (seed, run, stream), event, out)
    return out


def plain(seed: int, run: int, event: int, stream: int, counter: int) -> list[int]:
    """Return the four words of a counter: the cipher once more, in integers of Python, as its paper has it."""
    c = [counter, event & _WORD, (event >> 32) | stream << 24, run]
    k = [seed & _WORD, seed >> 32]
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [b >> 32 ^ c[1] ^ k[0], b & _WORD, a >> 32 ^ c[3] ^ k[1], a & _WORD]
        k = [k[0] + 0x9E3779B9 & _WORD, k[1] + 0xBB67AE85 & _WORD]
    return c


def test_known_answer_for_counter_and_key_zero():
    """Philox 4x32-10 with all-zero counter and key gives the words of the authors' published test vectors."""
    words = np.array([0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8])
    ours = numbers(UNIFORM, 4 * philox.LANES, seed=0, run=0, event=0, stream=0)
    np.testing.assert_array_equal(ours[:: philox.LANES], (words + 0.5) / 2**32)


def test_known_answer_for_digits_of_pi():
    """The published vector with counter and key from the digits of pi checks rounds, key schedule and word order."""
    draws = philox.new_draws()
    for field, word in (
        *(("key_0", 0xA4093822), ("key_1", 0x299F31D0)),
        *(("counter", 0x243F6A88), ("event", 0x85A308D3), ("stream", 0x13198A2E), ("run", 0x03707344)),
    ):
        draws[field] = word
    philox._refill(draws[0])
    ours = [int(word) for word in draws["words"][0, :: philox.LANES]]
    assert ours == [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**56 - 1), st.integers(0, 255))
def test_words_are_those_of_the_cipher(seed: int, run: int, event: int, stream: int):
    """For any seed, run, event and stream; word j of the lanes' counters comes at places 4 j to 4 j + 3."""
    ours = numbers(UNIFORM, 8 * philox.LANES, seed=seed, run=run, event=event, stream=stream)
    words = [plain(seed, run, event, stream, counter) for counter in range(2 * philox.LANES)]
    ordered = np.array(words).reshape(2, philox.LANES, 4).transpose(0, 2, 1)
    np.testing.assert_array_equal(ours, (ordered.ravel() + 0.5) / 2**32)


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**55), st.integers(0, 255))
def test_words_of_many_counters_are_those_of_the_cipher(seed: int, run: int, first: int, stream: int):
    """Taken all at once, whatever the events and counters and however many: more than a vector, and a rest."""
    owner, number = np.array([0, 0, 0, 1, 5, 5, 1000, 2, 2, 7, 11]), np.array([0, 1, 2, 0, 3, 0, 9, 1, 0, 2**31, 4])
    for size in (0, 1, 4, owner.size):
        words = np.empty(4 * size, dtype=np.uint32)
        philox.fill_words((seed, run, stream), first, owner[:size], number[:size], words)
        expected = [plain(seed, run, first + int(i), stream, int(n)) for i, n in zip(owner, number, strict=True)]
        assert words.reshape(-1, 4).tolist() == expected[:size]


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**56 - 1), st.integers(0, 200), st.data())
def test_each_coordinate_matters(seed: int, run: int, event: int, stream: int, data: st.DataObject):
    """Another seed, run, event or stream is another sequence."""
    here = {"seed": seed, "run": run, "event": event, "stream": stream}
    which = data.draw(st.sampled_from(sorted(here)))
    other = here | {which: here[which] ^ 1}
    assert not np.array_equal(numbers(UNIFORM, 8, **here), numbers(UNIFORM, 8, **other))


def test_start_points_at_the_first_number_again():
    """Whatever was drawn before."""
    states, first, again = philox.new_draws(), np.zeros(40), np.zeros(40)
    fill(states, NORMAL, (7, 1, 3), 3, first)
    fill(states, NORMAL, (7, 1, 3), 3, again)
    np.testing.assert_array_equal(first, again)
    fill(states, NORMAL, (7, 1, 3), 4, again)
    assert not np.any(first == again)


@pytest.mark.parametrize(("which", "law"), [(UNIFORM, stats.uniform), (NORMAL, stats.norm), (EXPONENTIAL, stats.expon)])
def test_laws(which, law):
    """Kolmogorov and Smirnov on a million numbers, and no correlation of neighbours."""
    out = numbers(which, 1_000_000, seed=5)
    assert stats.kstest(out, law().cdf).pvalue > 1e-4
    assert abs(np.corrcoef(out[:-1], out[1:])[0, 1]) < 5 / math.sqrt(out.size)


def test_tails_of_the_normal_law():
    """Beyond the ziggurat's last edge, 3.654, there are as many as there should be, distributed as they should be."""
    out = numbers(NORMAL, 4_000_000, seed=6)
    edge = 3.6541528853610088
    expected = 2 * stats.norm.sf(edge) * out.size
    beyond = np.abs(out[np.abs(out) > edge])
    assert abs(beyond.size - expected) < 5 * math.sqrt(expected)
    assert stats.kstest(stats.norm.sf(beyond) / stats.norm.sf(edge), "uniform").pvalue > 1e-4
