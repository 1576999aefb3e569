"""Counter-based random numbers: the draws of an event depend on (seed, run, event, stream) and on nothing else.

Philox 4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC11 (2011): ten rounds
over a 128-bit counter with a 64-bit key. Whatever the block size, the worker or the restart, event k draws the same
numbers. Four counters are encrypted side by side, which the compiler turns into vector instructions (1.5 ns a word, 11
one by one). Normal numbers come from a ziggurat of 256 layers, which needs one word and no function call 99 times in
100.

A caller makes a generator with `new_draws`; kernels take its record, point it at an event with `start` and pass it on.
Whoever knows beforehand how many words the objects of a block need takes them all at once with `fill_words`.

Ziggurat: Marsaglia and Tsang, J. Stat. Softw. 5 (2000) no. 8; layer, sign and abscissa from bits of their own, as
Doornik (2005) asks for.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from daq.jit import Array, kernel_inline, kernel_lean

# Streams: which part of the simulation asks. Two parts never share a stream, so adding a draw to one of them leaves
# the numbers of the others as they were.
STREAM_BEAM, STREAM_CHOICE, STREAM_PROCESS, STREAM_DETECTOR, STREAM_PRIMITIVES = range(5)
STREAM_BEAM_TIMES, STREAM_TRACK_PRIMITIVES = 5, 6
STREAM_BACKGROUND, STREAM_BACKGROUND_TRACKS, STREAM_BACKGROUND_CLUSTERS, STREAM_BACKGROUND_SEGMENTS = range(7, 11)
STREAM_DETECTOR_TRACKS, STREAM_DETECTOR_CLUSTERS = 11, 12

LANES = 4
_LAYERS = 256


def _overshoot(r: float) -> float:
    """Return by how much the layers of equal area above ``r`` miss the top of the normal curve."""
    area = r * math.exp(-0.5 * r * r) + math.sqrt(0.5 * math.pi) * math.erfc(r / math.sqrt(2.0))
    x = r
    for _ in range(_LAYERS - 2):
        height = area / x + math.exp(-0.5 * x * x)
        if height >= 1.0:
            return 1.0
        x = math.sqrt(-2.0 * math.log(height))
    return area / x + math.exp(-0.5 * x * x) - 1.0


def _ziggurat() -> tuple[Array, Array]:
    """Return the (257,) right edges of the layers, from the base with the tail upwards, and the curve there."""
    low, high = 3.0, 4.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _overshoot(middle) > 0.0 else (low, middle)
    area = high * math.exp(-0.5 * high * high) + math.sqrt(0.5 * math.pi) * math.erfc(high / math.sqrt(2.0))
    edges = np.zeros(_LAYERS + 1)
    edges[0], edges[1] = area / math.exp(-0.5 * high * high), high
    for i in range(2, _LAYERS):
        edges[i] = math.sqrt(-2.0 * math.log(area / edges[i - 1] + math.exp(-0.5 * edges[i - 1] ** 2)))
    return edges, np.exp(-0.5 * edges**2)


_EDGES, _HEIGHTS = _ziggurat()
_SCALES = np.concatenate([_EDGES[:-1], -_EDGES[:-1]]) / 8388608.0
"""Of a place in a layer, drawn as 23 bits; the upper half of the table is for negative numbers."""


DRAWS: np.dtype[Any] = np.dtype(
    [
        ("key_0", "<u8"),
        ("key_1", "<u8"),
        ("counter", "<u8"),
        ("event", "<u8"),
        ("stream", "<u8"),
        ("run", "<u8"),
        ("next", "<i8"),
        ("words", "<u8", (4 * LANES,)),
    ]
)
"""State of one event's generator; kernels pass it as one pointer."""


def new_draws() -> Array:
    """Return the state of a generator, an array of one `DRAWS` that kernels take the record of."""
    return np.zeros(1, dtype=DRAWS)


