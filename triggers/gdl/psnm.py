"""PSNM: prescale and mask, line by line.

A prescale of n keeps one in n of the events in which its line fires: by a hash of the event (see `triggers.prescale`),
or by a counter of the line that lets each n-th pass. Public sources do not say which one the hardware has. A counter
looks at the events before, so it travels from block to block with the state of the L1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from daq.jit import Array, kernel
from triggers.prescale import keeps, line_keys


class Prescales(NamedTuple):
    """Prescales of all lines, as the kernels want them."""

    key: Array
    """(lines,) uint64 key of the line."""
    prescale: Array
    """(lines,) uint64."""


def prescales(names: Sequence[str], values: Sequence[int], seed: int) -> Prescales:
    """Return the prescales ``values`` of the lines ``names``; a masked line has 0."""
    return Prescales(key=line_keys("l1", names, seed), prescale=np.array(values, dtype=np.uint64))


@kernel
def _by_hash(lines: Prescales, fired: Array, run: Array, event: Array, out: Array) -> None:
    for line in range(fired.shape[0]):
        prescale = lines.prescale[line]
        for word in range(fired.shape[1]):
            passed = fired[line, word] if prescale else np.uint64(0)
            if prescale > np.uint64(1) and passed:
                for k in range(64):
                    bit = np.uint64(1) << np.uint64(k)
                    row = 64 * word + k
                    if passed & bit and not keeps(lines.key[line], prescale, run[row], event[row]):
                        passed ^= bit
            out[line, word] = passed


@kernel
def _by_counter(lines: Prescales, fired: Array, run: Array, count: Array, out: Array) -> None:
    for line in range(fired.shape[0]):
        prescale, counted = np.int64(lines.prescale[line]), count[line]
        for word in range(fired.shape[1]):
            passed = fired[line, word] if prescale else np.uint64(0)
            if prescale > 1:
                for k in range(min(64, run.size - 64 * word)):
                    bit = np.uint64(1) << np.uint64(k)
                    row = 64 * word + k
                    if row > 0 and run[row] != run[row - 1]:
                        counted = 0
                    if passed & bit:
                        counted += 1
                        if counted < prescale:
                            passed ^= bit
                        else:
                            counted = 0
            out[line, word] = passed
        count[line] = counted


def prescale_and_mask(lines: Prescales, fired: Array, run: Array, event: Array, count: Array | None = None) -> Array:
    """Return the planes of what passes, (lines, ceil(N / 64)) uint64, of the planes of what fired.

    With ``count``, (lines,) int64, prescales are by counter: it says how often each line has fired since it passed
    last, in this run, and is brought up to date. A new run counts from 0.
    """
    out = np.empty_like(fired)
    if count is None:
        _by_hash(lines, fired, run, event, out)
    else:
        _by_counter(lines, fired, run, count, out)
    return out
