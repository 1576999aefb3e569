"""Counter-based random numbers: the draws of an event depend on (seed, run, event, stream) and on nothing else.

Philox 4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC11 (2011): ten rounds
over a 128-bit counter with a 64-bit key. Whatever the block size, the worker or the restart, event k draws the same
numbers. A kernel owns a ``draws`` array for each event (see `new_draws`) and passes it down.
"""

from __future__ import annotations

import math

import numpy as np

from daq.jit import Array, kernel

# Streams: which part of the simulation asks. Two parts never share a stream, so adding a draw to one of them leaves
# the numbers of the others as they were.
STREAM_BEAM, STREAM_CHOICE, STREAM_PROCESS, STREAM_DETECTOR, STREAM_PRIMITIVES = range(5)
STREAM_BEAM_TIMES, STREAM_TRACK_PRIMITIVES = 5, 6
STREAM_BACKGROUND, STREAM_BACKGROUND_TRACKS, STREAM_BACKGROUND_CLUSTERS, STREAM_BACKGROUND_SEGMENTS = range(7, 11)


@kernel
def new_draws() -> Array:
    """Return the state of one event's generator: key (2), counter (4), buffer (4), position (1), all uint64."""
    return np.zeros(11, dtype=np.uint64)


@kernel
def start(draws: Array, seed: int, run: int, event: int, stream: int) -> None:
    """Point ``draws`` at the first number of (seed, run, event, stream)."""
    mask = np.uint64(0xFFFFFFFF)
    half = np.uint64(32)
    wide = np.uint64(seed)
    # The seed is the key; run, stream and event fill the upper three counter words, the draw number the lowest.
    draws[0] = wide & mask
    draws[1] = wide >> half
    draws[2] = np.uint64(0)
    draws[3] = np.uint64(event) & mask
    draws[4] = ((np.uint64(event) >> half) & np.uint64(0xFFFFFF)) | (np.uint64(stream) << np.uint64(24))
    draws[5] = np.uint64(run) & mask
    draws[10] = np.uint64(4)


@kernel
def _rounds(
    c_0: np.uint64, c_1: np.uint64, c_2: np.uint64, c_3: np.uint64, key_0: np.uint64, key_1: np.uint64
) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:
    """Return the four words that a counter and a key give; each holds 32 bits."""
    mask = np.uint64(0xFFFFFFFF)
    half = np.uint64(32)
    multiplier_0 = np.uint64(0xD2511F53)
    multiplier_1 = np.uint64(0xCD9E8D57)
    weyl_0 = np.uint64(0x9E3779B9)
    weyl_1 = np.uint64(0xBB67AE85)
    for _ in range(10):
        product_0 = multiplier_0 * c_0
        product_1 = multiplier_1 * c_2
        c_0, c_1, c_2, c_3 = (
            (product_1 >> half) ^ c_1 ^ key_0,
            product_1 & mask,
            (product_0 >> half) ^ c_3 ^ key_1,
            product_0 & mask,
        )
        key_0 = (key_0 + weyl_0) & mask
        key_1 = (key_1 + weyl_1) & mask
    return c_0, c_1, c_2, c_3


@kernel
def _refill(draws: Array) -> None:
    draws[6], draws[7], draws[8], draws[9] = _rounds(draws[2], draws[3], draws[4], draws[5], draws[0], draws[1])
    draws[2] += np.uint64(1)
    draws[10] = np.uint64(0)


@kernel
def four(key: tuple[int, int, int], event: int, group: int) -> tuple[float, float, float, float]:
    """Return the numbers 4 ``group`` to 4 ``group`` + 3 that `uniform` gives for (seed, run, stream) and an event.

    For where their number is known: nothing is kept in memory between them, which is half of what they cost.
    """
    mask = np.uint64(0xFFFFFFFF)
    half = np.uint64(32)
    seed, run, stream = np.uint64(key[0]), np.uint64(key[1]), np.uint64(key[2])
    number = np.uint64(event)
    a, b, c, d = _rounds(
        np.uint64(group), number & mask, ((number >> half) & np.uint64(0xFFFFFF)) | (stream << np.uint64(24)),
        run & mask, seed & mask, seed >> half,
    )  # fmt: skip
    return _open(a), _open(b), _open(c), _open(d)


@kernel
def _open(word: np.uint64) -> float:
    """Return the middle of the interval that 32 bits stand for in (0, 1)."""
    return (np.float64(word) + 0.5) * (1.0 / 4294967296.0)


@kernel
def uniform(draws: Array) -> float:
    """Return the next number, uniform in the open interval (0, 1), 32 bits fine: float64."""
    if draws[10] >= np.uint64(4):
        _refill(draws)
    word = draws[6 + np.int64(draws[10])]
    draws[10] += np.uint64(1)
    return _open(word)


@kernel
def normal(draws: Array) -> float:
    """Return the next standard normal number (Box and Muller, one of the pair): float64."""
    radius = math.sqrt(-2.0 * math.log(uniform(draws)))
    return radius * math.cos(2.0 * math.pi * uniform(draws))


@kernel
def exponential(draws: Array) -> float:
    """Return the next exponential number of mean 1: float64."""
    return -math.log(uniform(draws))
