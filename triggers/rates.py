"""How often lines fire: weighted counts of sets of events, taken from bit planes block by block.

Everything that is counted is a set of events - those that a line selects, those that it alone accepts, those that two
lines share - or a product of two such sets, so one kernel counts it all: the planes of the sets are ANDed, and the
weights of the events that are left are summed. Of equal weights only the bits need counting, 64 events at a time.

A *count* is a pair of numbers, sum of weights and sum of squared weights; arrays of counts have a last axis of two.
Memory does not grow with the number of events.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from daq.event import Array
from daq.jit import kernel
from triggers.lines import Decisions


@kernel
def _ones(word: Any) -> Any:
    """Return the number of bits that are set; compilers know these steps and make one instruction of them."""
    word -= (word >> np.uint64(1)) & np.uint64(0x5555555555555555)
    word = (word & np.uint64(0x3333333333333333)) + ((word >> np.uint64(2)) & np.uint64(0x3333333333333333))
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (word * np.uint64(0x0101010101010101)) >> np.uint64(56)


@kernel
def _count(one: Array, other: Array) -> Any:
    """Return the number of events in both sets."""
    n = np.int64(0)
    for k in range(one.size):
        n += np.int64(_ones(one[k] & other[k]))
    return n


@kernel
def _weigh(one: Array, other: Array, weight: Array) -> tuple[float, float]:
    """Return the sums of the weights and of the squared weights of the events in both sets."""
    total = squares = 0.0
    for k in range(one.size):
        word = one[k] & other[k]
        while word:
            last = word & (~word + np.uint64(1))
            event = 64 * k + np.int64(_ones(last - np.uint64(1)))
            total += weight[event]
            squares += weight[event] ** 2
            word ^= last
    return total, squares


@kernel
def _filled(planes: Array) -> Array:
    """Return which planes have a bit set: most lines of a big menu are silent in a block."""
    filled = np.zeros(planes.shape[0], dtype=np.bool_)
    for i in range(planes.shape[0]):
        for word in planes[i]:
            if word:
                filled[i] = True
                break
    return filled


@kernel
def _add_equal(ones: Array, others: Array, is_same: bool, weight: float, counts: Array) -> None:
    one_filled, other_filled = _filled(ones), _filled(others)
    for i in range(ones.shape[0]):
        if one_filled[i]:
            one = ones[i]
            for j in range(i if is_same else 0, others.shape[0]):
                if other_filled[j]:
                    n = _count(one, others[j])
                    counts[i, j, 0] += n * weight
                    counts[i, j, 1] += n * weight * weight


@kernel
def _add_weighed(ones: Array, others: Array, is_same: bool, weight: Array, counts: Array) -> None:
    for i in range(ones.shape[0]):
        for j in range(i if is_same else 0, others.shape[0]):
            total, squares = _weigh(ones[i], others[j], weight)
            counts[i, j, 0] += total
            counts[i, j, 1] += squares


def add_shared(ones: Array, others: Array, weight: Array, counts: Array) -> None:
    """Add to ``counts[i, j]`` the events that are in set i of the ones *and* in set j of the others.

    Parameters
    ----------
    ones, others : (A, W), (B, W) uint64
        Planes of sets of the same N events.
    weight : (N,) float64
        Weights of the events.
    counts : (A, B, 2) float64
        Sums of weights and of squared weights. If both sets are the same array, only i <= j are added.
    """
    if weight.size and (weight == weight[0]).all():
        _add_equal(ones, others, ones is others, float(weight[0]), counts)
    else:
        _add_weighed(ones, others, ones is others, weight, counts)


@kernel
def _once_and_more(planes: Array, once: Array, more: Array) -> None:
    for i in range(planes.shape[0]):
        for k in range(planes.shape[1]):
            more[k] |= once[k] & planes[i, k]
            once[k] |= planes[i, k]


def once_and_more(planes: Array) -> tuple[Array, Array]:
    """Return the planes (W,) of the events that are in one set or more, and in two or more."""
    once, more = (np.zeros(planes.shape[1], dtype=np.uint64) for _ in range(2))
    _once_and_more(planes, once, more)
    return once, more


class LineCounts:
    """Counts of the lines of one menu.

    Parameters
    ----------
    n_lines, n_processes : int
        Processes are the kinds of events that are told apart.
    """

    def __init__(self, n_lines: int, n_processes: int):
        self.raw = np.zeros((n_processes, n_lines, 2))
        """(processes, lines, 2) events that the logic of the line selects."""
        self.accepted = np.zeros((n_processes, n_lines, 2))
        """(processes, lines, 2) events that are left of them after the prescale."""
        self._total = np.zeros((n_processes, 1, 2))
        self._unique = np.zeros((1, n_lines, 2))
        self._pairs = np.zeros((n_lines, n_lines, 2))

    def add(self, decisions: Decisions, processes: Array, weight: Array) -> None:
        """Count a block of N events; ``processes`` are the (processes, ceil(N / 64)) planes of who is which."""
        once, more = once_and_more(decisions.accepted)
        add_shared(processes, decisions.raw, weight, self.raw)
        add_shared(processes, decisions.accepted, weight, self.accepted)
        add_shared(processes, once[None], weight, self._total)
        add_shared((once & ~more)[None], decisions.accepted, weight, self._unique)
        add_shared(decisions.accepted, decisions.accepted, weight, self._pairs)

    @property
    def total(self) -> Array:
        """Return (processes, 2): the events that any line accepts."""
        return self._total[:, 0]

    @property
    def unique(self) -> Array:
        """Return (lines, 2): the events that this line alone accepts."""
        unique: Array = self._unique[0]
        return unique

    @property
    def pairs(self) -> Array:
        """Return (lines, lines, 2): the events that both lines accept; on the diagonal, those of the line."""
        upper = np.triu(np.ones(self._pairs.shape[:2], dtype=bool))[..., None]
        return np.where(upper, self._pairs, self._pairs.transpose(1, 0, 2))


class Differences:
    """Counts of the events that menu A and menu B decide differently; lines are compared by name.

    Only these events tell the two apart: what both accept has no part in the error of a difference.
    """

    def __init__(self, lines_a: Sequence[str], lines_b: Sequence[str]):
        in_b = set(lines_b)
        self.lines = tuple(name for name in lines_a if name in in_b)
        """Lines that both menus have."""
        self._rows_a = np.array([lines_a.index(name) for name in self.lines], dtype=np.int64)
        self._rows_b = np.array([lines_b.index(name) for name in self.lines], dtype=np.int64)
        self._only_a, self._only_b = (np.zeros((1, len(self.lines), 2)) for _ in range(2))
        self._accepts = np.zeros((1, 3, 2))

    def add(self, a: Decisions, b: Decisions, weight: Array) -> None:
        """Count a block of N events."""
        lines_a, lines_b = a.accepted[self._rows_a], b.accepted[self._rows_b]
        everything = np.full((1, a.accepted.shape[1]), ~np.uint64(0))
        add_shared(everything, lines_a & ~lines_b, weight, self._only_a)
        add_shared(everything, lines_b & ~lines_a, weight, self._only_b)
        accept_a, accept_b = once_and_more(a.accepted)[0], once_and_more(b.accepted)[0]
        accepts = np.stack([accept_a & accept_b, accept_a & ~accept_b, accept_b & ~accept_a])
        add_shared(everything, accepts, weight, self._accepts)

    @property
    def only_a(self) -> Array:
        """Return (common lines, 2): the events that the line accepts in A, and not in B."""
        only_a: Array = self._only_a[0]
        return only_a

    @property
    def only_b(self) -> Array:
        """Return (common lines, 2): the events that the line accepts in B, and not in A."""
        only_b: Array = self._only_b[0]
        return only_b

    @property
    def accepts(self) -> Array:
        """Return (3, 2): the events that any line of both menus accepts, of A alone, of B alone."""
        accepts: Array = self._accepts[0]
        return accepts


def estimate(plus: Array, minus: Array | float = 0.0, *, whole: Array | None = None) -> tuple[Array, Array]:
    """Return the value of ``plus - minus`` and its statistical error, both (...).

    Parameters
    ----------
    plus, minus : (..., 2)
        Counts of sets that share no event.
    whole : (..., 2), optional
        Count of a set that both are part of. Without it the counts are those of a Poisson process, and the error is
        the root of the sum of squared weights. With it the value is the share of the whole, and the error is that of a
        ratio of sums over the same events, x = 1, -1 or 0 being what an event adds: the root of sum (w (x - value))^2
        over the sum of w. It is NaN of an empty whole.
    """
    taken = np.zeros_like(plus) + minus
    if whole is None:
        return plus[..., 0] - taken[..., 0], np.sqrt(plus[..., 1] + taken[..., 1])
    with np.errstate(invalid="ignore", divide="ignore"):
        share = (plus[..., 0] - taken[..., 0]) / whole[..., 0]
        rest = np.maximum(whole[..., 1] - plus[..., 1] - taken[..., 1], 0.0)
        variance = plus[..., 1] * (1 - share) ** 2 + taken[..., 1] * (1 + share) ** 2 + rest * share**2
        return share, np.sqrt(variance) / np.abs(whole[..., 0])
