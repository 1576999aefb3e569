"""PSNM: prescale and mask, line by line (see `triggers.prescale` for which events a prescale keeps)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from daq.jit import Array, kernel
from triggers.prescale import keeps, line_keys


class Prescales(NamedTuple):
    """Prescales of all lines, as the kernel wants them."""

    key: Array
    """(lines,) uint64 key of the line."""
    prescale: Array
    """(lines,) uint64."""


def prescales(names: Sequence[str], values: Sequence[int], seed: int) -> Prescales:
    """Return the prescales ``values`` of the lines ``names``."""
    return Prescales(key=line_keys("l1", names, seed), prescale=np.array(values, dtype=np.uint64))


@kernel
def _mask(lines: Prescales, fired: Array, run: Array, event: Array, out: Array) -> None:
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


def prescale_and_mask(lines: Prescales, fired: Array, run: Array, event: Array) -> Array:
    """Return the planes of what passes, (lines, ceil(N / 64)) uint64, of the planes of what fired."""
    out = np.empty_like(fired)
    _mask(lines, fired, run, event, out)
    return out