@kernel_lean
def start(draws: Any, seed: int, run: int, event: int, stream: int) -> None:
    """Point ``draws`` at the first number of (seed, run, event, stream)."""
    mask = np.uint64(0xFFFFFFFF)
    half = np.uint64(32)
    # The seed is the key; run, stream and event fill the upper three counter words, the number of the draw the lowest.
    draws.key_0 = np.uint64(seed) & mask
    draws.key_1 = np.uint64(seed) >> half
    draws.counter = np.uint64(0)
    draws.event = np.uint64(event) & mask
    draws.stream = ((np.uint64(event) >> half) & np.uint64(0xFFFFFF)) | (np.uint64(stream) << np.uint64(24))
    draws.run = np.uint64(run) & mask
    draws.next = 4 * LANES


@kernel_lean
def _refill(draws: Any) -> None:
    mask = np.uint64(0xFFFFFFFF)
    half = np.uint64(32)
    # All that the lanes read stands in locals: only then can the loop over them become vector instructions.
    seed_0, seed_1, first = draws.key_0, draws.key_1, draws.counter
    event, stream, run = draws.event, draws.stream, draws.run
    words = draws.words
    for lane in range(LANES):
        c_0, c_1, c_2, c_3 = first + np.uint64(lane), event, stream, run
        key_0, key_1 = seed_0, seed_1
        for _ in range(10):
            product_0 = np.uint64(0xD2511F53) * (c_0 & mask)
            product_1 = np.uint64(0xCD9E8D57) * (c_2 & mask)
            c_0, c_1, c_2, c_3 = (
                (product_1 >> half) ^ c_1 ^ key_0,
                product_1 & mask,
                (product_0 >> half) ^ c_3 ^ key_1,
                product_0 & mask,
            )
            key_0 = (key_0 + np.uint64(0x9E3779B9)) & mask
            key_1 = (key_1 + np.uint64(0xBB67AE85)) & mask
        words[lane] = c_0
        words[LANES + lane] = c_1
        words[2 * LANES + lane] = c_2
        words[3 * LANES + lane] = c_3
    draws.counter = first + np.uint64(LANES)
    draws.next = 0


@kernel_lean
def _round(
    c_0: Any, c_1: Any, c_2: Any, c_3: Any, key_0: Any, key_1: Any
) -> tuple[Any, Any, Any, Any]:  # fmt: skip
    mask = np.uint64(0xFFFFFFFF)
    half = np.uint64(32)
    product_0 = np.uint64(0xD2511F53) * (c_0 & mask)
    product_1 = np.uint64(0xCD9E8D57) * (c_2 & mask)
    return (product_1 >> half) ^ c_1 ^ key_0, product_1 & mask, (product_0 >> half) ^ c_3 ^ key_1, product_0 & mask


