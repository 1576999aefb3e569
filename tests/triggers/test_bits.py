"""Bit matrices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from triggers.bits import flags_of, pack, planes_of, words_of


@given(st.integers(0, 200), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_planes_move_bit_j_of_row_i_to_bit_i_of_row_j(rows: int, columns: int, seed: int):
    """The block algorithm may not differ from the definition, here numpy's unpacked bits."""
    words = np.random.default_rng(seed).integers(0, 2**64, (rows, columns), dtype=np.uint64)
    bits = np.unpackbits(words.view(np.uint8).reshape(rows, 8 * columns), axis=1, bitorder="little")
    planes = planes_of(words, 64 * columns)
    assert planes.shape == (64 * columns, -(-rows // 64))
    back = np.unpackbits(planes.view(np.uint8).reshape(64 * columns, -1), axis=1, bitorder="little")
    assert_array_equal(back[:, :rows], bits.T)
    assert not back[:, rows:].any()


@given(st.integers(1, 130), st.integers(0, 200), st.integers(0, 2**32 - 1))
def test_planes_and_back(n_bits: int, n_events: int, seed: int):
    """Words to planes to words is the identity, and a flag is its bit."""
    flags = np.random.default_rng(seed).integers(0, 2, (n_events, n_bits)).astype(np.bool_)
    words = np.zeros((n_events, -(-n_bits // 64)), dtype=np.uint64)
    for bit in range(n_bits):
        words[:, bit // 64] |= flags[:, bit].astype(np.uint64) << np.uint64(bit % 64)
    assert_array_equal(words_of(planes_of(words, n_bits), n_events), words)
    for bit in range(n_bits):
        assert_array_equal(flags_of(words, bit), flags[:, bit])


@pytest.mark.parametrize("flags", [(True,), (False, True), tuple(i % 3 == 0 for i in range(64))])
def test_pack_puts_flag_i_at_bit_i(flags: tuple[bool, ...]):
    """Up to 64 flags make one word."""
    assert int(pack(flags)) == sum(1 << i for i, flag in enumerate(flags) if flag)
