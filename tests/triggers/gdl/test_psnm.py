"""Prescales: rates, independence, and what they do not depend on."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from scipy import stats

from daq.jit import Array
from triggers.bits import flags_of, planes_of, words_of
from triggers.gdl.psnm import prescale_and_mask, prescales
from triggers.prescale import line_keys

N = 200_000


def passed(names: list[str], values: list[int], *, event: Array, run: int = 1, seed: int = 1) -> dict[str, Array]:
    """Return by line which of the events pass if all lines fire in all of them."""
    fired = planes_of(np.full((event.size, -(-len(names) // 64)), 2**64 - 1, dtype=np.uint64), len(names))
    runs = np.full(event.size, run, dtype=np.uint32)
    out = words_of(prescale_and_mask(prescales(names, values, seed), fired, runs, event.astype(np.uint64)), event.size)
    return {name: flags_of(out, i) for i, name in enumerate(names)}


def test_off_and_all():
    """0 passes nothing, 1 everything that fired and nothing else."""
    fired = np.random.default_rng(1).integers(0, 2**64, (2, 10), dtype=np.uint64)
    event, run = np.arange(640, dtype=np.uint64), np.ones(640, dtype=np.uint32)
    out = prescale_and_mask(prescales(["off", "all"], [0, 1], 3), fired, run, event)
    assert_array_equal(out[0], 0)
    assert_array_equal(out[1], fired[1])


def test_pass_rates_are_one_in_n():
    """A chi-square test over lines of many prescales, on a binomial for each."""
    values = [2, 3, 5, 7, 10, 20, 100, 333, 1000]
    names = [f"line{value}" for value in values]
    counts = passed(names, values, event=np.arange(N))
    chi2 = sum((counts[name].sum() - N / n) ** 2 / (N / n * (1 - 1 / n)) for name, n in zip(names, values, strict=True))
    assert stats.chi2.sf(chi2, len(values)) > 1e-3


def test_passes_do_not_cluster_in_time():
    """Blocks of consecutive events have a binomial number of passes: the hash leaves no pattern in event numbers."""
    counts = passed(["line"], [10], event=np.arange(N))["line"].reshape(-1, 100).sum(axis=1)
    chi2 = ((counts - 10.0) ** 2 / 9.0).sum()
    assert 1e-3 < stats.chi2.sf(chi2, counts.size) < 1 - 1e-3


@pytest.mark.parametrize("change", ["line", "seed", "run"])
def test_decisions_are_independent(change: str):
    """Two lines, two seeds or two runs agree as often as chance has it."""
    event = np.arange(N)
    if change == "line":
        both = passed(["a", "b"], [3, 3], event=event)
        one, other = both["a"], both["b"]
    else:
        one = passed(["a"], [3], event=event)["a"]
        other = passed(["a"], [3], event=event, **{change: 2})["a"]
    table = [[(one & other).sum(), (one & ~other).sum()], [(~one & other).sum(), (~one & ~other).sum()]]
    assert stats.chi2_contingency(table).pvalue > 1e-3


def test_a_prescale_contains_the_larger_ones():
    """What passes 1 in 12 also passes 1 in 4."""
    loose = passed(["a"], [4], event=np.arange(N))["a"]
    tight = passed(["a"], [12], event=np.arange(N))["a"]
    assert tight.any()
    assert not (tight & ~loose).any()


@given(st.permutations(["a", "b", "c", "d"]), st.integers(1, 299), st.integers(0, 2**63 - 1))
def test_order_of_lines_and_cut_into_blocks_do_not_matter(names: list[str], cut: int, seed: int):
    """The decision belongs to (line, run, event, seed)."""
    values = {"a": 2, "b": 3, "c": 1, "d": 0}
    event = np.arange(300) + 2**40
    whole = passed(sorted(names), [values[name] for name in sorted(names)], event=event, seed=seed)
    parts = [
        passed(names, [values[name] for name in names], event=part, seed=seed) for part in (event[:cut], event[cut:])
    ]
    for name in names:
        assert_array_equal(np.concatenate([part[name] for part in parts]), whole[name])


def test_hash_is_the_documented_one():
    """The chain of splitmix64 finalisers, written out with Python's integers."""
    import xxhash

    def mix(word: int) -> int:
        word = (word + 0x9E3779B97F4A7C15) % 2**64
        word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        word = (word ^ (word >> 27)) * 0x94D049BB133111EB % 2**64
        return word ^ (word >> 31)

    assert mix(0) == 0xE220A8397B1DCDAF  # first output of splitmix64 with seed 0
    key = xxhash.xxh3_64_intdigest(b"l1/lml1", seed=5)
    expected = [mix(mix(key ^ mix(9)) ^ event) < (2**64 - 1) // 7 for event in range(500)]
    assert_array_equal(passed(["lml1"], [7], event=np.arange(500), run=9, seed=5)["lml1"], expected)


@given(
    st.lists(st.tuples(st.integers(1, 3), st.lists(st.booleans(), min_size=3, max_size=3)), max_size=200),
    st.lists(st.integers(0, 5), min_size=3, max_size=3),
    st.lists(st.integers(0, 200), max_size=5),
)
def test_a_counter_lets_each_nth_pass(rows: list[tuple[int, list[bool]]], values: list[int], cuts: list[int]):
    """Counted by line over what fires, anew in each run, and on from block to block."""
    expected, counts, last = [], [0, 0, 0], None
    for run, fires in rows:
        if run != last:
            counts, last = [0, 0, 0], run
        passes = []
        for line, (fired, n) in enumerate(zip(fires, values, strict=True)):
            counts[line] += fired
            passes.append(fired and n > 0 and counts[line] % n == 0)
        expected.append(passes)

    lines = prescales(["a", "b", "c"], values, seed=1)
    found: list[list[bool]] = []
    count, last = np.zeros(3, dtype=np.int64), None
    edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    for part in (rows[begin:end] for begin, end in itertools.pairwise(edges)):
        if part and part[0][0] != last:
            count[:] = 0
        words = np.array([[sum(fired << k for k, fired in enumerate(fires))] for _, fires in part], dtype=np.uint64)
        run = np.array([run for run, _ in part], dtype=np.uint32)
        fired_planes = planes_of(words.reshape(-1, 1), 3)
        out = words_of(prescale_and_mask(lines, fired_planes, run, run.astype(np.uint64), count), len(part))
        found += [[bool(word >> k & 1) for k in range(3)] for (word,) in out.tolist()]
        last = part[-1][0] if part else last
    assert found == expected


def test_levels_draw_apart():
    """A line of the same name on the other level has draws of its own: its prescale multiplies, it does not repeat."""
    assert not np.array_equal(line_keys("l1", ["ff"], 1), line_keys("hlt", ["ff"], 1))
