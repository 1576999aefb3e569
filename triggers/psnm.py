"""PSNM: prescale and mask, line by line.

A line with prescale n keeps an event if a hash of (line name, run, event, seed) lies in the lowest 1/n of its range; 1
keeps all, 0 none. So the same events survive whatever the block size, the worker or the order of the lines in the menu,
lines are independent of each other, and an event that passes n also passes every smaller prescale.

The hash chains the finaliser of splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators",
OOPSLA 2014): ``mix(mix(mix(mix(seed) ^ run) ^ event) ^ key)``, where the key of a line is the xxh3 of its name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import xxhash

from daq.jit import Array, kernel


class Prescales(NamedTuple):
    """Prescales of all lines, as the kernel wants them."""

    key: Array
    """(lines,) uint64 hash of the name."""
    prescale: Array
    """(lines,) uint64."""


def prescales(names: Sequence[str], values: Sequence[int]) -> Prescales:
    """Return the prescales ``values`` of the lines ``names``."""
    return Prescales(
        key=np.array([xxhash.xxh3_64_intdigest(name.encode()) for name in names], dtype=np.uint64),
        prescale=np.array(values, dtype=np.uint64),
    )


@kernel
def _mix(word: Any) -> Any:
    word += np.uint64(0x9E3779B97F4A7C15)
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))


@kernel
def _mask(lines: Prescales, fired: Array, run: Array, event: Array, seed: Any, out: Array) -> None:
    start = _mix(seed)
    for line in range(fired.shape[0]):
        prescale = lines.prescale[line]
        for word in range(fired.shape[1]):
            passed = fired[line, word] if prescale else np.uint64(0)
            if prescale > np.uint64(1) and passed:
                limit = ~np.uint64(0) // prescale  # 2**64 / n, within one
                for k in range(64):
                    bit = np.uint64(1) << np.uint64(k)
                    if passed & bit:
                        row = 64 * word + k
                        of_event = _mix(_mix(start ^ np.uint64(run[row])) ^ np.uint64(event[row]))
                        if _mix(of_event ^ lines.key[line]) >= limit:
                            passed ^= bit
            out[line, word] = passed


def prescale_and_mask(lines: Prescales, fired: Array, run: Array, event: Array, seed: int) -> Array:
    """Return the planes of what passes, (lines, ceil(N / 64)) uint64, of the planes of what fired."""
    out = np.empty_like(fired)
    _mask(lines, fired, run, event, np.uint64(seed), out)
    return out
