"""Functions in single precision for loops over many objects, which the compiler makes vector instructions of.

Without branches and without calls: a logarithm costs 1 ns in such a loop, 8 ns from the library. They serve numbers
that are kept as float32 or smeared by far more than the errors given here.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from daq.jit import kernel_lean


@kernel_lean
def fraction(word: Any) -> Any:
    """Return the uniform number in the open interval (0, 1) that the lowest 23 bits of a word stand for: float32."""
    return (np.float32(np.int32(word & np.uint32(0x7FFFFF))) + np.float32(0.5)) * np.float32(1.0 / 8388608.0)


@kernel_lean
def log_32(x: Any) -> Any:
    """Return the natural logarithm of a positive normal float32, to 5e-7 of itself or of 1."""
    bits = np.float32(x).view(np.int32)
    power = (bits - np.int32(0x3F3504F3)) >> np.int32(
        23
    )  # the mantissa that is left lies about 1: sqrt(1/2) to sqrt(2)
    above = np.int32(bits - (power << np.int32(23))).view(np.float32) - np.float32(1.0)
    s = above / (np.float32(2.0) + above)  # log(1 + above) = 2 atanh(s)
    u = s * s
    series = np.float32(1.0 / 3) + u * (np.float32(0.2) + u * (np.float32(1.0 / 7) + u * np.float32(1.0 / 9)))
    return np.float32(2.0) * s * (np.float32(1.0) + u * series) + np.float32(power) * np.float32(math.log(2.0))


@kernel_lean
def acos_32(cosine: Any) -> Any:
    """Return the arccosine of a float32, to 5e-7 (Abramowitz and Stegun, 4.4.46)."""
    a = abs(cosine)
    high = np.float32(0.0308918810) + a * (
        np.float32(-0.0170881256) + a * (np.float32(0.0066700901) + a * np.float32(-0.0012624911))
    )
    low = np.float32(-0.2145988016) + a * (np.float32(0.0889789874) + a * (np.float32(-0.0501743046) + a * high))
    angle = np.sqrt(np.float32(1.0) - a) * (np.float32(1.5707963050) + a * low)
    return angle if cosine >= np.float32(0.0) else np.float32(math.pi) - angle


@kernel_lean
def atan2_32(y: Any, x: Any) -> Any:
    """Return the angle of (x, y) in [-pi, pi], float32, to 5e-7; NaN for the null vector."""
    ax, ay = abs(x), abs(y)
    large, small = max(ax, ay), min(ax, ay)
    tangent, one = np.float32(math.tan(math.pi / 8.0)), np.float32(1.0)
    is_wide = small > tangent * large
    t = (small - large if is_wide else small) / (small + large if is_wide else large)
    u = t * t
    high = np.float32(1.0 / 5) + u * (np.float32(-1.0 / 7) + u * (np.float32(1.0 / 9) + u * np.float32(-0.08)))
    angle = t * (one + u * (np.float32(-1.0 / 3) + u * high))
    angle += np.float32(0.25 * math.pi) if is_wide else np.float32(0.0)
    angle = np.float32(0.5 * math.pi) - angle if ay > ax else angle
    angle = np.float32(math.pi) - angle if x < np.float32(0.0) else angle
    return angle if y >= np.float32(0.0) else -angle


@kernel_lean
def arc_per_chord_32(u: Any) -> Any:
    """Return asin(s) / s of a float32, given as its square of at most 1/4, to 5e-7."""
    high = np.float32(35.0 / 1152) + u * (np.float32(63.0 / 2816) + u * np.float32(0.0215))
    high = np.float32(5.0 / 112) + u * high
    return np.float32(1.0) + u * (np.float32(1.0 / 6) + u * (np.float32(3.0 / 40) + u * high))


@kernel_lean
def asin_32(sine: Any) -> Any:
    """Return the arcsine of a float32, to 5e-7; beyond [-1, 1] that of the limit."""
    a = abs(sine)
    is_steep = a > np.float32(0.5)
    u = max(np.float32(0.5) * (np.float32(1.0) - a), np.float32(0.0)) if is_steep else a * a
    angle = np.sqrt(u) * arc_per_chord_32(u)
    angle = np.float32(0.5 * math.pi) - np.float32(2.0) * angle if is_steep else angle
    return angle if sine >= np.float32(0.0) else -angle


@kernel_lean
def exp_32(x: Any) -> Any:
    """Return the exponential of a float32 of at most 87, to 2e-7 of itself; below -87 as at -87."""
    x = max(x, np.float32(-87.0))
    power = np.floor(x * np.float32(1.0 / math.log(2.0)) + np.float32(0.5))
    y = (x - power * np.float32(0.693359375)) + power * np.float32(2.12194440e-4)  # ln 2 in two parts
    high = np.float32(1.0 / 6) + y * (
        np.float32(1.0 / 24) + y * (np.float32(1.0 / 120) + y * (np.float32(1.0 / 720) + y * np.float32(1.0 / 5040)))
    )
    series = np.float32(1.0) + y * (np.float32(1.0) + y * (np.float32(0.5) + y * high))
    return series * np.int32((np.int32(power) + np.int32(127)) << np.int32(23)).view(np.float32)


@kernel_lean
def sincos_32(angle: Any) -> tuple[Any, Any]:
    """Return (sine, cosine) of a float32 of at most some turns, to 3e-7."""
    quarter = np.floor(angle * np.float32(2.0 / math.pi) + np.float32(0.5))
    x = (angle - quarter * np.float32(1.5703125)) - quarter * np.float32(math.pi / 2 - 1.5703125)
    u = x * x
    odd = np.float32(1.0 / 120) - u * (np.float32(1.0 / 5040) - u * np.float32(1.0 / 362880))
    even = np.float32(1.0 / 24) - u * (np.float32(1.0 / 720) - u * np.float32(1.0 / 40320))
    sine = x - x * u * (np.float32(1.0 / 6) - u * odd)
    cosine = np.float32(1.0) - u * (np.float32(0.5) - u * even)
    side = np.int32(quarter)
    if side & np.int32(1):
        sine, cosine = cosine, sine
    if side & np.int32(2):
        sine = -sine
    if (side + np.int32(1)) & np.int32(2):
        cosine = -cosine
    return sine, cosine


@kernel_lean
def normals_32(first: Any, second: Any) -> tuple[Any, Any]:
    """Return the two independent standard normal numbers, float32, that two words stand for.

    By the transform of Box and Muller, Ann. Math. Stat. 29 (1958) 610; none is beyond 6.7.
    """
    chance = (np.float32(np.int32(first >> np.uint32(1))) + np.float32(0.5)) * np.float32(1.0 / 2147483648.0)
    away = np.sqrt(max(np.float32(-2.0) * log_32(chance), np.float32(0.0)))
    sine, cosine = sincos_32(np.float32(2.0 * math.pi) * fraction(second >> np.uint32(9)))
    return away * sine, away * cosine
