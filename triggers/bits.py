"""Bits of many events: one word an event, or one word for 64 events.

A sub-trigger answers with *words*: row = event, bit i = its i-th decision. The menu logic wants *planes*: row =
decision, bit k of word w = event 64 w + k, so that one AND works on 64 events. One is the other, transposed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from daq.jit import Array, kernel


@kernel
def pack(flags: Any) -> Any:
    """Return a uint64 with bit i set where ``flags[i]``, a tuple of at most 64 booleans, is true."""
    word = np.uint64(0)
    for i in range(len(flags)):
        if flags[i]:
            word |= np.uint64(1) << np.uint64(i)
    return word


@kernel
def _transpose(rows: Array, out: Array) -> None:
    # Blocks of 64 x 64 bits: swap the off-diagonal quarters, then those of each quarter, down to single bits.
    square = np.empty(64, dtype=np.uint64)
    for block in range(out.shape[1]):
        count = min(64, rows.shape[0] - 64 * block)
        for column in range(rows.shape[1]):
            for i in range(64):
                square[i] = rows[64 * block + i, column] if i < count else np.uint64(0)
            half = 32
            mask = np.uint64(0xFFFFFFFF)
            while half:
                shift = np.uint64(half)
                for i in range(64):
                    if not i & half:
                        swapped = ((square[i] >> shift) ^ square[i + half]) & mask
                        square[i] ^= swapped << shift
                        square[i + half] ^= swapped
                half >>= 1
                mask ^= mask << np.uint64(half)
            for i in range(64):
                out[64 * column + i, block] = square[i]


def transpose(rows: Array) -> Array:
    """Return the transposed bit matrix: (R, C) words become (64 C, ceil(R / 64)) words; what is not given is 0."""
    out = np.empty((64 * rows.shape[1], -(-rows.shape[0] // 64)), dtype=np.uint64)
    _transpose(rows, out)
    return out


def planes_of(words: Array, n_bits: int) -> Array:
    """Return the first ``n_bits`` bits of (N, W) words as (n_bits, ceil(N / 64)) planes."""
    return transpose(words)[:n_bits]


def words_of(planes: Array, n_events: int) -> Array:
    """Return (B, ceil(N / 64)) planes as (N, ceil(B / 64)) words."""
    return transpose(planes)[:n_events]


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
