"""Trigonometry of the response: polynomials that are right to 1e-10 and cost a third of the library's functions.

The event model keeps angles as float32, to 2e-7. Polynomials in the square of the argument, interpolated at Chebyshev
nodes on ranges to which the argument is reduced; sine and cosine are their series.
"""

from __future__ import annotations

import math

import numpy as np

from daq.jit import kernel_lean


def _even(function: np.ufunc, reach: float, degree: int) -> tuple[float, ...]:
    """Return the coefficients of ``function(x) / x`` in x**2 for abs(x) <= reach, highest power first."""
    square = np.polynomial.Chebyshev.interpolate(
        lambda u: function(np.sqrt(u)) / np.sqrt(u), degree, domain=[0.0, reach**2]
    )
    return tuple(float(c) for c in square.convert(kind=np.polynomial.Polynomial).coef[::-1])


_EIGHTH = math.tan(math.pi / 8.0)
_A6, _A5, _A4, _A3, _A2, _A1, _A0 = _even(np.arctan, _EIGHTH, 6)
_F3, _F5, _F7, _F9, _F11 = -1.0 / 6, 1.0 / 120, -1.0 / 5040, 1.0 / 362880, -1.0 / 39916800
_F4, _F6, _F8, _F10, _F12 = 1.0 / 24, -1.0 / 720, 1.0 / 40320, -1.0 / 3628800, 1.0 / 479001600
_S7, _S6, _S5, _S4, _S3, _S2, _S1, _S0 = _even(np.arcsin, 0.5, 7)


@kernel_lean
def atan2(y: float, x: float) -> float:
    """Return the angle of (x, y) in [-pi, pi]; 0 for the null vector."""
    ax, ay = abs(x), abs(y)
    large, small = max(ax, ay), min(ax, ay)
    if large == 0.0:
        return 0.0
    shift = 0.0
    if small > _EIGHTH * large:
        t = (small - large) / (small + large)
        shift = 0.25 * math.pi
    else:
        t = small / large
    u = t * t
    angle = shift + t * ((((((_A6 * u + _A5) * u + _A4) * u + _A3) * u + _A2) * u + _A1) * u + _A0)
    if ay > ax:
        angle = 0.5 * math.pi - angle
    if x < 0.0:
        angle = math.pi - angle
    return math.copysign(angle, y)


@kernel_lean
def angle_of(sine: float, cosine: float) -> float:
    """Return `atan2` of a sine and a cosine, by choice alone: for loops that are to become vector instructions."""
    ax, ay = abs(cosine), abs(sine)
    large, small = max(ax, ay), min(ax, ay)
    is_wide = small > _EIGHTH * large
    t = (small - large if is_wide else small) / (small + large if is_wide else large)
    u = t * t
    angle = t * ((((((_A6 * u + _A5) * u + _A4) * u + _A3) * u + _A2) * u + _A1) * u + _A0)
    angle += 0.25 * math.pi if is_wide else 0.0
    angle = 0.5 * math.pi - angle if ay > ax else angle
    angle = math.pi - angle if cosine < 0.0 else angle
    return angle if sine >= 0.0 else -angle


@kernel_lean
def asin(sine: float) -> float:
    """Return the arcsine of a number in [-1, 1]."""
    a = abs(sine)
    is_steep = a > 0.5
    x = math.sqrt(0.5 * (1.0 - a)) if is_steep else a
    u = x * x
    angle = x * (((((((_S7 * u + _S6) * u + _S5) * u + _S4) * u + _S3) * u + _S2) * u + _S1) * u + _S0)
    if is_steep:
        angle = 0.5 * math.pi - 2.0 * angle
    return math.copysign(angle, sine)


@kernel_lean
def arc_per_chord(sine_squared: float) -> float:
    """Return asin(s) / s of a number in [0, 1], given as its square: arc over chord of a circle."""
    if sine_squared > 0.25:
        sine = math.sqrt(sine_squared)
        return asin(sine) / sine
    return near_arc_per_chord(sine_squared)


@kernel_lean
def near_arc_per_chord(u: float) -> float:
    """Return `arc_per_chord` of a number of at most 1/4."""
    return ((((((_S7 * u + _S6) * u + _S5) * u + _S4) * u + _S3) * u + _S2) * u + _S1) * u + _S0


@kernel_lean
def sincos(angle: float) -> tuple[float, float]:
    """Return (sine, cosine) of an angle of at most some thousand turns."""
    quarter = math.floor(angle * (2.0 / math.pi) + 0.5)
    x = angle - quarter * (0.5 * math.pi)
    u = x * x
    sine = x + x * u * (((((_F11 * u + _F9) * u + _F7) * u + _F5) * u) + _F3)
    cosine = 1.0 + u * ((((((_F12 * u + _F10) * u + _F8) * u + _F6) * u + _F4) * u) - 0.5)
    side = int(quarter)
    # Four cases by choice, not by branches: nobody guesses which of them comes.
    if side & 1:
        sine, cosine = cosine, sine
    if side & 2:
        sine = -sine
    if (side + 1) & 2:
        cosine = -cosine
    return sine, cosine