@kernel_lean
def fill_words(key: tuple[int, int, int], first_event: int, owner: Array, number: Array, out: Array) -> None:
    """Write the words of many counters of a (seed, run, stream) into ``out``, uint32, four of each.

    Counter j is number ``number[j]`` (int64) of event ``first_event + owner[j]`` (int64). 4 ns a counter.
    """
    seed, run, stream = key
    mask = np.uint64(0xFFFFFFFF)
    half = np.uint64(32)
    step_0, step_1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
    seed_0, seed_1 = np.uint64(seed) & mask, np.uint64(seed) >> half
    high, last, first = np.uint64(stream) << np.uint64(24), np.uint64(run) & mask, np.uint64(first_event)
    for j in range(owner.size):
        event = first + np.uint64(owner[j])
        c_0, c_1 = np.uint64(number[j]), event & mask
        c_2, c_3 = ((event >> half) & np.uint64(0xFFFFFF)) | high, last
        k_0, k_1 = seed_0, seed_1
        # Ten rounds written out: a loop over them would keep the loop over counters from becoming vector instructions.
        c_0, c_1, c_2, c_3 = _round(c_0, c_1, c_2, c_3, k_0, k_1)
        k_0, k_1 = (k_0 + step_0) & mask, (k_1 + step_1) & mask
        c_0, c_1, c_2, c_3 = _round(c_0, c_1, c_2, c_3, k_0, k_1)
        k_0, k_1 = (k_0 + step_0) & mask, (k_1 + step_1) & mask
        c_0, c_1, c_2, c_3 = _round(c_0, c_1, c_2, c_3, k_0, k_1)
        k_0, k_1 = (k_0 + step_0) & mask, (k_1 + step_1) & mask
        c_0, c_1, c_2, c_3 = _round(c_0, c_1, c_2, c_3, k_0, k_1)
        k_0, k_1 = (k_0 + step_0) & mask, (k_1 + step_1) & mask
        c_0, c_1, c_2, c_3 = _round(c_0, c_1, c_2, c_3, k_0, k_1)
        k_0, k_1 = (k_0 + step_0) & mask, (k_1 + step_1) & mask
        c_0, c_1, c_2, c_3 = _round(c_0, c_1, c_2, c_3, k_0, k_1)
        k_0, k_1 = (k_0 + step_0) & mask, (k_1 + step_1) & mask
        c_0, c_1, c_2, c_3 = _round(c_0, c_1, c_2, c_3, k_0, k_1)
        k_0, k_1 = (k_0 + step_0) & mask, (k_1 + step_1) & mask
        c_0, c_1, c_2, c_3 = _round(c_0, c_1, c_2, c_3, k_0, k_1)
        k_0, k_1 = (k_0 + step_0) & mask, (k_1 + step_1) & mask
        c_0, c_1, c_2, c_3 = _round(c_0, c_1, c_2, c_3, k_0, k_1)
        k_0, k_1 = (k_0 + step_0) & mask, (k_1 + step_1) & mask
        c_0, c_1, c_2, c_3 = _round(c_0, c_1, c_2, c_3, k_0, k_1)
        out[4 * j], out[4 * j + 1], out[4 * j + 2], out[4 * j + 3] = c_0, c_1, c_2, c_3


@kernel_inline
def _word(draws: Any) -> Any:
    if draws.next >= 4 * LANES:
        _refill(draws)
    place = draws.next
    draws.next = place + 1
    return np.int64(draws.words[place])


@kernel_lean
def uniform(draws: Any) -> float:
    """Return the next number, uniform in the open interval (0, 1), 32 bits fine: float64."""
    return (np.float64(_word(draws)) + 0.5) * (1.0 / 4294967296.0)


@kernel_inline
def normal(draws: Any) -> float:
    """Return the next standard normal number: float64, 23 bits fine in its layer."""
    word = _word(draws)
    # Layer and sign choose the scale together: half of the branches on a sign would be guessed wrongly.
    x: float = (np.float64(word >> 9) + 0.5) * _SCALES[word & 511]
    layer = word & 255
    # Apart from the rest, which is rare: so much is small enough to be pasted into its callers.
    return x if abs(x) < _EDGES[layer + 1] else _beyond(draws, x, layer)


@kernel_lean
def _in_layer(draws: Any) -> tuple[float, int]:
    """Draw a place in a layer, and the layer."""
    word = _word(draws)
    return (np.float64(word >> 9) + 0.5) * _SCALES[word & 511], word & 255


@kernel_lean
def _beyond(draws: Any, x: float, layer: int) -> float:
    """Accept a place that is not under the next layer too, or draw others until one is accepted."""
    while True:
        if layer == 0:
            return math.copysign(_tail(draws), x)
        low, high = _HEIGHTS[layer], _HEIGHTS[layer + 1]
        if low + uniform(draws) * (high - low) < math.exp(-0.5 * x * x):
            return x
        x, layer = _in_layer(draws)
        if abs(x) < _EDGES[layer + 1]:
            return x


@kernel_lean
def _tail(draws: Any) -> float:
    """Return a normal number beyond the last layer (Marsaglia 1964)."""
    edge: float = _EDGES[1]
    while True:
        x = -math.log(uniform(draws)) / edge
        if -2.0 * math.log(uniform(draws)) > x * x:
            return edge + x


@kernel_lean
def exponential(draws: Any) -> float:
    """Return the next exponential number of mean 1: float64."""
    return -math.log(uniform(draws))
