"""How the stages of the chain hand bits to each other."""

from __future__ import annotations

import numpy as np
from numpy.testing import assert_array_equal

from stages import l1_bits


def test_the_hlt_gets_the_l1_bits_that_it_looks_at():
    """By name, after the prescale or, with the prefix, before; a bit that the L1 menu has not is left out."""
    names = [*(f"line_{k}" for k in range(64)), "bhapur", "lml1", "raw_lml1"]
    prescaled, raw = np.zeros((3, 2), dtype=np.uint64), np.zeros((3, 2), dtype=np.uint64)
    prescaled[:, 1] = [0b001, 0b010, 0b111]
    raw[:, 1] = [0b101, 0b011, 0b111]
    bits = l1_bits(prescaled, raw, names)
    assert bits.keys() == {"bhapur", "lml1", "raw_bhapur"}
    assert_array_equal(bits["bhapur"], [True, False, True])
    assert_array_equal(bits["lml1"], [False, True, True])
    assert_array_equal(bits["raw_bhapur"], [True, True, True])
