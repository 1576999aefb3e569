"""Bins of azimuth as the GRL counts them: 36 of 10 degrees for tracks and clusters, 64 for the inner drift chamber.

A set of bins is a uint64, bit = bin, so that a turn is a rotation and a coincidence is an AND.

Source: Belle II public software, GRL trigger simulation (matching module).
"""

from __future__ import annotations

import math

import numpy as np

from daq.jit import Array, kernel

_THIRDS = ((0, 1), (1, 3), (3, 5), (5, 7), (7, 8), (8, 10), (10, 12), (12, 14), (14, 15))
"""In each quadrant, the first and the last of 16 bins that make each of 9."""

BINS_64_OF_36: Array = np.array(
    [sum(1 << 16 * quadrant + k for k in range(low, high + 1)) for quadrant in range(4) for low, high in _THIRDS],
    dtype=np.uint64,
)
"""(36,) uint64: the 64-bins that each 36-bin takes; neighbours share bins."""


@kernel
def bin_of(phi_rad: float) -> int:
    """Return the 36-bin of an azimuth [rad] in any turn."""
    turned = phi_rad - 2.0 * math.pi * math.floor(phi_rad / (2.0 * math.pi))
    return int(turned * 18.0 / math.pi) % 36  # modulo: rounding may give a full turn


@kernel
def turned_36(bins: np.uint64, steps: int) -> np.uint64:
    """Return a set of 36-bins, each ``steps`` (0 to 35) further."""
    return ((bins << np.uint64(steps)) | (bins >> np.uint64(36 - steps))) & np.uint64((1 << 36) - 1)


@kernel
def turned_64(bins: np.uint64, steps: int) -> np.uint64:
    """Return a set of 64-bins, each ``steps`` (any sign) further."""
    by = np.uint64(steps & 63)
    return (bins << by) | (bins >> ((np.uint64(64) - by) & np.uint64(63)))


@kernel
def spread_36(bins: np.uint64, first: int, last: int) -> np.uint64:
    """Return the 36-bins that are ``first`` to ``last`` (any sign) steps further than one of a set."""
    spread, width = turned_36(bins, first % 36), 1
    while width <= last - first:
        step = min(width, last - first + 1 - width)
        spread |= turned_36(spread, step)
        width += step
    return spread


@kernel
def spread_64(bins: np.uint64, first: int, last: int) -> np.uint64:
    """Return the 64-bins that are ``first`` to ``last`` (any sign) steps further than one of a set."""
    spread, width = turned_64(bins, first), 1
    while width <= last - first:
        step = min(width, last - first + 1 - width)
        spread |= turned_64(spread, step)
        width += step
    return spread


@kernel
def to_36(bins: np.uint64, bins_64_of_36: Array) -> np.uint64:
    """Return the 36-bins that a set of 64-bins touches."""
    touched = np.uint64(0)
    if bins:
        for k in range(36):
            touched |= np.uint64(bins & bins_64_of_36[k] != np.uint64(0)) << np.uint64(k)
    return touched


@kernel
def any_apart(one: np.uint64, other: np.uint64, window: tuple[int, int]) -> bool:
    """Return whether a 36-bin of one set and one of another are apart by a number of steps in the window, ends in.

    Steps are counted either way: the window must be the same seen from the other side, as 9 to 27.
    """
    return bool(one) and bool(other & spread_36(one, window[0], window[1]))


@kernel
def any_within(differences: np.uint64, window: tuple[int, int]) -> bool:
    """Return whether a difference (bit of the set) lies in the window, both ends in."""
    width = np.uint64(window[1] - window[0] + 1)
    ones = (np.uint64(1) << width) - np.uint64(1)
    return bool((differences >> np.uint64(window[0])) & ones)
