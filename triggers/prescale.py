"""Prescale by hash, for both trigger levels: keep one event in n, the same ones whoever asks.

A line with prescale n keeps an event if a hash of (level, line name, seed, run, event) lies in the lowest 1/n of its
range; 1 keeps all, 0 none. So the same events survive whatever the block size, the worker or the order of the lines in
the menu, lines are independent of each other, and an event that passes n also passes every smaller prescale.

The hash is ``mix(mix(key ^ mix(run)) ^ event)`` with the finaliser of splitmix64 (Steele, Lea and Flood, "Fast
splittable pseudorandom number generators", OOPSLA 2014); the key of a line is the xxh3 of "level/name" under the seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xxhash

from daq.jit import Array, kernel


def line_keys(level: str, names: Sequence[str], seed: int) -> Array:
    """Return the (lines,) uint64 keys of the lines of a level ("l1", "hlt")."""
    return np.array([xxhash.xxh3_64_intdigest(f"{level}/{name}".encode(), seed=seed) for name in names], dtype="<u8")


@kernel
def _mix(word: Any) -> Any:
    word += np.uint64(0x9E3779B97F4A7C15)
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))


@kernel
def keeps(key: Any, prescale: Any, run: Any, event: Any) -> bool:
    """Return whether the line of this key keeps an event that it selects."""
    if prescale <= np.uint64(1):
        return bool(prescale == np.uint64(1))
    word = _mix(_mix(np.uint64(key) ^ _mix(np.uint64(run))) ^ np.uint64(event))
    return bool(word < ~np.uint64(0) // np.uint64(prescale))  # 2**64 / n, within one
