"""The quick trigonometry of the response against the library's."""

import math

from hypothesis import given
from hypothesis import strategies as st

from daq.source.angles import arc_per_chord, asin, atan2, sincos

TOLERANCE = 1e-10


@given(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3))
def test_atan2(y, x):
    """All quadrants and the axes; the null vector has angle 0."""
    expected = math.atan2(y, x) if x or y else 0.0
    assert abs(math.remainder(atan2(y, x) - expected, 2 * math.pi)) < TOLERANCE


@given(st.floats(-1, 1))
def test_asin(sine):
    """To the ends, where it is steep."""
    assert abs(asin(sine) - math.asin(sine)) < TOLERANCE


@given(st.floats(0, 1))
def test_arc_per_chord(square):
    """asin(s) / s, 1 for a straight line."""
    sine = math.sqrt(square)
    assert abs(arc_per_chord(square) - (math.asin(sine) / sine if sine > 1e-150 else 1.0)) < TOLERANCE


@given(st.floats(-1e3, 1e3))
def test_sincos(angle):
    """Over many turns."""
    sine, cosine = sincos(angle)
    assert abs(sine - math.sin(angle)) < TOLERANCE
    assert abs(cosine - math.cos(angle)) < TOLERANCE
