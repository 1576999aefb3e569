"""Sines and cosines of columns are those of the C library, to the last place."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from daq.jit import Array
from hlt.trigonometry import arcsine, sines_cosines


def of(angles: Array) -> tuple[Array, Array]:
    sines, cosines = np.empty(angles.size), np.empty(angles.size)
    sines_cosines(angles, sines, cosines)
    return sines, cosines


@given(st.lists(st.floats(-1e15, 1e15) | st.floats(-10, 10) | st.floats(-1e-300, 1e-300), max_size=30))
def test_any_angle_is_right_to_two_units_in_the_last_place(angles):
    """Small, large and tiny angles; relative to the result, so also near its zeros."""
    column = np.array(angles, dtype=np.float64)
    for found, expected in zip(of(column), (np.sin(column), np.cos(column)), strict=True):
        assert (np.abs(found - expected) <= 2 * np.spacing(np.abs(expected))).all()


@pytest.mark.parametrize("quarters", [-9, -2, -1, 0, 1, 2, 3, 1000])
def test_multiples_of_a_right_angle(quarters):
    """Where one of the two is all but zero, it keeps all its digits."""
    column = np.array([quarters * np.pi / 2])
    for found, expected in zip(of(column), (np.sin(column), np.cos(column)), strict=True):
        assert abs(found - expected)[0] <= 2 * np.spacing(abs(expected))[0]


def test_undefined_angles_are_undefined():
    """NaN and infinities give NaN, and leave their neighbours alone."""
    column = np.array([0.5, np.nan, np.inf, -np.inf, 0.5])
    sines, cosines = of(column)
    assert_array_equal(np.isnan(sines), [False, True, True, True, False])
    assert_array_equal(np.isnan(cosines), np.isnan(sines))
    assert sines[0] == sines[4] == np.sin(0.5)


def test_single_precision_is_computed_in_double():
    """A float32 column gives the sine of exactly these numbers, in float64."""
    column = np.linspace(-3, 3, 101, dtype=np.float32)
    assert (np.abs(of(column)[0] - np.sin(column.astype(np.float64))) < 4e-16).all()


@given(st.floats(-1, 1))
def test_arcsine(x):
    """As the C library has it, to two units in the last place, over the whole range."""
    assert abs(arcsine(x) - math.asin(x)) <= 2 * np.spacing(abs(math.asin(x)))


def test_arcsine_at_its_ends():
    """Right angles at the ends, NaN beyond them."""
    assert arcsine(1.0) == -arcsine(-1.0) == math.pi / 2
    assert arcsine(0.0) == 0.0
    for beyond in (np.nextafter(1.0, 2.0), -1.5, np.inf, np.nan):
        assert math.isnan(arcsine(beyond))
