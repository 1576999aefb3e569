"""Bits of many events: one word an event, or one word for 64 events.

A sub-trigger answers with *words*: row = event, bit i = its i-th decision. The menu logic wants *planes*: row =
decision, bit k of word w = event 64 w + k, so that one AND works on 64 events. One is the other, transposed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from daq.jit import Array, kernel

SQUARES = 8  # of 64 x 64 bits that are turned together, so that each step works on many words side by side


def _packed(_context: Any, flags: Any) -> Any:
    """Write the code of `pack`: a loop over a tuple would be compiled to a jump for each of its entries."""

    def write(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        word = ir.IntType(64)(0)
        for i in range(len(flags)):
            flag = builder.zext(builder.extract_value(arguments[0], i), word.type)
            word = builder.or_(word, builder.shl(flag, word.type(i)))
        return word

    return types.uint64(flags), write


_pack: Any = intrinsic(_packed)


@kernel
def pack(flags: Any) -> Any:
    """Return a uint64 with bit i set where ``flags[i]``, a tuple of at most 64 booleans, is true."""
    return _pack(flags)


@kernel
def count_bits(word: Any) -> int:
    """Return how many bits of a number that is not negative are set."""
    count = 0
    while word:
        word &= word - 1
        count += 1
    return count


@kernel
def _transpose(rows: Array, out: Array) -> None:
    """Fill (B, ceil(R / 64)) words with the first B columns of bits of (R, C) words."""
    lines = np.zeros(64 * SQUARES, dtype=np.uint64)  # line i of square k stands at i * SQUARES + k
    width = rows.shape[1]
    count = out.shape[1] * width
    for first in range(0, count, SQUARES):
        n_squares = min(SQUARES, count - first)
        for k in range(n_squares):
            block, column = (first + k) // width, (first + k) % width
            n_rows = min(64, rows.shape[0] - 64 * block)
            for i in range(n_rows):
                lines[i * SQUARES + k] = rows[64 * block + i, column]
            for i in range(n_rows, 64):
                lines[i * SQUARES + k] = np.uint64(0)
        # Swap the off-diagonal quarters of each square, then those of each quarter, down to single bits.
        half = 32
        mask = np.uint64(0xFFFFFFFF)
        while half:
            shift = np.uint64(half)
            for begin in range(0, lines.size, 2 * half * SQUARES):
                upper = lines[begin : begin + half * SQUARES]
                lower = lines[begin + half * SQUARES : begin + 2 * half * SQUARES]
                for k in range(upper.size):
                    swapped = ((upper[k] >> shift) ^ lower[k]) & mask
                    upper[k] ^= swapped << shift
                    lower[k] ^= swapped
            half >>= 1
            mask ^= mask << np.uint64(half)
        for k in range(n_squares):
            block, column = (first + k) // width, (first + k) % width
            for i in range(min(64, out.shape[0] - 64 * column)):
                out[64 * column + i, block] = lines[i * SQUARES + k]


def planes_of(words: Array, n_bits: int) -> Array:
    """Return the first ``n_bits`` bits of (N, W) words as (n_bits, ceil(N / 64)) planes."""
    planes = np.empty((n_bits, -(-words.shape[0] // 64)), dtype=np.uint64)
    transpose_into(planes, words)
    return planes


def words_of(planes: Array, n_events: int) -> Array:
    """Return (B, ceil(N / 64)) planes as (N, ceil(B / 64)) words."""
    words = np.empty((n_events, -(-planes.shape[0] // 64)), dtype=np.uint64)
    transpose_into(words, planes)
    return words


def transpose_into(out: Array, rows: Array) -> None:
    """Fill (B, ceil(R / 64)) words with the first B columns of bits of (R, C) words; what is not given is 0."""
    _transpose(rows, out)


def flags_of(words: Array, bit: int) -> Array:
    """Return bit number ``bit`` of (N, W) words as (N,) bool."""
    flags: Array = words[:, bit // 64] >> np.uint64(bit % 64) & np.uint64(1) != 0
    return flags


def planes_of_flags(flags: Array) -> Array:
    """Return (B, N) bool as (B, ceil(N / 64)) planes."""
    bytes_of = np.packbits(flags, axis=1, bitorder="little")
    planes = np.zeros((flags.shape[0], -(-flags.shape[1] // 64)), dtype="<u8")
    planes.view(np.uint8)[:, : bytes_of.shape[1]] = bytes_of
    return planes
