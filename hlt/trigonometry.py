"""Sine, cosine and arcsine in a form that the compiler turns into vector instructions.

A call of the C library for each angle was a third of the cost of the filter variables.
"""

from __future__ import annotations

import math

import numpy as np

from daq.jit import Array, kernel, kernel_inline


@kernel
def sines_cosines(angles: Array, sines: Array, cosines: Array) -> None:
    """Fill the (n,) float64 sines and cosines of (n,) angles [rad], to one unit in the last place; NaN for NaN.

    The angle is reduced to at most pi / 4 with pi / 2 in three parts (Cody and Waite); there the Taylor series serve:
    their first left-out terms are below 1e-16 of the result.
    """
    for i in range(angles.size):
        angle = np.float64(angles[i])
        turns = _nearest(angle * (2.0 / math.pi))
        # The first two parts have 33 bits, so their multiples are exact for every angle that this is used for.
        r = ((angle - turns * 1.5707963267341256) - turns * 6.077100506303966e-11) - turns * 2.0222662487959506e-21
        z = r * r
        sine = z * (-1 / 39916800 + z * (1 / 6227020800 + z * (-1 / 1307674368000 + z / 355687428096000)))
        sine = r + r * z * (-1 / 6 + z * (1 / 120 + z * (-1 / 5040 + z * (1 / 362880 + sine))))
        cosine = z * (-1 / 3628800 + z * (1 / 479001600 + z * (-1 / 87178291200 + z / 20922789888000)))
        cosine = 1.0 + z * (-1 / 2 + z * (1 / 24 + z * (-1 / 720 + z * (1 / 40320 + cosine))))
        quarter = turns - 4.0 * _nearest(0.25 * turns)  # -2, -1, 0, 1 or 2
        odd, opposite = abs(quarter) == 1.0, abs(quarter) == 2.0
        first, second = cosine if odd else sine, sine if odd else cosine
        sines[i] = -first if opposite or quarter == -1.0 else first
        cosines[i] = -second if opposite or quarter == 1.0 else second
    for i in range(angles.size):
        if abs(angles[i]) > 1e5:  # no angle of a detector; the reduction above is no longer exact
            sines[i], cosines[i] = math.sin(np.float64(angles[i])), math.cos(np.float64(angles[i]))


@kernel_inline
def _nearest(value: float) -> float:
    """Return the nearest whole number: adding 1.5 * 2**52 leaves no room for a fraction."""
    return (value + 6755399441055744.0) - 6755399441055744.0


@kernel_inline
def arcsine(x: float) -> float:
    """Return the arcsine of a number in [-1, 1], to one unit in the last place; NaN beyond.

    Below 1/2 a polynomial, the Taylor series in x^2 economised to degree 11 by Chebyshev polynomials on [0, 1/4];
    above, asin(x) = pi / 2 - 2 asin(sqrt((1 - x) / 2)).
    """
    size = abs(x)
    near = size <= 0.5
    z = x * x if near else 0.5 * (1.0 - size)
    root = size if near else math.sqrt(z)
    z2 = z * z
    low = 0.16666666666666646 + z * 0.07500000000021978 + z2 * (0.04464285710146497 + z * 0.030381947490254527)
    middle = 0.022372043664706378 + z * 0.017355334434132383 + z2 * (0.013928781847841392 + z * 0.011882032645784928)
    high = 0.0077714397645414456 + z * 0.016129764409156828 + z2 * (-0.010908304349000406 + z * 0.028285381520428275)
    small = root + root * z * (low + z2 * z2 * (middle + z2 * z2 * high))
    angle = small if near else 0.5 * math.pi - 2.0 * small
    return angle if x >= 0.0 else -angle
