"""Bins of azimuth as the GRL counts them: 36 of 10 degrees for tracks and clusters, 64 for the inner drift chamber.

A set of bins is a uint64, bit = bin, so that a turn is a rotation and a coincidence is an AND.

Source: Belle II public software, GRL trigger simulation (matching module).
"""

from __future__ import annotations

import math

import numpy as np

from daq.jit import Array, kernel_inline

_THIRDS = ((0, 1), (1, 3), (3, 5), (5, 7), (7, 8), (8, 10), (10, 12), (12, 14), (14, 15))
"""In each quadrant, the first and the last of 16 bins that make each of 9."""

BINS_64_OF_36: Array = np.array(
    [sum(1 << 16 * quadrant + k for k in range(low, high + 1)) for quadrant in range(4) for low, high in _THIRDS],
    dtype=np.uint64,
)
"""(36,) uint64: the 64-bins that each 36-bin takes; neighbours share bins."""


@kernel_inline
def bin_of(phi_rad: float) -> int:
    """Return the 36-bin of an azimuth [rad] in any turn."""
    turned = phi_rad - 2.0 * math.pi * math.floor(phi_rad / (2.0 * math.pi))
    return int(turned * 18.0 / math.pi) % 36  # modulo: rounding may give a full turn


@kernel_inline
def turned_36(bins: np.uint64, steps: int) -> np.uint64:
    """Return a set of 36-bins, each ``steps`` (0 to 35) further."""
    return ((bins << np.uint64(steps)) | (bins >> np.uint64(36 - steps))) & np.uint64((1 << 36) - 1)


@kernel_inline
def turned_64(bins: np.uint64, steps: int) -> np.uint64:
    """Return a set of 64-bins, each ``steps`` (any sign) further."""
    by = np.uint64(steps & 63)
    return (bins << by) | (bins >> ((np.uint64(64) - by) & np.uint64(63)))


@kernel_inline
def to_36(bins: np.uint64, bins_64_of_36: Array) -> np.uint64:
    """Return the 36-bins that a set of 64-bins touches."""
    touched = np.uint64(0)
    if bins:
        for k in range(36):
            if bins & bins_64_of_36[k]:
                touched |= np.uint64(1) << np.uint64(k)
    return touched


@kernel_inline
def circular_differences(first: np.uint64, second: np.uint64) -> np.uint64:
    """Return which differences 0 to 35 there are between the 36-bins of two sets; d and 36 - d come together."""
    differences = np.uint64(0)
    if first and second:
        for steps in range(36):
            if first & turned_36(second, steps):
                differences |= np.uint64(1) << np.uint64(steps)
    return differences


@kernel_inline
def any_within(differences: np.uint64, window: tuple[int, int]) -> bool:
    """Return whether a difference (bit of the set) lies in the window, both ends in."""
    width = np.uint64(window[1] - window[0] + 1)
    ones = (np.uint64(1) << width) - np.uint64(1)
    return bool((differences >> np.uint64(window[0])) & ones)
